"""A message that means nothing, to see whether a channel works."""

from echocast.operations.alerts import messages
from echocast.operations.alerts.channels import Surroundings, made
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.messages import Issued, Message
from echocast.operations.alerts.states import Record
from echocast.operations.stamps import NS, name_stamp


def message_of(alerts: Alerts, now: float, channel: str) -> Message:
    """An Alert of the first rule that goes to a channel, or of the first rule, marked as a test.

    Args:
        alerts: the rules.
        now: in seconds since 1970.
        channel: the id of the channel.
    """
    rule = next((one for one in alerts.rules if channel in one.to), alerts.rules[0])
    place = alerts.areas[rule.id][0]
    issued = Issued(f"{name_stamp(int(now) * NS)}-test", now, "none", now, "Test")
    incident = messages.id_of("test", channel, issued.id)
    record = Record(
        state="active",
        since=now,
        incident=incident,
        value=rule.raise_at,
        probability=rule.raise_at if rule.is_probability else None,
        severity=rule.severity,
        onset=now + 900,
        end=now + 3600,
    )
    return messages.made(rule, place, record, issued, "Alert", "raised", alerts.languages, alerts.zone)


def send(alerts: Alerts, channel: str, now: float, around: Surroundings) -> tuple[Message, str]:
    """Send a test to a channel at once, without the outbox; the message, and what is to be told of it.

    Raises:
        NotSent: it did not arrive.
        DataError: a secret cannot be read.
    """
    message = message_of(alerts, now, channel)
    return message, made(alerts.channels[channel], around).send(message)
