"""Whether weights forecast better than those that they began with, on frames that neither learned from.

>>> judge(field, base.resolve("lagrangian"), base.load(Path("mine.safetensors")), parts)  # doctest: +SKIP
Improvement(...)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import fields
from echocast.evaluation.config import VerificationConfig
from echocast.evaluation.result import Difference, VerificationResult
from echocast.evaluation.runner import evaluate
from echocast.models.base import Forecaster, LearnedEnsemble
from echocast.samples.segments import window_starts

BEFORE, AFTER = "before", "after"
THRESHOLDS_MM_H = (0.5, 1.0, 2.0, 5.0)
MEMBERS = 8
MIN_GAIN = 0.005
"""The share by which the mean CSI must rise: less than this is chance on a few days."""
CRPS_MARGIN = 0.01
"""By how much, as a share, the CRPS of members may be higher all the same."""


@dataclass(frozen=True)
class Improvement:
    """The scores of two forecasters on the same cases.

    Args:
        forecast: of their deterministic forecasts.
        members: of their members; None where they make none.
    """

    forecast: VerificationResult
    members: VerificationResult | None

    def csi(self, which: str) -> float:
        """The mean CSI over lead times and the thresholds at which both have one."""
        both = [[self.forecast.mean("csi", name, limit) for limit in THRESHOLDS_MM_H] for name in (BEFORE, AFTER)]
        known = np.isfinite(both).all(axis=0)
        return float(np.mean(np.array(both[which == AFTER])[known])) if known.any() else 0.0

    def crps(self, which: str) -> float:
        """The mean CRPS of members in mm/h; NaN without members."""
        return self.members.mean("crps", which) if self.members else np.nan

    @property
    def gain(self) -> float:
        """By what share the mean CSI rose."""
        return self.csi(AFTER) / self.csi(BEFORE) - 1.0 if self.csi(BEFORE) else 0.0

    @property
    def crps_change(self) -> float:
        """By what share the CRPS of members rose; 0 without members."""
        return self.crps(AFTER) / self.crps(BEFORE) - 1.0 if self.members and self.crps(BEFORE) > 0 else 0.0

    @property
    def better(self) -> bool:
        """Whether the CSI rose by `MIN_GAIN`, and the CRPS of members by no more than `CRPS_MARGIN`."""
        return self.gain >= MIN_GAIN and self.crps_change <= CRPS_MARGIN

    def difference(self, threshold_mm_h: float) -> Difference:
        """The change of the CSI, mean over lead times, with its interval if there are days enough."""
        return self.forecast.difference("csi", AFTER, BEFORE, threshold_mm_h)


def judge(
    rain: xr.DataArray,
    before: Forecaster,
    after: Forecaster,
    parts: Sequence[slice],
    *,
    past: int,
    lead_minutes: float,
    cases: int,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> Improvement:
    """Score both on the same cases.

    Args:
        rain: an archive's field.
        before: the forecaster to beat.
        after: the other one.
        parts: the segments of frames that neither learned from.
        past: frames given to each forecast.
        lead_minutes: the longest lead time.
        cases: forecasts of each, evenly in time, at most; half as many of members, which take longer.
        on_case: called with the number of cases done and in all.

    Raises:
        MissingFrames: no case fits into the parts.
    """
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    leads = max(2, round(lead_minutes / step))
    ensembles = all(isinstance(one, LearnedEnsemble) for one in (before, after))
    total = cases + (cases // 2 if ensembles else 0)

    def scored(count: int, first: int, members: int | None, families: tuple[str, ...]) -> VerificationResult:
        stride = stride_for(parts, past, leads, count)
        how = VerificationConfig(
            past=past, leads=leads, stride=stride, thresholds=THRESHOLDS_MM_H, scores=families, members=members
        )
        return evaluate(
            rain,
            {BEFORE: before, AFTER: after},
            how,
            segments=parts,
            on_case=lambda done, _: on_case(first + done, total),
        )

    forecast = scored(cases, 0, None, ("contingency", "continuous"))
    members = scored(max(1, cases // 2), cases, MEMBERS, ("contingency", "crps")) if ensembles else None
    return Improvement(forecast, members)


def stride_for(parts: Sequence[slice], past: int, leads: int, cases: int) -> int:
    """Frames between two cases, so that there are at most so many; one in each part at least."""
    stride = 1
    while len(window_starts(parts, past, leads, stride)) > max(cases, len(parts)):
        stride += 1
    return stride
