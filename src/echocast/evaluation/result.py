"""What a verification found: sums by bootstrap block, from which scores, intervals and differences are made.

Confidence intervals are those of a block bootstrap: as many UTC days as there are, drawn with replacement, make a
bootstrap sample; its sums are pooled into a score, and 1000 samples have a standard error, from which Student's t makes
an interval (`echocast.evaluation.intervals`). All forecasters have the same samples. Forecasts of one day are not
independent, so days, not windows, are drawn, and the runs of one day are drawn together.

Source: Efron and Tibshirani 1993; Hamill 1999, doi:10.1175/1520-0434(1999)014<0155:HTFENP>2.0.CO;2, for blocks of
cases in the verification of rain.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from echocast import plugins
from echocast.evaluation import brier_climate
from echocast.evaluation.brier_climate import BRIER_CLIMATE
from echocast.evaluation.by_mask import COMMON, MASKS, csi
from echocast.evaluation.climate import Climate
from echocast.evaluation.config import WHOLE_GRID, BootstrapBlock
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, Days, Estimate
from echocast.evaluation.used_archives import Use
from echocast.verification import families
from echocast.verification.base import Score, Sums, ratio

if TYPE_CHECKING:
    import pandas

CASE_THRESHOLD = 0.5
"""The rain rate (mm/h) whose CSI ranks single cases."""
COVERAGE = "coverage"
"""The score, and the family of its sums, that every verification has."""
_OF_NO_PACKAGE = {COVERAGE: {COVERAGE: Score("Coverage", 1.0)}, BRIER_CLIMATE: brier_climate.SCORES}
"""The scores of the families that are not of `echocast.verification.scores`."""


@dataclass
class BlockSums:
    """The sums of one bootstrap block by forecaster, region and family, and the CSI of each case."""

    sums: dict[tuple[str, str, str], Sums]
    case_scores: dict[str, list[float]]
    cases: list[tuple[int, float]]
    """First frame and fraction of wet pixels of each case."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for a file."""
        flat = {"\t".join((*key, name)): array for key, sums in self.sums.items() for name, array in sums.items()}
        flat |= {f"{name}\tcases": np.array(scores) for name, scores in self.case_scores.items()}
        return flat | {"cases": np.array(self.cases, np.float64).reshape(-1, 2)}

    @classmethod
    def from_arrays(cls, flat: Mapping[str, np.ndarray]) -> "BlockSums":
        """From what `to_arrays` gave."""
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
    """One value of a score."""

    forecaster: str
    score: str
    threshold_mm_h: float | None
    lead_minutes: float
    value: float
    region: str = WHOLE_GRID


@dataclass(frozen=True)
class Difference:
    """The score of one forecaster minus that of another, with its 95 % confidence interval (NaN without one).

    `p` is the two-sided p-value of no difference, not corrected for the number of comparisons.
    """

    value: float
    low: float
    high: float
    p: float = math.nan

    @property
    def significant(self) -> bool:
        """Whether the interval does not contain 0; never without an interval."""
        return bool(self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:+.3f}"
        suffix = "" if self.significant else ", not significant"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}{suffix}]"


