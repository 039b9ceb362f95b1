"""Messages: what is told of an incident, as plain values that every channel writes in its own form."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from echocast.operations.alerts.places import Place
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.states import Kind, Reason, Record
from echocast.operations.alerts.wording import WORDS, Language
from echocast.operations.stamps import iso, utc

Status = Literal["Actual", "Exercise", "Test"]
VERSION = "1.0"
_LEAST_S = 1800.0
_CANCEL_S = 3600.0


@dataclass(frozen=True)
class Issued:
    """The issue that a message is of.

    Args:
        id: of the issue.
        time: of the issue, in seconds since 1970.
        model: its name.
        now: when the message is made, in seconds since 1970; the same where an issue is judged again.
        status: ``Actual``, ``Exercise`` where old data are played, or ``Test``.
    """

    id: str
    time: float
    model: str
    now: float
    status: Status = "Actual"


@dataclass(frozen=True)
class Message:
    """A message.

    Args:
        version: of this form: readers refuse another number before the dot and ignore keys that they do not know.
        id: of rule, area, issue and kind: one that comes twice has the same id.
        incident: all messages of one event have it.
        kind: ``Alert``, ``Update`` or ``Cancel``.
        reason: why now.
        status: ``Actual``; ``Exercise`` where old data are played; ``Test`` where nothing is meant.
        sent: when it was made, in UTC as all times.
        expires: after this it is sent no more, and means nothing any more.
        rule: the rule's id.
        area: its id and name.
        severity: ``Minor``, ``Moderate``, ``Severe`` or ``Extreme``.
        quantity: of the rule.
        statistic: over the area's cells.
        threshold: mm/h, or mm over `span_min`.
        span_min: of an amount, else None.
        value: the newest; a share or probability (0 to 1), mm/h or mm, as `unit` says.
        unit: of the value.
        probability: of the event, 0 to 1, at the place where it is highest; None where it is not known.
        onset: from when on.
        end: until when.
        issue: id and time.
        model: its name.
        references: id and time of the earlier messages of the incident, oldest first.
        event: what it is about, by language.
        headline: one line, by language.
        description: whole sentences, by language.
        instruction: what to do, by language, as the rule gives it.
        notice: that it is automatic, not an official warning.
    """

    version: str
    id: str
    incident: str
    kind: Kind
    reason: Reason
    status: Status
    sent: str
    expires: str
    rule: str
    area: dict[str, str]
    severity: str
    quantity: str
    statistic: str
    threshold: float
    span_min: float | None
    value: float | None
    unit: str
    probability: float | None
    onset: str
    end: str
    issue: dict[str, str]
    model: str
    references: tuple[tuple[str, str], ...]
    event: dict[str, str]
    headline: dict[str, str]
    description: dict[str, str]
    instruction: dict[str, str]
    notice: str

    def to_json(self) -> dict[str, Any]:
        """The message as plain values."""
        return asdict(self) | {"references": [list(one) for one in self.references]}


def from_json(content: dict[str, Any]) -> Message:
    """The message of plain values; raises `TypeError` or `KeyError` for what is none."""
    named = {name: content[name] for name in Message.__dataclass_fields__}
    return Message(**{**named, "references": tuple((str(a), str(b)) for a, b in content["references"])})


def id_of(*parts: str) -> str:
    """The id of a message (rule, area, issue, kind) or of an incident: the same parts always give the same."""
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).hexdigest()


def made(
    rule: Rule,
    place: Place,
    record: Record,
    issued: Issued,
    kind: Kind,
    reason: Reason,
    languages: Sequence[Language],
    zone: ZoneInfo,
) -> Message:
    """The message about an incident.

    Args:
        rule: the rule.
        place: the area.
        record: of the rule in the area.
        issued: the issue.
        kind: what the message is.
        reason: why it is sent.
        languages: of its texts.
        zone: of the times in its texts.
    """
    told = record.told
    expires = _expires(rule, record, issued, kind)
    texts = {language: _texts(rule, place, record, issued, kind, language, zone) for language in languages}
    return Message(
        version=VERSION,
        id=id_of(rule.id, place.id, issued.id, kind),
        incident=record.incident,
        kind=kind,
        reason=reason,
        status=issued.status,
        sent=iso(issued.now),
        expires=iso(expires),
        rule=rule.id,
        area={"id": place.id, "name": place.name},
        severity=record.severity or rule.severity,
        quantity=rule.quantity,
        statistic=rule.statistic,
        threshold=rule.event_threshold,
        span_min=rule.span,
        value=_short(record.value),
        unit="1" if rule.is_share else "mm" if rule.is_amount else "mm/h",
        probability=_short(record.probability),
        onset=iso(record.onset),
        end=iso(record.end),
        issue={"id": issued.id, "time": iso(issued.time)},
        model=issued.model,
        references=told.references if told else (),
        event={language: one["event"] for language, one in texts.items()},
        headline={language: one["headline"] for language, one in texts.items()},
        description={language: one["description"] for language, one in texts.items()},
        instruction={language: text for language, text in rule.instruction.items() if language in languages},
        notice=WORDS[languages[0]]["notice"],
    )


def _short(value: float | None) -> float | None:
    """A number as exactly as issues hold it: three digits."""
    return None if value is None else float(f"{value:.3g}")


def withdrawn(last: dict[str, Any], references: tuple[tuple[str, str], ...], issued: Issued) -> Message:
    """The Cancel of an incident whose rule or area is gone."""
    before = from_json(last)
    content = before.to_json() | {
        "id": id_of(before.rule, before.area["id"], issued.id, "Cancel"),
        "kind": "Cancel",
        "reason": "withdrawn",
        "sent": iso(issued.now),
        "expires": iso(issued.now + _CANCEL_S),
        "references": references,
        "headline": {
            language: f"{event} – {WORDS[language]['Cancel']}"  # type: ignore[index]  # its keys are languages
            for language, event in before.event.items()
        },
    }
    return from_json(content)


def _expires(rule: Rule, record: Record, issued: Issued, kind: Kind) -> float:
    """The end of the leads that the rule looks at, at least half an hour; a Cancel is tried for an hour."""
    if kind == "Cancel":
        return issued.now + _CANCEL_S
    last = rule.lead_range[1] * 60 + issued.time if rule.leads else record.end
    if rule.span is not None:
        last = issued.time + rule.span * 60
    return max(last, issued.now + _LEAST_S)


def _texts(
    rule: Rule, place: Place, record: Record, issued: Issued, kind: Kind, language: Language, zone: ZoneInfo
) -> dict[str, str]:
    words = WORDS[language]
    key = "amount" if rule.is_amount else "arrival" if rule.quantity == "arrival" else "rate"
    span = "" if rule.span is None else f"{rule.span:g}"
    plain = words[key].format(threshold=f"{rule.event_threshold:g}", span=span)
    event = rule.event.get(language) or rule.event.get("en") or plain
    where = words["where"].format(event=event, area=place.name)
    remark = "" if issued.status == "Actual" else words[issued.status.lower()]
    about = [remark, f"{words['where'].format(event=plain, area=place.name)} – {words[kind]}."]
    if kind != "Cancel":
        about.append(words["when"].format(onset=_clock(record.onset, zone), end=_clock(record.end, zone)))
    about += [_probability(record, words), _value(rule, record, words)]
    about += [words["issued"].format(issued=_clock(issued.time, zone, day=True), model=issued.model), words["notice"]]
    return {
        "event": event,
        "headline": f"{remark} {where} – {words[kind]}".strip(),
        "description": " ".join(part for part in about if part),
    }


def _probability(record: Record, words: dict[str, str]) -> str:
    if record.probability is None:
        return words["no_probability"]
    return words["probability"].format(percent=f"{100 * record.probability:.0f}")


def _value(rule: Rule, record: Record, words: dict[str, str]) -> str:
    """What the forecast says; nothing where it is the probability that was told already."""
    if record.value is None or (rule.is_probability and rule.share_above is None and rule.statistic == "max"):
        return ""
    if rule.is_share:
        share = words["share"].format(percent=f"{100 * record.value:.0f}")
        return words["value"].format(value=share) if rule.share_above is not None else ""
    return words["value"].format(value=f"{record.value:.1f} {'mm' if rule.is_amount else 'mm/h'}")


def _clock(seconds: float, zone: ZoneInfo, *, day: bool = False) -> str:
    """A time of day with its zone, as people there say it."""
    form = "%Y-%m-%d %H:%M %Z" if day else "%H:%M %Z"
    return utc(seconds).astimezone(zone).strftime(form)
