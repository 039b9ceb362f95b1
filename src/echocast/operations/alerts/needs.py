"""What the service must publish for the rules: which thresholds, spans and members, and how long a forecast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.rule_config import Rule
from echocast.products.ensemble import Thresholds

Numbers = tuple[float, ...]
_USUAL = Thresholds()


@dataclass(frozen=True)
class Needs:
    """What rules ask for beside what is always published.

    Args:
        rates: thresholds in mm/h.
        amounts: thresholds in mm.
        spans: minutes.
        minutes: the shortest forecast that serves all rules.
        members: whether a rule asks for a probability, a mean or a quantile.
    """

    rates: Numbers
    amounts: Numbers
    spans: Numbers
    minutes: float
    members: bool


def needs_of(alerts: Alerts) -> Needs:
    """What the rules of a file need."""
    rules = alerts.rules
    asked = [rule for rule in rules if rule.is_probability or rule.probability_layer]
    return Needs(
        rates=_beyond((r.event_threshold for r in asked if not r.is_amount), _USUAL.rates),
        amounts=_beyond((r.event_threshold for r in asked if r.is_amount), _USUAL.amounts),
        spans=_beyond((r.span for r in rules if r.span is not None), _USUAL.spans),
        minutes=max(max((r.span or 0.0, r.leads[1] if r.leads else 0.0)) for r in rules),
        members=any(_wants_members(rule) for rule in rules),
    )


def lacking(alerts: Alerts, minutes: float, members: int | None, published: Thresholds) -> list[str]:
    """What a service with such settings lacks for the rules, in one sentence each with the option that mends it.

    Args:
        alerts: the rules.
        minutes: length of the forecast.
        members: of the ensemble, None for a single forecast.
        published: thresholds and spans that are published.
    """
    found = []
    for rule in alerts.rules:
        reach = max(rule.span or 0.0, rule.leads[1] if rule.leads else 0.0)
        if reach > minutes:
            found.append(f"rule {rule.id!r} looks {reach:g} min ahead, the forecast {minutes:g}: --minutes {reach:g}")
        if _wants_members(rule) and members is None:
            found.append(f"rule {rule.id!r} judges {_of_members(rule)}, and a single forecast has none: --members 20")
        if rule.span is not None and rule.span not in published.spans:
            found.append(f"rule {rule.id!r} judges amounts over {rule.span:g} min: --spans {rule.span:g}")
        name, known = ("amounts", published.amounts) if rule.is_amount else ("rates", published.rates)
        if rule.is_probability and rule.event_threshold not in known:
            unit = "mm" if rule.is_amount else "mm/h"
            found.append(
                f"rule {rule.id!r} judges the probability of {rule.event_threshold:g} {unit}:"
                f" --{name} {rule.event_threshold:g}"
            )
    return found


def _wants_members(rule: Rule) -> bool:
    return rule.is_probability or rule.of != "median"


def _of_members(rule: Rule) -> str:
    return "a probability" if rule.is_probability else f"the {rule.of} of members"


def _beyond(wanted: Iterable[float], published: Sequence[float]) -> Numbers:
    numbers = {float(one) for one in wanted}
    return tuple(sorted(numbers - set(published)))