@dataclass(frozen=True)
class VerificationResult:
    """The sums of some forecasters over the same cases, by bootstrap block.

    `first` and `last` are the times of the first and last frame used.
    """

    blocks: tuple[BootstrapBlock, ...]
    sums: tuple[BlockSums, ...]
    lead_minutes: tuple[float, ...]
    thresholds: tuple[float, ...]
    regions: tuple[str, ...]
    first: np.datetime64
    last: np.datetime64
    observations: str = ""
    """What the forecasts were compared with, in a sentence or two: radar, grid, Z-R relation, missing frames."""
    mask: str = COMMON
    """Which pixels were scored; see `VerificationConfig`."""
    uses: tuple[Use, ...] = ()
    """The archives that the forecasters were made with, as far as it is written down."""
    dependent: tuple[str, ...] = ()
    """The forecasters whose members are not drawn independently of each other."""
    grid_km: float | None = None
    """The side of a pixel; None without a place on Earth, and at stations."""
    climate: Climate | None = None
    """What probabilities were compared with beside the frequency in the scored sample."""

    @property
    def cases(self) -> int:
        """Number of forecasts of each forecaster."""
        return sum(len(block.starts) for block in self.blocks)

    @property
    def forecasters(self) -> tuple[str, ...]:
        """Their names, in the order in which they were given."""
        return tuple(self.sums[0].case_scores)

    @property
    def months(self) -> list[int]:
        """The months (1 to 12) of the cases."""
        return sorted({block.month for block in self.blocks})

    @cached_property
    def scores(self) -> dict[str, Score]:
        """What each score that was computed is, by its name."""
        return {name: score for name, (_, score) in self._declared.items()}

    @cached_property
    def values(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        """By forecaster and score an array (lead,) or (lead, threshold), of all cases and the whole grid."""
        return self.of()

    def of(self, *, region: str = WHOLE_GRID, month: int | None = None) -> dict[str, dict[str, np.ndarray]]:
        """The same of one region, and of one month."""
        chosen = np.array([1.0 if month in (None, block.month) else 0.0 for block in self.blocks])
        return {name: self._scores(name, region, chosen[None]) for name in self.forecasters}

    def pooled(self, forecaster: str, family: str, region: str = WHOLE_GRID) -> Sums:
        """The sums of one family of scores over all cases."""
        return {name: array.sum(axis=0) for name, array in self._stacked(forecaster, region, family).items()}

    def has(self, family: str) -> bool:
        """Whether a family of scores was computed."""
        return any(key[2] == family for key in self.sums[0].sums)

    def rows(self) -> Iterator[Row]:
        """Every value of every score."""
        for region in self.regions:
            for forecaster, scores in self.of(region=region).items():
                for score, array in scores.items():
                    for lead, value in zip(self.lead_minutes, array, strict=True):
                        columns = zip(self.thresholds, value, strict=True) if array.ndim == 2 else [(None, value)]
                        for threshold, number in columns:
                            yield Row(forecaster, score, threshold, lead, float(number), region)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Every value of every score, a row each: forecaster, score, threshold, lead, value and region."""
        import pandas  # a third of a second, for what few need

        return pandas.DataFrame([asdict(row) for row in self.rows()])

    def mean(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> float:
        """A score's mean over the leads where it is defined; NaN if it is defined at none.

        Raises:
            ValueError: no such score, forecaster or threshold; or none is given for a score that has thresholds.
        """
        return float(_mean(self.by_lead(score, forecaster, threshold_mm_h)))

    def by_lead(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> np.ndarray:
        """A score by lead; raises as `mean` does."""
        if forecaster not in self.forecasters:
            raise ValueError(f"no forecaster {forecaster!r} was scored; {plugins.hint(forecaster, self.forecasters)}")
        known = self.values[forecaster]
        if score not in known:
            near = score.lower() if score.lower() in known else score
            also = f"did you mean {near!r}?" if near in known else plugins.hint(score, sorted(known))
            raise ValueError(f"no score {score!r} was computed; {also}")
        if threshold_mm_h is None and known[score].ndim == 2:
            listed = ", ".join(f"{one:g}" for one in self.thresholds)
            raise ValueError(f"{score} has a value for each threshold; give one of {listed} mm/h")
        return self.column(known[score], threshold_mm_h)

    def column(self, array: np.ndarray, threshold_mm_h: float | None) -> np.ndarray:
        """The values of one threshold by lead, or the array itself without one; raises `ValueError` for another."""
        if threshold_mm_h is None:
            return array
        if threshold_mm_h not in self.thresholds:
            listed = ", ".join(f"{one:g}" for one in self.thresholds)
            raise ValueError(f"{threshold_mm_h:g} mm/h is none of the thresholds that were scored: {listed}")
        return np.asarray(array[..., self.thresholds.index(threshold_mm_h)])

    def value(
        self, score: str, forecaster: str, threshold_mm_h: float | None = None, lead_minutes: float | None = None
    ) -> float:
        """A score at one lead time, or its mean over all; raises as `mean` does."""
        values = self.by_lead(score, forecaster, threshold_mm_h)
        return float(_mean(values) if lead_minutes is None else values[self.lead_minutes.index(lead_minutes)])

    def interval(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> tuple[float, float]:
        """The 95 % confidence interval of `mean`; NaN with too few days."""
        return self.combination(score, {forecaster: 1.0}, threshold_mm_h).interval

    def difference(
        self,
        score: str,
        forecaster: str,
        other: str,
        threshold_mm_h: float | None = None,
        lead_minutes: float | None = None,
    ) -> Difference:
        """The score of one forecaster minus that of another, both over the same bootstrap samples.

        Args:
            score: its name, such as ``csi``.
            forecaster: whose score it is.
            other: whose score is subtracted.
            threshold_mm_h: of a score that has thresholds.
            lead_minutes: one lead time; the mean over all of them if None.
        """
        made = self.combination(score, {forecaster: 1.0, other: -1.0}, threshold_mm_h, lead_minutes)
        return Difference(made.value, *made.interval, made.p_zero)

    def combination(
        self,
        score: str,
        factors: Mapping[str, float],
        threshold_mm_h: float | None = None,
        lead_minutes: float | None = None,
    ) -> Estimate:
        """The sum of forecasters' scores, each times a factor, with its standard error over the bootstrap samples."""
        value = math.fsum(
            factor * self.value(score, name, threshold_mm_h, lead_minutes) for name, factor in factors.items()
        )
        days = self.event_days(threshold_mm_h)
        if not days.enough:
            return Estimate(value, math.nan, days.effective)
        total = np.zeros(BOOTSTRAP_SAMPLES)
        for name, factor in factors.items():
            sampled = self._sampled(score, name, threshold_mm_h)
            at = None if lead_minutes is None else self.lead_minutes.index(lead_minutes)
            total = total + factor * (_mean(sampled) if at is None else sampled[:, at])
        return Estimate.of(value, total, days)

    @property
    def days(self) -> tuple[str, ...]:
        """The UTC days of the forecasts, in the order of time; the runs of one day are one."""
        return tuple(sorted({_day(block) for block in self.blocks}))

    def event_days(self, threshold_mm_h: float | None = None) -> Days:
        """How many days had an event, and how many of equal weight are as good for the scores of a threshold.

        A day weighs as the events that were observed in it, at the lowest threshold for scores that have none.
        """
        column = 0 if threshold_mm_h is None else self.thresholds.index(threshold_mm_h)
        counts = self._stacked(self.forecasters[0], WHOLE_GRID, "contingency")
        events = (counts["hits"] + counts["misses"])[..., column].sum(axis=-1)
        return Days.of(np.bincount(self._day_of_block, weights=events))

    @property
    def masks(self) -> tuple[tuple[str, str], ...]:
        """The forecasters and masks whose CSI was kept; see `echocast.evaluation.by_mask`."""
        return tuple((name, mask) for name, mask, family in self.sums[0].sums if family == MASKS)

    def csi_by_mask(self, forecaster: str, mask: str, threshold_mm_h: float, *, by_case: bool = False) -> float:
        """The mean over leads of the CSI on other pixels: of pooled counts, or the mean over cases."""
        found = csi(self.pooled(forecaster, MASKS, mask))[by_case]
        return float(_mean(self.column(found, threshold_mm_h)))

    def sampled_csi_by_mask(self, forecaster: str, mask: str, threshold_mm_h: float) -> np.ndarray:
        """The same of pooled counts, of each bootstrap sample."""
        stacked = self._stacked(forecaster, mask, MASKS)
        sums = {name: np.tensordot(self._weights, array, axes=1) for name, array in stacked.items()}
        return _mean(self.column(ratio(sums["hits"], sums["either"]), threshold_mm_h))

    def standard_deviation_ratio(self, forecaster: str) -> float:
        """Forecast over observed standard deviation, mean over leads; NaN without the family ``continuous``."""
        if not self.has("continuous"):
            return math.nan
        sums = self.pooled(forecaster, "continuous")
        spread = [np.maximum(ratio(sums[2 * s], sums["n"]) - ratio(sums[s], sums["n"]) ** 2, 0.0) for s in "fo"]
        return float(_mean(np.sqrt(ratio(spread[0], spread[1]))))

    def ranked_cases(self, forecaster: str) -> list[tuple[int, float]]:
        """First frame and CSI of each case with rain on at least 1 % of the pixels, the lowest CSI first."""
        found = [
            (start, score)
            for sums in self.sums
            for (start, wet), score in zip(sums.cases, sums.case_scores[forecaster], strict=True)
            if wet >= 0.01 and math.isfinite(score)
        ]
        return sorted(found, key=lambda case: (case[1], case[0]))

    @cached_property
    def _day_of_block(self) -> np.ndarray:
        """Which of the days each block belongs to."""
        return np.array([self.days.index(_day(block)) for block in self.blocks])

    @cached_property
    def _weights(self) -> np.ndarray:
        """How often each block is in each bootstrap sample, (sample, block): that of its day."""
        count = len(self.days)
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_SAMPLES)
        return drawn.astype(float)[:, self._day_of_block]

    @cached_property
    def _declared(self) -> dict[str, tuple[str, Score]]:
        found = families.scores_of(family for family in self._families() if family not in _OF_NO_PACKAGE)
        for family in self._families():
            found |= {name: (family, score) for name, score in _OF_NO_PACKAGE.get(family, {}).items()}
        return found

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
        return list(dict.fromkeys(key[2] for key in self.sums[0].sums if key[2] != MASKS))

    def _scores(
        self, forecaster: str, region: str, weights: np.ndarray, chosen: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Scores of each row of block weights; with one row, without that axis."""
        found: dict[str, np.ndarray] = {}
        for family in chosen or self._families():
            stacked = self._stacked(forecaster, region, family)
            # A sum that is NaN in all blocks, as of a scale that the grid is too small for, stays NaN.
            sums = {name: np.tensordot(weights, array, axes=1) for name, array in stacked.items()}
            if len(weights) == 1:
                sums = {name: array[0] for name, array in sums.items()}
            if family == COVERAGE:
                found[COVERAGE] = ratio(sums["forecast"], sums["observed"])
            elif family == BRIER_CLIMATE:
                found |= brier_climate.values(sums)
            else:
                found |= families.load(family).values(sums)
        if forecaster in self.dependent:
            found |= {n: np.full_like(v, np.nan) for n, v in found.items() if self._declared[n][1].of_independent}
        return found

    @cached_property
    def _sampled_scores(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        return {}

    def _sampled(self, score: str, forecaster: str, threshold_mm_h: float | None) -> np.ndarray:
        """The score of each bootstrap sample, (sample, lead)."""
        family = self._declared[score][0]
        key = (forecaster, family)
        if key not in self._sampled_scores:
            self._sampled_scores[key] = self._scores(forecaster, WHOLE_GRID, self._weights, [family])
        return self.column(self._sampled_scores[key][score], threshold_mm_h)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, undefined values left out."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(ratio(total, defined.sum(axis=-1, keepdims=True))[..., 0])


def _day(block: BootstrapBlock) -> str:
    return str(block.issued.astype("datetime64[D]"))
