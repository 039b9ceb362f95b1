"""What a score is: two pure functions.

A module of `echocast.verification.scores` has

- ``statistics(forecast, observed, *, thresholds) -> Sums``: sums over cases and pixels, kept apart by lead, that add;
- ``values(sums) -> dict[str, array]``: the scores by name, made of those sums, with dims (lead,) or (lead, threshold);
- ``PERFECT``: the value of each score for a perfect forecast.

So chunks, days and machines add, and ratios are pooled rather than averaged. `forecast` and `observed` are rain rates
(mm/h) of shape (case, lead, y, x); a pixel counts where both are finite. A score that nothing defines (0 / 0) is NaN.

    >>> import numpy as np
    >>> add({"n": np.ones(2)}, {"n": np.ones(2)})["n"].tolist()
    [2.0, 2.0]
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

Sums = dict[str, np.ndarray]
"""Named float64 sums with the axes (lead,) or (lead, threshold)."""

THRESHOLDS_MM_H = (0.5, 1.0, 2.0, 5.0, 10.0)


def add(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Sums:
    """The sums of two disjoint sets of cases together."""
    if a.keys() != b.keys():
        raise ValueError(f"sums of different scores do not add: {sorted(a)} and {sorted(b)}")
    return {name: a[name] + b[name] for name in a}


def both(
    forecast: Float[np.ndarray, "case lead y x"], observed: Float[np.ndarray, "case lead y x"]
) -> Bool[np.ndarray, "case lead y x"]:
    """Where a pixel counts: forecast and observed are both finite."""
    if forecast.shape != observed.shape or forecast.ndim != 4:
        raise ValueError(f"forecast {forecast.shape} and observed {observed.shape} must both be (case, lead, y, x)")
    return np.asarray(np.isfinite(forecast) & np.isfinite(observed))


def ratio(above: Float[np.ndarray, "*shape"], below: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """A quotient that is NaN, without a warning, where the divisor is 0."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) != 0))
