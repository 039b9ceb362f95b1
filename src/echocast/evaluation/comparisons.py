"""Whether one forecaster is better than another, or at least not worse: tests, corrected for how many there are.

Two questions are asked of each two forecasters, score and threshold:

- *equal skill*: could the difference be chance? A two-sided test of the difference by days.
- *not worse*: is it shown that the forecaster is not worse by more than a margin, by default 1 % of the other's score?
  A one-sided test of (gain + margin times the other's score) above 0. That no difference was found does not show it.

Many comparisons find something by chance, so the p-values are corrected by Holm's method for all scores, thresholds and
forecasters that are compared with the same other one, as means over lead times; those of single lead times for all of
these together.

    >>> [one.verdict for one in compare(result, "persistence")]  # doctest: +SKIP
    ['better', 'not worse']

Source: Hamill 1999, doi:10.1175/1520-0434(1999)014<0155:HTFENP>2.0.CO;2, for tests of paired days; Holm 1979; Wellek
2010, Testing Statistical Hypotheses of Equivalence and Noninferiority, for the margin.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from echocast.evaluation.intervals import holm
from echocast.evaluation.result import Difference, VerificationResult

MARGIN = 0.01
"""How much worse, as a part of the other's score, still counts as not worse."""
LEVEL = 0.05
"""A corrected p-value below this decides."""


@dataclass(frozen=True)
class Comparison:
    """One forecaster against another in one score.

    Args:
        forecaster: whose score it is.
        other: with whom it is compared.
        score: its name.
        threshold_mm_h: of a score that has thresholds.
        lead_minutes: one lead time, or None for the mean over all.
        difference: the score of `forecaster` minus that of `other`.
        gain: the same, with a plus for what is nearer to a perfect forecast; NaN of a score without a perfect value.
        p_equal: of equal skill, uncorrected; NaN where there are too few days.
        p_worse: of "worse by the margin or more", uncorrected.
        p_equal_corrected: by Holm.
        p_worse_corrected: by Holm.
    """

    forecaster: str
    other: str
    score: str
    threshold_mm_h: float | None
    lead_minutes: float | None
    difference: Difference
    gain: float
    p_equal: float
    p_worse: float
    p_equal_corrected: float = math.nan
    p_worse_corrected: float = math.nan

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``not worse`` (within the margin), ``undecided`` or ``too few days``."""
        if math.isnan(self.p_equal):
            return "too few days"
        if self.p_equal_corrected < LEVEL and self.gain:
            return "better" if self.gain > 0 else "worse"
        return "not worse" if self.p_worse_corrected < LEVEL else "undecided"


def compare(
    result: VerificationResult,
    other: str,
    *,
    scores: Sequence[str] | None = None,
    leads: bool = False,
    margin: float = MARGIN,
) -> list[Comparison]:
    """Every other forecaster against one, with corrected p-values.

    Args:
        result: of a verification.
        other: the forecaster that they are compared with.
        scores: by default the main ones.
        leads: at each lead time, not as the mean over them.
        margin: of the test whether a forecaster is not worse, as a part of the other's score.
    """
    chosen = scores or [name for name, score in result.scores.items() if score.main]
    times = result.lead_minutes if leads else (None,)
    made = [
        _one(result, name, other, (score, threshold, lead), margin)
        for name in result.forecasters
        if name != other
        for score in chosen
        for threshold in (result.thresholds if result.values[name][score].ndim == 2 else (None,))
        for lead in times
    ]
    return _corrected(made)


def _corrected(made: Iterable[Comparison]) -> list[Comparison]:
    found = list(made)
    equal, worse = holm([one.p_equal for one in found]), holm([one.p_worse for one in found])
    return [
        replace(one, p_equal_corrected=p, p_worse_corrected=q) for one, p, q in zip(found, equal, worse, strict=True)
    ]


def _one(
    result: VerificationResult,
    name: str,
    other: str,
    what: tuple[str, float | None, float | None],
    margin: float,
) -> Comparison:
    score, threshold, lead = what
    own, theirs = (result.value(score, one, threshold, lead) for one in (name, other))
    difference = result.difference(score, name, other, threshold, lead)
    perfect = result.scores[score].perfect
    towards = float(np.sign(perfect - theirs)) if theirs != perfect else -float(np.sign(own - theirs))
    allowed = result.combination(
        score, {name: towards, other: margin * math.copysign(1, theirs) - towards}, threshold, lead
    )
    known = math.isfinite(towards)
    return Comparison(
        name, other, score, threshold, lead, difference, towards * (own - theirs) if known else math.nan,
        difference.p, allowed.p_not_above_zero if known else math.nan,
    )  # fmt: skip
