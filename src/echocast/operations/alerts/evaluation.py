"""The rules judged on one issue: records and what is known before in, records and messages out. Nothing is written.

>>> after = evaluate(alerts, {}, issued, cells, values, observed=None)  # doctest: +SKIP
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from echocast.operations.alerts import messages, readings, states
from echocast.operations.alerts.cells import Cells
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.messages import Issued, Message
from echocast.operations.alerts.places import Place
from echocast.operations.alerts.readings import Values
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.states import Record, Told
from echocast.operations.stamps import seconds_of

Key = tuple[str, str]
"""The ids of a rule and of an area."""
_MOST_REFERENCES = 50


@dataclass(frozen=True)
class Evaluated:
    """What an issue led to.

    Args:
        records: of each rule in each of its areas.
        sent: the messages, each with the ids of the channels it goes to.
        held: rules in areas whose messages quiet hours hold back.
    """

    records: dict[Key, Record]
    sent: list[tuple[Message, tuple[str, ...]]] = field(default_factory=list)
    held: list[Key] = field(default_factory=list)


def evaluate(
    alerts: Alerts,
    records: Mapping[Key, Record],
    issued: Issued,
    cells: Mapping[str, Cells],
    values: Values,
    observed: np.ndarray | None,
) -> Evaluated:
    """Judge all rules on an issue.

    Args:
        alerts: the rules.
        records: before the issue; empty at the first.
        issued: the issue.
        cells: of each area, by its id.
        values: the layers of the issue.
        observed: the newest observed rate (y, x) in mm/h, if it is known.
    """
    found = Evaluated(dict(records))
    by_area: dict[str, list[Rule]] = {}
    for rule in alerts.rules:
        for place in alerts.areas[rule.id]:
            by_area.setdefault(place.id, []).append(rule)
    for area, rules in by_area.items():
        read = readings.readings(rules, cells[area], values)
        for rule in rules:
            record = records.get((rule.id, area), Record())
            raining = _is_raining(rule, cells[area], observed)
            incident = messages.id_of(rule.id, area, issued.id, "incident")
            record = states.step(rule, record, read[rule.id], time=issued.time, raining=raining, incident=incident)
            _tell(alerts, rule, alerts.places[area], record, issued, found)
    _withdraw(alerts, found, issued)
    return found


def _is_raining(rule: Rule, cells: Cells, observed: np.ndarray | None) -> bool:
    """Whether it rains in the area by the newest frame; where that is not known, the rule is not held back."""
    if rule.wet_mm_h is None or observed is None or not len(cells.rows):
        return False
    return bool((observed[cells.rows, cells.columns] >= np.float32(rule.wet_mm_h)).any())


def _tell(alerts: Alerts, rule: Rule, place: Place, record: Record, issued: Issued, found: Evaluated) -> None:
    """Make the message that is called for, and remember what receivers know."""
    wish = states.decide(rule, record, issued.now)
    if wish is None:
        is_held = bool(record.incident) and states.is_quiet(rule, record, issued.now)
        if is_held and (record.state != "active" or record.told is None):
            found.held.append((rule.id, place.id))
    else:
        message = messages.made(rule, place, record, issued, wish.kind, wish.reason, alerts.languages, alerts.zone)
        found.sent.append((message, tuple(rule.to)))
        record = replace(record, told=_told(record, message, issued))
    is_told = wish is not None and wish.kind == "Cancel"
    found.records[rule.id, place.id] = states.closed(record, is_told=is_told)


def _told(record: Record, message: Message, issued: Issued) -> Told:
    before = record.told
    severities = [message.severity] + ([before.severity] if before else [])
    references = (*message.references, (message.id, message.sent))
    return Told(
        references=references[:1] + references[1:][-_MOST_REFERENCES:],
        severity=max(severities, key=states.rank),
        onset=record.onset,
        expires=seconds_of(message.expires),
        sent=issued.now,
        last=message.to_json() | {"references": []},
    )


def _withdraw(alerts: Alerts, found: Evaluated, issued: Issued) -> None:
    """Take back what was told by rules, or of areas, that are no more."""
    known = {(rule.id, place.id) for rule in alerts.rules for place in alerts.areas[rule.id]}
    for key in [key for key in found.records if key not in known]:
        record = found.records.pop(key)
        if record.told is not None:
            message = messages.withdrawn(record.told.last, record.told.references, issued)
            found.sent.append((message, tuple(alerts.channels)))
