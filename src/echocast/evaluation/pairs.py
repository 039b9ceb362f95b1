"""How much better one forecaster is than the first, on the pixels that these two have.

On the pixels that all forecasters have, one with large gaps decides where all are compared. Here each is compared on
everything that it shares with the first one.

>>> str(pair_difference(result, "lagrangian", 0.5))  # doctest: +SKIP
'+0.041 [+0.020, +0.062]'
"""

from echocast.evaluation.by_mask import pair
from echocast.evaluation.intervals import Estimate
from echocast.evaluation.result import Difference, VerificationResult


def pair_difference(result: VerificationResult, forecaster: str, threshold_mm_h: float) -> Difference:
    """The CSI of a forecaster minus that of the first one, mean over leads, with its 95 % confidence interval.

    Both over the same bootstrap samples, as `VerificationResult.difference` has it on the common pixels; the number of
    effective days is the one of those.

    Args:
        result: a verification of two or more forecasters.
        forecaster: any but the first.
        threshold_mm_h: one that was scored.

    Raises:
        ValueError: no such threshold, or no such forecaster beside the first.
    """
    first, *others = result.forecasters
    if forecaster not in others:
        raise ValueError(f"forecaster={forecaster!r} must be one of {', '.join(others)}: {first} is compared with them")
    own, reference = (forecaster, pair(first)), (first, pair(forecaster))
    value = result.csi_by_mask(*own, threshold_mm_h) - result.csi_by_mask(*reference, threshold_mm_h)
    samples = [result.sampled_csi_by_mask(*key, threshold_mm_h) for key in (own, reference)]
    made = Estimate.of(value, samples[0] - samples[1], result.event_days(threshold_mm_h))
    return Difference(made.value, *made.interval, made.p_zero)
