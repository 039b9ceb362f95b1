"""The skilful scale of the FSS: over squares of how many pixels the forecast places events usefully.

The FSS (`fractions`) grows with the side of the squares. `fss_skilful_scale` is the side in pixels at which it reaches
0.5 + s / 2, with s the observed frequency of the event: halfway between the FSS of events at random places and 1. It is
interpolated between squares of 1, 3, 5, 9, 17, 33, 65 and 129 pixels on the logarithm of the side; 1 if single pixels
are useful; NaN if squares of 129 pixels are not, or none was observed. By hand: an event forecast everywhere and
observed in half of the pixels has FSS 2 * 0.5 / (1 + 0.5) = 2/3 at one pixel, below 0.75.

Source: Roberts and Lean 2008, doi:10.1175/2007MWR2123.1, section 3.

    >>> import numpy as np
    >>> observed = np.zeros((1, 1, 32, 32), np.float32); observed[..., 10:14, 10:14] = 1
    >>> float(values(statistics(observed, observed, thresholds=(0.5,)))["fss_skilful_scale"][0, 0])
    1.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, ratio, valid_pixels
from echocast.verification.scores import fractions

SCALES = (1, 3, 5, 9, 17, 33, 65, 129)
SCORES = {"fss_skilful_scale": Score("Skilful scale of the FSS in pixels", 1.0)}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """The sums of the FSS at each scale, and of events and pixels, (lead, threshold)."""
    counts = valid_pixels(forecast, observed)
    sums = fractions.statistics(forecast, observed, thresholds=thresholds, scales=SCALES)
    events = [(counts & (observed >= threshold)).sum(axis=(0, 2, 3)) for threshold in thresholds]
    sums["events"] = np.stack(events, axis=-1).astype(float)
    sums["pixels"] = np.broadcast_to(counts.sum(axis=(0, 2, 3))[:, None], sums["events"].shape).astype(float)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scale, (lead, threshold)."""
    frequency = ratio(sums["events"], sums["pixels"])
    useful = np.where(sums["events"] > 0, 0.5 + frequency / 2, np.nan)
    found = fractions.values(sums)
    curve = np.stack([found[f"fss_{scale}"] for scale in SCALES], axis=-1)
    return {"fss_skilful_scale": _first_reached(curve, useful)}


def _first_reached(curve: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The smallest scale from which on a curve (..., scale) is at least a level, between two scales by log side."""
    logs = np.log(SCALES)
    reached = curve >= level[..., None]
    first = reached.argmax(axis=-1)
    before = np.maximum(first - 1, 0)
    low, high = (np.take_along_axis(curve, at[..., None], axis=-1)[..., 0] for at in (before, first))
    part = np.where(first > 0, ratio(level - low, high - low), 0.0)
    scale = np.exp(logs[before] + part * (logs[first] - logs[before]))
    return np.where(reached.any(axis=-1), scale, np.nan)
