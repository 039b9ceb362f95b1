"""Spearman's rank correlation of a frame's rain rates, averaged over frames.

Every pixel's rate is replaced by its rank in the frame, equal rates sharing the mean of their ranks, and
`rank_correlation` is Pearson's correlation of the ranks: 1 if the forecast ranks all pixels as observed. A frame
with one rate only (a dry one), forecast or observed, has none and is left out. SciPy's ranks are used.

By hand: f = 1, 2, 3, 9 against o = 10, 30, 20, 40 has rank differences 0, 1, 1, 0: 1 - 6 * 2 / (4 * 15) = 0.8.

Source: Spearman 1904; `scipy.stats.spearmanr` gives the same.

    >>> import numpy as np
    >>> f, o = (np.array(v, np.float32).reshape(1, 1, 1, 4) for v in ([1, 2, 3, 9], [10, 30, 20, 40]))
    >>> round(float(values(statistics(f, o))["rank_correlation"][0]), 6)
    0.8
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from echocast.verification.base import Score, Sums, ratio, valid_pixels

SCORES = {"rank_correlation": Score("Spearman rank correlation", 1.0)}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (this score has none)
) -> Sums:
    """Sums of each frame's correlation, and the number of frames that have one, by lead."""
    counts = valid_pixels(forecast, observed)
    total, frames = np.zeros(forecast.shape[1]), np.zeros(forecast.shape[1])
    for case, lead in np.ndindex(*forecast.shape[:2]):
        valid = counts[case, lead]
        if not valid.any():
            continue
        f, o = (rankdata(rain[case, lead][valid]) for rain in (forecast, observed))
        f, o = f - f.mean(), o - o.mean()
        spread = np.sqrt((f * f).sum() * (o * o).sum())
        if spread > 0:
            total[lead] += (f * o).sum() / spread
            frames[lead] += 1
    return {"correlation": total, "frames": frames}


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The score, (lead,)."""
    return {"rank_correlation": ratio(sums["correlation"], sums["frames"])}
