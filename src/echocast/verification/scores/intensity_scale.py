"""The intensity-scale skill score: how well the place of an event is forecast at each scale.

The difference of the two fields of "rate >= threshold" (1 or 0) is split by Haar wavelets into L + 1 parts: what varies
over 1, 2, 4, ... pixels, and the mean over the largest square. With MSE_j the mean square of part j and e the share of
observed events, f that of forecast events, `intensity_scale_j` = 1 - MSE_j (L + 1) / (f (1 - e) + e (1 - f)): 1 is
perfect, 0 as good as so many events at random places, at scale j. So a forecast with too few or too many events is not
compared with a random one that has the right number. MSE_j, e and f are averaged over frames first. A grid is filled up
to squares of 2^L pixels with no difference; scales of 1 to 32 pixels are reported, those that a grid is too small for
are NaN.

By hand: on 2x2 pixels the event observed in one and forecast in its neighbour: differences 1, -1, 0, 0 have mean 0, so
all of the mean square 0.5 is at scale 1; e = f = 0.25: 1 - 0.5 * 2 / (2 * 0.25 * 0.75) = -5/3.

Source: Casati et al. 2004, doi:10.1017/S1350482704001239; Casati 2010, doi:10.1175/2009WAF2222257.1, for forecasts with
a bias. Where f = e the numbers are those of pysteps on grids of 2^L pixels, which divides by 2 e (1 - e) always.

    >>> import numpy as np
    >>> observed = np.zeros((1, 1, 2, 2), np.float32); observed[..., 0, 0] = 1
    >>> forecast = np.zeros((1, 1, 2, 2), np.float32); forecast[..., 0, 1] = 1
    >>> round(float(values(statistics(forecast, observed, thresholds=(0.5,)))["intensity_scale_1"][0, 0]), 4)
    -1.6667
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, ratio, valid_pixels

SCALES = (1, 2, 4, 8, 16, 32)
SCORES = {
    f"intensity_scale_{scale}": Score(
        f"Intensity-scale skill score at {scale} pixel{'s' if scale > 1 else ''}", 1.0, abbreviation=f"ISS {scale}"
    )
    for scale in SCALES
}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Sums over frames of the mean squares of each scale and of the share of events, by lead and threshold."""
    counts = valid_pixels(forecast, observed)
    pixels = counts.sum(axis=(2, 3))
    valid = pixels > 0
    levels = int(np.ceil(np.log2(max(2, *forecast.shape[-2:]))))
    side = 2**levels
    shape = (forecast.shape[1], len(thresholds))
    sums: Sums = {f"mse_{scale}": np.zeros(shape) for scale in SCALES}
    sums |= {
        "share": np.zeros(shape),
        "forecast_share": np.zeros(shape),
        "frames": np.zeros(shape),
        "parts": np.zeros(shape),
    }
    full = (*forecast.shape[:2], side, side)
    for column, threshold in enumerate(thresholds):
        event, warned = (observed >= threshold) & counts, (forecast >= threshold) & counts
        difference = np.zeros(full)
        difference[..., : forecast.shape[2], : forecast.shape[3]] = warned * 1.0 - event
        for name, what in (("share", event), ("forecast_share", warned)):
            sums[name][:, column] = ratio(what.sum(axis=(2, 3)), np.maximum(pixels, 1)).sum(axis=0)
        sums["frames"][:, column] = valid.sum(axis=0)
        sums["parts"][:, column] = valid.sum(axis=0) * (levels + 1)
        # The parts are orthogonal, so each one's mean square is a difference of mean squares of means.
        fill = side * side / np.maximum(pixels, 1)
        power = [(difference**2).mean(axis=(2, 3)) * fill]
        for _ in range(levels):
            half = difference.shape[2] // 2
            difference = difference.reshape(*difference.shape[:2], half, 2, half, 2).mean(axis=(3, 5))
            power.append((difference**2).mean(axis=(2, 3)) * fill)
        for j, scale in enumerate(SCALES):
            if j < levels:
                sums[f"mse_{scale}"][:, column] = (power[j] - power[j + 1]).sum(axis=0)
            else:
                sums[f"mse_{scale}"][:, column] = np.nan
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The score of each scale, (lead, threshold)."""
    share = ratio(sums["share"], sums["frames"])
    warned = ratio(sums["forecast_share"], sums["frames"])
    by_chance = warned * (1 - share) + share * (1 - warned)
    parts = ratio(sums["parts"], sums["frames"])
    return {
        f"intensity_scale_{scale}": 1.0 - ratio(ratio(sums[f"mse_{scale}"], sums["frames"]) * parts, by_chance)
        for scale in SCALES
    }
