"""Messages as CAP 1.2 (Common Alerting Protocol, OASIS, 2010): XML that its schema accepts."""

from xml.etree import ElementTree

from echocast.operations.alerts.channel_config import CapChannel
from echocast.operations.alerts.messages import Message
from echocast.operations.alerts.places import Place
from echocast.operations.alerts.wording import WORDS
from echocast.operations.stamps import seconds_of, utc

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
_LIKELY = 0.5
_EXPECTED_S = 3600.0


def to_xml(message: Message, channel: CapChannel, place: Place | None) -> bytes:
    """A message as CAP 1.2.

    Args:
        message: the message.
        channel: who sends it, and whether it is meant.
        place: its area; None where it is known no more, and the area has a name only.
    """
    root = ElementTree.Element("alert", xmlns=NAMESPACE)
    _add(root, "identifier", message.id)
    _add(root, "sender", channel.sender)
    _add(root, "sent", cap_time(message.sent))
    _add(root, "status", _status(message, channel))
    _add(root, "msgType", message.kind)
    _add(root, "source", f"echocast, model {message.model}, issue {message.issue['id']}")
    _add(root, "scope", channel.scope)
    _add(root, "restriction", channel.restriction)
    _add(root, "addresses", channel.addresses)
    _add(root, "note", message.notice)
    if message.kind != "Alert":
        _add(root, "references", " ".join(_reference(channel, *one) for one in message.references))
    _add(root, "incidents", message.incident)
    for language in message.headline:
        _info(root, message, channel, place, language)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def cap_time(text: str) -> str:
    """A time as CAP wants it: with the offset ``-00:00`` for UTC, never ``Z``."""
    return utc(seconds_of(text)).strftime("%Y-%m-%dT%H:%M:%S-00:00")


def _reference(channel: CapChannel, name: str, sent: str) -> str:
    return f"{channel.sender},{name},{cap_time(sent)}"


def _info(root: ElementTree.Element, message: Message, channel: CapChannel, place: Place | None, language: str) -> None:
    info = ElementTree.SubElement(root, "info")
    is_over = message.kind == "Cancel"
    _add(info, "language", language)
    _add(info, "category", "Met")
    _add(info, "event", message.event[language])
    _add(info, "responseType", "AllClear" if is_over else "Monitor")
    _add(info, "urgency", "Past" if is_over else _urgency(message))
    _add(info, "severity", message.severity)
    _add(info, "certainty", _certainty(message))
    _add(info, "effective", cap_time(message.sent))
    if not is_over:
        _add(info, "onset", cap_time(message.onset))
    _add(info, "expires", cap_time(message.expires))
    _add(info, "senderName", channel.sender_name)
    _add(info, "headline", message.headline[language])
    _add(info, "description", f"{_test(message, channel, language)}{message.description[language]}")
    _add(info, "instruction", message.instruction.get(language))
    _add(info, "web", channel.web)
    _add(info, "contact", channel.contact)
    for name, value in _parameters(message).items():
        _pair(info, "parameter", name, value)
    _area(info, message, place)


def _status(message: Message, channel: CapChannel) -> str:
    return channel.status if message.status == "Actual" else message.status


def _test(message: Message, channel: CapChannel, language: str) -> str:
    is_test = channel.status == "Test" and message.status == "Actual"
    return f"{WORDS[language]['test']} " if is_test else ""  # type: ignore[index]  # its keys are languages


def _urgency(message: Message) -> str:
    """By the time left until the onset."""
    left = seconds_of(message.onset) - seconds_of(message.sent)
    return "Immediate" if left <= 0 else "Expected" if left <= _EXPECTED_S else "Future"


def _certainty(message: Message) -> str:
    if message.probability is None:
        return "Unknown"
    return "Likely" if message.probability >= _LIKELY else "Possible"


def _parameters(message: Message) -> dict[str, str]:
    """What CAP has no element for."""
    found = {
        "rule": message.rule,
        "model": message.model,
        "issue": message.issue["id"],
        "issue_time": message.issue["time"],
        "probability": "unknown" if message.probability is None else f"{message.probability:g}",
        "threshold": f"{message.threshold:g} {'mm' if message.span_min else 'mm/h'}",
        "reason": message.reason,
    }
    return found | ({"span_min": f"{message.span_min:g}"} if message.span_min else {})


def _area(info: ElementTree.Element, message: Message, place: Place | None) -> None:
    area = ElementTree.SubElement(info, "area")
    _add(area, "areaDesc", message.area["name"])
    for ring in place.cap_polygons() if place is not None else []:
        _add(area, "polygon", " ".join(f"{lat:.5f},{lon:.5f}" for lat, lon in ring))
    _pair(area, "geocode", "area", message.area["id"])


def _pair(parent: ElementTree.Element, kind: str, name: str, value: str) -> None:
    pair = ElementTree.SubElement(parent, kind)
    _add(pair, "valueName", name)
    _add(pair, "value", value)


def _add(parent: ElementTree.Element, name: str, text: str | None) -> None:
    """An element, unless there is nothing to say; characters that XML cannot hold are left out."""
    if text is not None:
        ElementTree.SubElement(parent, name).text = "".join(c for c in text if c.isprintable() or c in "\n\t")
