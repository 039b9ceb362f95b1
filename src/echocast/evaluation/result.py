"""What a verification found: sums by event, from which scores, their intervals and differences are made.

Intervals are those of a block bootstrap: the events are drawn again and again, with replacement and as many as there
are, and each draw's sums are pooled into a score, the same draws for all forecasters. Windows of one day share their
weather, so days, not windows, are what is drawn.

Source: Efron and Tibshirani 1993; Hamill 1999, doi:10.1175/1520-0434(1999)014<0155:HTFENP>2.0.CO;2, for blocks of
events in the verification of rain.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from echocast import plugins
from echocast.evaluation.config import SCORES, WHOLE, Event
from echocast.verification.base import Sums, ratio

CASE_THRESHOLD = 0.5
"""The rain rate (mm/h) whose CSI ranks single cases."""
DRAWS = 1000
FEWEST_EVENTS = 5
"""Fewer events tell nothing of how events differ: there are no intervals."""
_LEVEL = 0.95


@dataclass
class EventSums:
    """The sums of one event by forecaster, region and family, and each case's own score."""

    sums: dict[tuple[str, str, str], Sums]
    case_scores: dict[str, list[float]]
    cases: list[tuple[int, float]]
    """First frame and share of wet pixels of each case."""

    def packed(self) -> dict[str, np.ndarray]:
        """As flat arrays, for a file."""
        flat = {"\t".join((*key, name)): array for key, sums in self.sums.items() for name, array in sums.items()}
        flat |= {f"{name}\tcases": np.array(scores) for name, scores in self.case_scores.items()}
        return flat | {"cases": np.array(self.cases, np.float64).reshape(-1, 2)}

    @classmethod
    def unpacked(cls, flat: Mapping[str, np.ndarray]) -> "EventSums":
        """From what `packed` gave."""
        made = cls({}, {}, [(int(start), float(wet)) for start, wet in flat["cases"]])
        for name, array in flat.items():
            parts = name.split("\t")
            if len(parts) == 4:
                made.sums.setdefault((parts[0], parts[1], parts[2]), {})[parts[3]] = array
            elif len(parts) == 2:
                made.case_scores[parts[0]] = array.tolist()
        return made


@dataclass(frozen=True)
class Row:
    """One number of a report."""

    forecaster: str
    score: str
    threshold_mm_h: float | None
    lead_minutes: float
    value: float
    region: str = WHOLE


@dataclass(frozen=True)
class Difference:
    """How much more one forecaster scores than another, mean over leads, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out; never without an interval."""
        return bool(self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:+.3f}"
        sure = "" if self.significant else ", not significant"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}{sure}]"


