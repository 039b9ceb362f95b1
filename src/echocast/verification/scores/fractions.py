"""FSS, the fractions skill score of exceeding a rain rate, over squares of 5 and 17 pixels.

For the event "rain rate >= threshold", P is the share of pixels with the event in the square around a pixel, of those
where forecast and observed are both finite. Over all pixels that count,

    FSS = 1 - sum (P_f - P_o)^2 / (sum P_f^2 + sum P_o^2) = 2 sum P_f P_o / (sum P_f^2 + sum P_o^2)

1 is perfect, 0 no overlap at this scale; NaN where an event is neither forecast nor observed. Sums are pooled over
cases before the quotient, and at the border the square is what lies inside. By hand: a row of 5 pixels, the event
forecast in the first and observed in the third, squares of 3: P_f = 1/2, 1/3, 0, 0, 0 (the first cut by the border) and
P_o = 0, 1/3, 1/3, 1/3, 0 give 1 - (17/36) / (25/36) = 0.32.

Source: Roberts and Lean 2008, doi:10.1175/2007MWR2123.1.

    >>> import numpy as np
    >>> forecast = np.array([0, 1, 0, 0, 0], np.float32).reshape(1, 1, 1, 5)
    >>> float(values(statistics(forecast, forecast, thresholds=(0.5,)))["fss_5"][0, 0])
    1.0
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, each_lead, ratio, valid_pixels

SCALES = (5, 17)
"""Sides of the squares in pixels, odd."""
SCORES = {
    f"fss_{scale}": Score(
        f"Fractions skill score over {scale} x {scale} pixels",
        1.0,
        abbreviation=f"FSS {scale}",
        main=scale == max(SCALES),
    )
    for scale in SCALES
}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
    scales: Sequence[int] = SCALES,
) -> Sums:
    """Sums of products and of squares of the fractions by lead and threshold (mm/h), for each scale."""
    counts = valid_pixels(forecast, observed)
    shape = (forecast.shape[1], len(thresholds))
    sums: Sums = {f"{name}_{scale}": np.zeros(shape) for scale in scales for name in ("shared", "either")}
    apart = max(scales) // 2

    def work(lead: int) -> None:
        # All cases of a lead in one tall array, so far apart that no square covers two of them.
        valid = _stacked(counts[:, lead], apart)
        if not valid.any():
            return
        f, o = (_stacked(np.where(counts[:, lead], rain[:, lead], -np.inf), apart) for rain in (forecast, observed))
        # One over the pixels that count in each square; 0 where the pixel in the middle does not count.
        shares = {scale: valid / np.maximum(_counted(valid, scale), np.float32(1)) for scale in scales}
        # Large arrays are made once: to get memory from the system takes longer than to fill it.
        event_f, event_o, p_f, p_o = (np.empty(f.shape, kind) for kind in (bool, bool, np.float32, np.float32))
        for column, threshold in enumerate(thresholds):
            np.greater_equal(f, threshold, out=event_f)
            np.greater_equal(o, threshold, out=event_o)
            if not (event_f.any() or event_o.any()):
                continue
            for scale, share in shares.items():
                np.multiply(_counted(event_f, scale, p_f), share, out=p_f)
                np.multiply(_counted(event_o, scale, p_o), share, out=p_o)
                sums[f"either_{scale}"][lead, column] = _product(p_f, p_f) + _product(p_o, p_o)
                sums[f"shared_{scale}"][lead, column] = _product(p_f, p_o)

    each_lead(work, shape[0])
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The FSS of each scale, (lead, threshold)."""
    scales = [name.removeprefix("either_") for name in sums if name.startswith("either_")]
    return {f"fss_{scale}": ratio(2.0 * sums[f"shared_{scale}"], sums[f"either_{scale}"]) for scale in scales}


def _stacked(frames: Shaped[np.ndarray, "case y x"], apart: int) -> Shaped[np.ndarray, "rows x"]:
    """Frames one below the other, with rows between that count for nothing."""
    cases, rows, columns = frames.shape
    if cases == 1:
        return np.ascontiguousarray(frames[0])
    nothing = False if frames.dtype == bool else -np.inf
    tall = np.full((cases, rows + apart, columns), nothing, frames.dtype)
    tall[:, :rows] = frames
    return tall.reshape(-1, columns)


def _counted(event: Bool[np.ndarray, "y x"], scale: int, out: np.ndarray | None = None) -> Float[np.ndarray, "y x"]:
    """How many pixels of each square have the event, pixels outside the frame counted as none: exact, in 32 bits."""
    size, border = (scale, scale), cv2.BORDER_CONSTANT
    levels = event.view(np.uint8)
    return np.asarray(cv2.boxFilter(levels, cv2.CV_32F, size, out, normalize=False, borderType=border))


def _product(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of products: of a few rows at a time in 32 bits, of those in 64."""
    some = max(1, 2**16 // a.shape[1])
    return sum(float(np.vdot(a[row : row + some], b[row : row + some])) for row in range(0, len(a), some))
