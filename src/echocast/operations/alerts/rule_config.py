"""What a rule says: which quantity, where, when, from which value on, and for how long."""

import re
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from echocast.operations.alerts.quiet import QuietHours, parse
from echocast.operations.alerts.wording import Language
from echocast.operations.settings import Seconds

Severity = Literal["Minor", "Moderate", "Severe", "Extreme"]
SEVERITIES: tuple[Severity, ...] = ("Minor", "Moderate", "Severe", "Extreme")
"""From the least to the worst, as in CAP."""
Quantity = Literal["rate", "amount", "probability_rate", "probability_amount", "arrival"]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Letters, digits, ``.``, ``_`` and ``-``, at most 64."""

_SHARE = re.compile(r"share\s*>\s*(\d+(?:\.\d+)?)")
_WET_MM_H = 0.1


def as_list(value: Any) -> Any:
    """A single text as a list of one."""
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return {"en": value} if isinstance(value, str) else value


Texts = Annotated[dict[Language, str], BeforeValidator(_as_text)]
"""A text in each language; a plain text is English."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Level(BaseModel):
    """From which value on a rule is of another, worse severity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity
    threshold: Finite | None = None
    at_least: Finite | None = None


class Rule(BaseModel):
    """A rule; docs/alerts.md tells each key."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    id: Identifier
    areas: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
    severity: Severity
    quantity: Quantity
    span: Annotated[float, Field(gt=0, le=10_080)] | None = None
    threshold: Annotated[Finite, Field(gt=0)] | None = None
    at_least: Annotated[Finite, Field(gt=0, le=1)] | None = None
    statistic: str = "max"
    of: Literal["median", "mean", "p10", "p25", "p75", "p90"] = "median"
    leads: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0, le=10_080)]] | None = None
    clear_below: Annotated[Finite, Field(ge=0)] | None = None
    count: Annotated[int, Field(alias="for", ge=1, le=100)] = 1
    keep: Annotated[int, Field(ge=1, le=100)] = 1
    repeat: Annotated[Seconds, Field(ge=60)] | None = None
    quiet: Annotated[list[str], BeforeValidator(as_list)] = []
    quiet_except: Annotated[list[Severity], BeforeValidator(as_list)] = []
    suppress_if_raining: bool | Annotated[Finite, Field(gt=0)] = False
    levels: list[Level] = []
    event: Texts = {}
    instruction: Texts = {}
    to: Annotated[list[str], BeforeValidator(as_list)] = []

    @field_validator("statistic")
    @classmethod
    def _is_known(cls, text: str) -> str:
        if text not in ("max", "mean") and _SHARE.fullmatch(text) is None:
            raise ValueError("is not max, mean or share>X, as 'share>5'")
        return text

    @field_validator("quiet")
    @classmethod
    def _is_time(cls, texts: list[str]) -> list[str]:
        for text in texts:
            parse(text)
        return texts

    @model_validator(mode="after")
    def _goes_together(self) -> "Rule":
        _check_values(self)
        _check_leads(self)
        _check_levels(self)
        return self

    @property
    def is_probability(self) -> bool:
        """Whether it judges a probability."""
        return self.quantity.startswith("probability_") or (self.quantity == "arrival" and self.at_least is not None)

    @property
    def is_amount(self) -> bool:
        """Whether it judges an amount over `span`, or its probability."""
        return self.quantity.endswith("amount")

    @cached_property
    def share_above(self) -> float | None:
        """The X of ``share>X``; None for another statistic."""
        found = _SHARE.fullmatch(self.statistic)
        return float(found[1]) if found else None

    @property
    def is_share(self) -> bool:
        """Whether what is judged is a number from 0 to 1."""
        return self.is_probability or self.share_above is not None

    @property
    def event_threshold(self) -> float:
        """The rate (mm/h) or amount (mm) that is waited for."""
        value = self.threshold if self.threshold is not None else self.share_above
        return _WET_MM_H if value is None else value

    @property
    def raise_at(self) -> float:
        """The value from which on the rule is met, as single issues hold it: rounded to half precision."""
        return rounded(_own(self.at_least if self.is_share else self.threshold, self.event_threshold))

    @property
    def clear_at(self) -> float:
        """The value below which the rule is no longer met."""
        return self.raise_at if self.clear_below is None else rounded(self.clear_below)

    @property
    def lead_range(self) -> tuple[float, float]:
        """The leads in minutes that count, both ends with them; infinite where all do."""
        return self.leads or (0.0, float("inf"))

    @cached_property
    def quiet_hours(self) -> tuple[QuietHours, ...]:
        """The quiet hours."""
        return tuple(parse(text) for text in self.quiet)

    @property
    def wet_mm_h(self) -> float | None:
        """The observed rate from which on it rains already; None where that does not matter."""
        if self.suppress_if_raining is True:
            return _WET_MM_H
        return float(self.suppress_if_raining) or None

    def severity_of(self, value: float) -> Severity:
        """The worst severity whose level a value reaches."""
        reached = [one.severity for one in self.levels if value >= rounded(_own(one.at_least, one.threshold))]
        return max([self.severity, *reached], key=SEVERITIES.index)

    @property
    def layer(self) -> str:
        """The layer of an issue that is judged."""
        if self.is_amount:
            span = f"amount.{self.span:g}"
            return f"prob.{span}.{self.event_threshold:g}" if self.is_probability else span
        if self.is_probability:
            return f"prob.rate.{self.event_threshold:g}"
        return "rate" if self.of == "median" else f"rate.{self.of}"

    @property
    def probability_layer(self) -> str | None:
        """The layer that tells how probable the event is at a place, for the messages; None where nothing tells."""
        if self.is_probability:
            return self.layer
        if self.statistic != "max":
            return None
        span = f"amount.{self.span:g}" if self.is_amount else "rate"
        return f"prob.{span}.{self.event_threshold:g}"