@dataclass(frozen=True)
class Evaluation:
    """The sums of some forecasters over the same cases, event by event.

    `first` and `last` are the first and last frame used.
    """

    events: tuple[Event, ...]
    sums: tuple[EventSums, ...]
    lead_minutes: tuple[float, ...]
    thresholds: tuple[float, ...]
    regions: tuple[str, ...]
    first: np.datetime64
    last: np.datetime64

    @property
    def cases(self) -> int:
        """Forecasts by each forecaster."""
        return sum(len(event.starts) for event in self.events)

    @property
    def forecasters(self) -> tuple[str, ...]:
        """Their names, in the order that they were given in."""
        return tuple(self.sums[0].case_scores)

    @property
    def months(self) -> list[int]:
        """The months (1 to 12) that events lie in."""
        return sorted({event.month for event in self.events})

    @cached_property
    def values(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        """By forecaster and score an array (lead,) or (lead, threshold), of all events and the whole grid."""
        return self.of()

    def of(self, *, region: str = WHOLE, month: int | None = None) -> dict[str, dict[str, np.ndarray]]:
        """The same of one region, and of one month's events."""
        chosen = np.array([1.0 if month in (None, event.month) else 0.0 for event in self.events])
        return {name: self._scores(name, region, chosen[None]) for name in self.forecasters}

    def pooled(self, forecaster: str, family: str, region: str = WHOLE) -> Sums:
        """The sums of all events of one family of scores."""
        return {name: array.sum(axis=0) for name, array in self._stacked(forecaster, region, family).items()}

    def has(self, family: str) -> bool:
        """Whether a family of scores was computed."""
        return any(key[2] == family for key in self.sums[0].sums)

    def rows(self) -> Iterator[Row]:
        """Every number, tidy."""
        for region in self.regions:
            for forecaster, scores in self.of(region=region).items():
                for score, array in scores.items():
                    for lead, value in zip(self.lead_minutes, array, strict=True):
                        columns = zip(self.thresholds, value, strict=True) if array.ndim == 2 else [(None, value)]
                        for threshold, number in columns:
                            yield Row(forecaster, score, threshold, lead, float(number), region)

    def mean(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> float:
        """A score's mean over leads, those left out where it is not defined; NaN if it is nowhere."""
        return float(_mean(self.column(self.values[forecaster][score], threshold_mm_h)))

    def column(self, array: np.ndarray, threshold_mm_h: float | None) -> np.ndarray:
        """The leads of one threshold, or the array itself without one."""
        return array if threshold_mm_h is None else array[..., self.thresholds.index(threshold_mm_h)]

    def interval(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> tuple[float, float]:
        """The 95 % interval of `mean`; NaN for fewer than five events."""
        return _interval(self._drawn(score, forecaster, threshold_mm_h))

    def difference(
        self,
        score: str,
        forecaster: str,
        other: str,
        threshold_mm_h: float | None = None,
        lead_minutes: float | None = None,
    ) -> Difference:
        """What one forecaster scores more than another, over the same draws of events.

        Args:
            score: its name, such as ``csi``.
            forecaster: the one.
            other: the other.
            threshold_mm_h: of a score that has thresholds.
            lead_minutes: one lead; the mean over all of them if None.
        """
        pair = [self.column(self.values[name][score], threshold_mm_h) for name in (forecaster, other)]
        drawn = [self._drawn_by_lead(score, name, threshold_mm_h) for name in (forecaster, other)]
        if lead_minutes is None:
            pair, drawn = [_mean(values) for values in pair], [_mean(d) if d.size else d for d in drawn]
        else:
            lead = self.lead_minutes.index(lead_minutes)
            pair, drawn = [values[lead] for values in pair], [d[:, lead] if d.size else d for d in drawn]
        return Difference(float(pair[0] - pair[1]), *_interval(drawn[0] - drawn[1]))

    def variance_kept(self, forecaster: str) -> float:
        """The standard deviation of the forecast over the observed one, mean over leads; NaN without pointwise sums."""
        if not self.has("pointwise"):
            return math.nan
        sums = self.pooled(forecaster, "pointwise")
        spread = [np.maximum(ratio(sums[2 * s], sums["n"]) - ratio(sums[s], sums["n"]) ** 2, 0.0) for s in "fo"]
        return float(_mean(np.sqrt(ratio(spread[0], spread[1]))))

    def ranked_cases(self, forecaster: str) -> list[tuple[int, float]]:
        """First frame and CSI of the cases with rain on at least 1 % of the pixels, the worst first."""
        found = [
            (start, score)
            for sums in self.sums
            for (start, wet), score in zip(sums.cases, sums.case_scores[forecaster], strict=True)
            if wet >= 0.01 and math.isfinite(score)
        ]
        return sorted(found, key=lambda case: (case[1], case[0]))

    @cached_property
    def _draws(self) -> np.ndarray:
        """How often each event is in each draw."""
        count = len(self.events)
        if count < FEWEST_EVENTS:
            return np.zeros((0, count))
        rng = np.random.default_rng(0)
        return rng.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(float)

    @cached_property
    def _stacks(self) -> dict[tuple[str, str, str], Sums]:
        return {}

    def _stacked(self, forecaster: str, region: str, family: str) -> Sums:
        key = (forecaster, region, family)
        if key not in self._stacks:
            first = self.sums[0].sums[key]
            self._stacks[key] = {name: np.stack([sums.sums[key][name] for sums in self.sums]) for name in first}
        return self._stacks[key]

    def _families(self) -> list[str]:
        return list(dict.fromkeys(key[2] for key in self.sums[0].sums))

    def _scores(
        self, forecaster: str, region: str, weights: np.ndarray, families: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Scores of each row of event weights; with one row, without that axis."""
        found: dict[str, np.ndarray] = {}
        for family in families or self._families():
            stacked = self._stacked(forecaster, region, family)
            # A sum that is NaN for all events, as of a scale that the grid has not, stays NaN.
            sums = {name: np.tensordot(weights, array, axes=1) for name, array in stacked.items()}
            if len(weights) == 1:
                sums = {name: array[0] for name, array in sums.items()}
            if family == "coverage":
                found["coverage"] = ratio(sums["said"], sums["observed"])
            else:
                found |= plugins.load(SCORES, family).values(sums)
        return found

    @cached_property
    def _drawn_scores(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        return {}

    def _drawn_by_lead(self, score: str, forecaster: str, threshold_mm_h: float | None) -> np.ndarray:
        """(draw, lead); empty without intervals."""
        if not len(self._draws):
            return np.zeros(0)
        family = self._family_of(score)
        key = (forecaster, family)
        if key not in self._drawn_scores:
            self._drawn_scores[key] = self._scores(forecaster, WHOLE, self._draws, [family])
        return self.column(self._drawn_scores[key][score], threshold_mm_h)

    def _drawn(self, score: str, forecaster: str, threshold_mm_h: float | None) -> np.ndarray:
        drawn = self._drawn_by_lead(score, forecaster, threshold_mm_h)
        return _mean(drawn) if drawn.size else drawn

    def _family_of(self, score: str) -> str:
        for family in self._families():
            names = ["coverage"] if family == "coverage" else plugins.load(SCORES, family).PERFECT
            if score in names:
                return family
        raise KeyError(score)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, what is not defined left out."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(ratio(total, defined.sum(axis=-1, keepdims=True))[..., 0])


def _interval(draws: np.ndarray) -> tuple[float, float]:
    defined = draws[np.isfinite(draws)]
    if defined.size < DRAWS / 2:
        return math.nan, math.nan
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
