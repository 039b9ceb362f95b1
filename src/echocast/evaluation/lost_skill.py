"""The lead time at which a forecast is no better than persistence.

>>> minutes = (5.0, 10.0, 15.0)
>>> lost_at(np.array([0.2, 0.1, -0.1]), minutes), lost_at(np.array([0.2, 0.1, 0.1]), minutes)
(12.5, inf)
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.evaluation.result import VerificationResult


def lost_at(gain: Float[np.ndarray, "lead"], lead_minutes: Sequence[float]) -> float:
    """When a gain over persistence first falls to 0, in minutes, interpolated between two lead times.

    Infinite where it stays above 0 at all lead times; the first lead time where it is 0 or less from the beginning; NaN
    where it is not defined at one of the lead times before.
    """
    for lead, value in enumerate(gain):
        if math.isnan(value):
            return math.nan
        if value <= 0:
            if lead == 0:
                return lead_minutes[0]
            before = float(gain[lead - 1])
            part = before / (before - float(value))
            return lead_minutes[lead - 1] + part * (lead_minutes[lead] - lead_minutes[lead - 1])
    return math.inf


def lost_skill(
    result: VerificationResult,
    forecaster: str,
    score: str,
    threshold_mm_h: float | None = None,
    *,
    baseline: str = "persistence",
) -> float:
    """When a forecaster is first no better than another one in a score, in minutes; see `lost_at`.

    Better is nearer to the value of a perfect forecast.

    Raises:
        ValueError: as `VerificationResult.mean`.
    """
    own, theirs = (result.by_lead(score, name, threshold_mm_h) for name in (forecaster, baseline))
    perfect = result.scores[score].perfect
    return lost_at(np.abs(theirs - perfect) - np.abs(own - perfect), result.lead_minutes)