def rounded(value: float) -> float:
    """A level as issues hold values: in half precision, so that 8 of 20 members reach 0.4."""
    return float(np.float16(value))


def _own(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _check_values(rule: Rule) -> None:
    """Which of threshold, at_least and span must be there, and which must not."""
    wants_span, has_span = rule.is_amount, rule.span is not None
    if wants_span != has_span:
        raise ValueError(f"quantity {rule.quantity} {'needs a span in minutes' if wants_span else 'has no span'}")
    if rule.quantity in ("rate", "amount") and rule.share_above is not None:
        if rule.threshold is not None:
            raise ValueError(f"threshold does not go with statistic {rule.statistic!r}, which holds the value already")
    elif rule.threshold is None and rule.quantity != "arrival":
        raise ValueError(f"quantity {rule.quantity} needs a threshold, in {'mm' if rule.is_amount else 'mm/h'}")
    if rule.is_share and rule.at_least is None:
        raise ValueError("at_least is missing: the probability, or the share of the area, from 0 to 1")
    if not rule.is_share and rule.at_least is not None:
        raise ValueError(f"at_least is for probabilities and shares; quantity {rule.quantity} is judged by threshold")
    if rule.of != "median" and (rule.is_probability or rule.is_amount):
        raise ValueError(f"of = {rule.of!r} is for the quantities rate and arrival without at_least")
    if rule.share_above is not None and rule.is_probability and rule.share_above >= 1:
        raise ValueError(f"statistic {rule.statistic!r}: a probability is never above 1; give share>0.5 or so")


def _check_leads(rule: Rule) -> None:
    if rule.leads is not None and rule.leads[0] > rule.leads[1]:
        raise ValueError(f"leads {list(rule.leads)}: the first is after the last")
    if rule.span is not None and not rule.lead_range[0] <= rule.span <= rule.lead_range[1]:
        raise ValueError(
            f"leads {list(rule.lead_range)}: amounts are counted from the issue's time over the span, so the span of"
            f" {rule.span:g} min must lie within the leads; leave leads out"
        )


def _check_levels(rule: Rule) -> None:
    """Clearing lies at or below raising; worse levels above it, with the key that the rule is judged by."""
    if rule.clear_at > rule.raise_at:
        raise ValueError(f"clear_below {rule.clear_below:g} is above the level of raising, {rule.raise_at:g}")
    wanted, other = ("at_least", "threshold") if rule.is_share else ("threshold", "at_least")
    for level in rule.levels:
        value = getattr(level, wanted)
        if value is None or getattr(level, other) is not None:
            raise ValueError(f"levels: {level.severity} needs {wanted} and nothing else, as the rule is judged by it")
        if rounded(value) < rule.raise_at or (rule.is_share and value > 1):
            raise ValueError(
                f"levels: {level.severity}: {wanted} {value:g} must be above that of the rule, to be worse"
            )
        if SEVERITIES.index(level.severity) <= SEVERITIES.index(rule.severity):
            raise ValueError(f"levels: {level.severity} is not worse than {rule.severity}, that of the rule")
    if rule.quiet_except and not rule.quiet:
        raise ValueError("quiet_except is an exception of quiet, which is missing")
