"""Probability of exceedance: the share of the members that reach or exceed a threshold.

>>> import numpy as np
>>> members = np.array([[0.2, 3.0], [1.0, np.nan]], np.float32)
>>> probability_of_exceedance(members, [1.0]).tolist()
[[0.5, nan]]
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def probability_of_exceedance(
    members: Float[np.ndarray, "member *grid"], thresholds: Sequence[float]
) -> Float[np.ndarray, "threshold *grid"]:
    """The share of the members at or above each threshold, NaN where not all members are known.

    Args:
        members: the values of the members, float32; the member is the first axis.
        thresholds: in the unit of the members; each is compared in single precision.

    Returns:
        From 0 to 1, float32; the threshold is the first axis.
    """
    unknown = np.isnan(members.sum(axis=0))
    shares = np.empty((len(thresholds), *members.shape[1:]), np.float32)
    for share, threshold in zip(shares, thresholds, strict=True):
        reached = (members >= np.float32(threshold)).view(np.uint8)
        np.divide(reached.sum(axis=0, dtype=np.min_scalar_type(len(members))), len(members), out=share)
        share[unknown] = np.nan
    return shares
