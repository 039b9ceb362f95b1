"""Quantiles of an ensemble, interpolated linearly between its members.

>>> import numpy as np
>>> quantiles_of_sorted(np.array([1.0, 2.0, 4.0], np.float32), [0.0, 0.5, 0.75]).tolist()
[1.0, 2.0, 3.0]
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def quantiles_of_sorted(
    members: Float[np.ndarray, "member *grid"], quantiles: Sequence[float]
) -> Float[np.ndarray, "quantile *grid"]:
    """The value that each share of the members does not exceed; as NumPy's default.

    Args:
        members: sorted along the first axis, NaN last as NumPy sorts them; float32.
        quantiles: shares from 0 to 1.

    Returns:
        In the unit of the members, float32; the quantile is the first axis. Where a member is NaN the values mean
        nothing: the caller makes them NaN.
    """
    count = len(members)
    found = np.empty((len(quantiles), *members.shape[1:]), np.float32)
    for number, quantile in enumerate(quantiles):
        below, rest = divmod(quantile * (count - 1), 1.0)
        low, high = members[int(below)], members[min(int(below) + 1, count - 1)]
        found[number] = low + np.float32(rest) * (high - low)
    return found
