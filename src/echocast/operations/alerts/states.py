"""The states of a rule in an area: inactive, pending, active; pure functions of what one issue after another says.

::

    inactive --(value reaches the level)--> pending --(`for` issues in a row)--> active
    pending  --(an issue below the level)--> inactive
    active   --(below `clear_below`, `keep` issues in a row)--> inactive

An issue that does not know the value changes nothing. Messages are another matter: see `decide`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from echocast.operations.alerts.readings import Reading
from echocast.operations.alerts.rule_config import SEVERITIES, Rule

Kind = Literal["Alert", "Update", "Cancel"]
Reason = Literal["raised", "worse", "earlier", "repeat", "extended", "cleared", "withdrawn"]

_EARLIER_S = 600.0
_BEFORE_EXPIRY_S = 600.0


@dataclass(frozen=True)
class Told:
    """What the receivers of an incident know.

    Args:
        references: id and time (``2026-11-28T05:10:00Z``) of each message, oldest first.
        severity: the worst that was told.
        onset: the last that was told, in seconds since 1970.
        expires: when the last message expires.
        sent: when the last message was made.
        last: the last message, as plain values: what a Cancel takes back where the rule is gone.
    """

    references: tuple[tuple[str, str], ...]
    severity: str
    onset: float
    expires: float
    sent: float
    last: dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A rule in an area.

    Args:
        state: see the module.
        count: issues in a row that met the rule (pending), or lay below `clear_below` (active).
        time: of the newest issue that was judged, in seconds since 1970.
        since: of the issue that made it active.
        incident: its id while it is active, and until its end was told.
        told: what receivers know of the incident; None before the first message.
        is_known: whether the newest issue knew the value.
        why: if not, why.
        value: the newest value that was known.
        probability: the newest probability that was known.
        severity: of the newest value.
        onset: the newest, in seconds since 1970.
        end: likewise.
        prior: the record before the newest issue, for a revision of that issue.
    """

    state: Literal["inactive", "pending", "active"] = "inactive"
    count: int = 0
    time: float = 0.0
    since: float = 0.0
    incident: str = ""
    told: Told | None = None
    is_known: bool = True
    why: str = ""
    value: float | None = None
    probability: float | None = None
    severity: str = ""
    onset: float = 0.0
    end: float = 0.0
    prior: "Record | None" = None


def step(rule: Rule, record: Record, reading: Reading, *, time: float, raining: bool, incident: str) -> Record:
    """The record after an issue.

    Args:
        rule: the rule.
        record: before the issue.
        reading: what the issue says.
        time: of the issue, in seconds since 1970; one that is not newer than the last is a revision of it.
        raining: whether it rains in the area already.
        incident: the id of an incident that this issue would begin.
    """
    before = _base(record, time)
    if reading.value is None:
        return replace(before, time=time, is_known=False, why=reading.why, prior=_without_prior(before))
    after = _moved(rule, before, reading.value, raining=raining)
    if after.state == "active" and before.state != "active":
        after = replace(after, since=time, incident=before.incident or incident)
    after = replace(
        after,
        time=time,
        is_known=True,
        why="",
        value=reading.value,
        probability=reading.probability,
        prior=_without_prior(before),
    )
    if reading.onset is not None and reading.end is not None:
        severity = rule.severity_of(reading.value)
        after = replace(after, severity=severity, onset=time + reading.onset * 60, end=time + reading.end * 60)
    return after


def _base(record: Record, time: float) -> Record:
    """What an issue is judged from: a revision takes the place of its forerunner unless that one sent a message."""
    is_revision = time == record.time and record.prior is not None
    if is_revision and record.prior is not None and record.told == record.prior.told:
        return record.prior
    return record


def _without_prior(record: Record) -> Record:
    return replace(record, prior=None)


def _moved(rule: Rule, record: Record, value: float, *, raining: bool) -> Record:
    """The state and count after a known value."""
    if record.state == "active":
        if value >= rule.clear_at:
            return replace(record, count=0)
        if record.count + 1 >= rule.keep:
            return replace(record, state="inactive", count=0)
        return replace(record, count=record.count + 1)
    if value < rule.raise_at or raining:
        return replace(record, state="inactive", count=0)
    count = record.count + 1
    return (
        replace(record, state="active", count=0)
        if count >= rule.count
        else replace(record, state="pending", count=count)
    )


@dataclass(frozen=True)
class Wish:
    """A message that should be sent now."""

    kind: Kind
    reason: Reason


def decide(rule: Rule, record: Record, now: float) -> Wish | None:
    """The message that an incident calls for now; None in quiet hours and where there is nothing new.

    Nothing is forgotten in quiet hours: when they are over, an incident that began in them and still lasts is told by
    an Alert, and the end of one that was told before them by a Cancel. What began and ended within them is not told.
    """
    if not record.incident or is_quiet(rule, record, now):
        return None
    if record.state != "active":
        return Wish("Cancel", "cleared") if record.told else None
    if record.told is None:
        return Wish("Alert", "raised")
    reason = _news(rule, record, record.told, now)
    return Wish("Update", reason) if reason else None


def is_quiet(rule: Rule, record: Record, now: float) -> bool:
    """Whether the rule is silent at a time; severities of `quiet_except` never are."""
    is_excepted = record.state == "active" and record.severity in rule.quiet_except
    return not is_excepted and any(hours.holds(now) for hours in rule.quiet_hours)


def _news(rule: Rule, record: Record, told: Told, now: float) -> Reason | None:
    if not record.is_known or record.count:
        return None  # nothing is known anew, or it is about to end
    if rank(record.severity) > rank(told.severity):
        return "worse"
    if record.time < told.onset and record.onset < told.onset - _EARLIER_S:
        return "earlier"
    if rule.repeat is not None and now - told.sent >= rule.repeat:
        return "repeat"
    return "extended" if told.expires - now <= _BEFORE_EXPIRY_S else None


def rank(severity: str) -> int:
    """How bad a severity is: the higher, the worse."""
    return next((number for number, one in enumerate(SEVERITIES) if one == severity), -1)


def closed(record: Record, *, is_told: bool) -> Record:
    """The record without an incident that is over, if its end was told or nobody knew of it."""
    is_over = record.state != "active" and (is_told or record.told is None)
    return replace(record, incident="", told=None) if is_over else record


def to_json(record: Record) -> dict[str, Any]:
    """The record as plain values."""
    found = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    if record.told is not None:
        told = {name: getattr(record.told, name) for name in Told.__dataclass_fields__}
        found["told"] = told | {"references": [list(one) for one in record.told.references]}
    return found | {"prior": to_json(record.prior) if record.prior else None}


def from_json(content: dict[str, Any]) -> Record:
    """The record of plain values; raises `TypeError`, `KeyError` or `ValueError` for what is none."""
    known = {name: content[name] for name in Record.__dataclass_fields__ if name in content}
    if known.get("state", "inactive") not in ("inactive", "pending", "active"):
        raise ValueError(f"there is no state {known['state']!r}")
    told = known.get("told")
    if told is not None:
        references: Sequence[Sequence[str]] = told["references"]
        known["told"] = Told(**{**told, "references": tuple((str(a), str(b)) for a, b in references)})
    prior = known.get("prior")
    return Record(**{**known, "prior": from_json(prior) if prior else None})
