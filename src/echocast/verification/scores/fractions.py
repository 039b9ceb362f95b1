"""FSS, the fractions skill score of exceeding a rain rate, over squares of 5 and 17 pixels.

For the event "rain rate >= threshold", P is the share of pixels with the event in the square around a pixel, of those
where forecast and observed are both finite. Over all pixels that count,

    FSS = 1 - sum (P_f - P_o)^2 / (sum P_f^2 + sum P_o^2)

1 is perfect, 0 no overlap at this scale; NaN where neither side has an event. Sums are pooled over cases before the
quotient, and at the border the square is what lies inside. By hand: a row of 5 pixels, the event forecast in the first
and seen in the third, squares of 3: P_f = 1/2, 1/3, 0, 0, 0 (the first cut by the border) and P_o = 0, 1/3, 1/3, 1/3, 0
give 1 - (17/36) / (25/36) = 0.32.

Source: Roberts and Lean 2008, doi:10.1175/2007MWR2123.1.

    >>> import numpy as np
    >>> forecast = np.array([0, 1, 0, 0, 0], np.float32).reshape(1, 1, 1, 5)
    >>> float(values(statistics(forecast, forecast, thresholds=(0.5,)))["fss_5"][0, 0])
    1.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter

from echocast.verification.base import THRESHOLDS_MM_H, Sums, both, ratio

SCALES = (5, 17)
"""Sides of the squares in pixels, odd."""
PERFECT = {f"fss_{scale}": 1.0 for scale in SCALES}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
    scales: Sequence[int] = SCALES,
) -> Sums:
    """Sums of squared differences and of squares of the fractions by lead and threshold (mm/h), for each scale."""
    counts = both(forecast, observed)
    sums: Sums = {}
    for scale in scales:
        differing = np.zeros((forecast.shape[1], len(thresholds)))
        either = np.zeros_like(differing)
        seen = _means(counts, scale)
        for column, threshold in enumerate(thresholds):
            shares = [
                np.where(counts, _means((rain >= threshold) & counts, scale) / np.where(seen > 0, seen, 1.0), 0.0)
                for rain in (forecast, observed)
            ]
            differing[:, column] = ((shares[0] - shares[1]) ** 2).sum(axis=(0, 2, 3))
            either[:, column] = (shares[0] ** 2 + shares[1] ** 2).sum(axis=(0, 2, 3))
        sums |= {f"differing_{scale}": differing, f"either_{scale}": either}
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The FSS of each scale, (lead, threshold)."""
    scales = [name.removeprefix("either_") for name in sums if name.startswith("either_")]
    return {f"fss_{scale}": 1.0 - ratio(sums[f"differing_{scale}"], sums[f"either_{scale}"]) for scale in scales}


def _means(event: np.ndarray, scale: int) -> np.ndarray:
    """Means over squares, what lies outside counted as nothing; rounding of the running sums taken away."""
    mean = uniform_filter(event.astype(np.float64), size=(1, 1, scale, scale), mode="constant")
    return np.asarray(np.round(mean * scale * scale) / (scale * scale))
