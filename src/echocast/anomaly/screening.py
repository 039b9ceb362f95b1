"""What is odd about a radar frame by itself: how much of the grid it observes, echoes that stand alone, rates too high.

A forecast tells little of these: a mask that flickers hides cells, and a single absurd cell is lost in a mean. Each
measure is compared with the same measure of the frames around it in time.

    >>> rain = np.zeros((1, 5, 5))
    >>> rain[0, 2, 2] = 400.0
    >>> {name: float(value[0]) for name, value in measures(rain).items()}
    {'observed': 25.0, 'isolated': 1.0, 'extreme': 1.0}
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float
from scipy.ndimage import median_filter, uniform_filter

WET_MM_H = 0.5
"""A cell with at least so much rain is an echo."""
EXTREME_MM_H = 200.0
"""Rain at this rate is rare in a cell of a kilometre; clutter and interference exceed it easily."""
_NEIGHBOURS = 2
"""An echo with fewer wet cells among the eight around it stands alone."""
_WINDOW = 25
"""Frames around a frame that it is compared with."""
FLOORS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "observed": lambda _: np.array(1.0),
    "isolated": lambda median: np.sqrt(np.maximum(median, 1.0)),
    "extreme": lambda median: np.sqrt(np.maximum(median, 1.0)),
    "error": lambda median: 0.002 + 0.25 * median,
}
"""The least standard deviation of each measure, from its median around a frame.

One cell; of what is counted the root of the count, as of independent events; of the error a quarter, for where it rains
more, more is missed.
"""


def measures(rain: Float[np.ndarray, "frames y x"]) -> dict[str, Float[np.ndarray, "frames"]]:
    """What is measured of each frame.

    Args:
        rain: mm/h, NaN where nothing is observed.

    Returns:
        The number of cells that are ``observed``, of ``isolated`` echoes, and of ``extreme`` ones, 200 mm/h and more.
    """
    observed, wet = np.isfinite(rain), np.nan_to_num(rain) >= WET_MM_H
    isolated = []
    for frame in wet:
        around = np.rint(uniform_filter(frame.astype(np.float32), 3, mode="constant") * 9)
        isolated.append((frame & (around - 1 < _NEIGHBOURS)).sum())
    found = {
        "observed": observed.sum(axis=(1, 2)),
        "isolated": isolated,
        "extreme": (np.nan_to_num(rain) >= EXTREME_MM_H).sum(axis=(1, 2)),
    }
    return {name: np.asarray(count, np.float64) for name, count in found.items()}


def deviations(name: str, values: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames"]:
    """How far each frame is above the median of those around it, in robust standard deviations.

    The standard deviation is 1.4826 times the median of the absolute differences from that median, over all frames, but
    at least that of `FLOORS`. What is observed may also be far below it.

    Args:
        name: the measure.
        values: one for each frame; NaN where it is not known, and in the result.
    """
    known = np.isfinite(values)
    found = np.full(values.shape, np.nan)
    if not known.any():
        return found
    kept = values[known]
    around = median_filter(kept, min(_WINDOW, 2 * (len(kept) // 2) + 1), mode="mirror")
    difference = kept - around
    spread = np.maximum(1.4826 * np.median(np.abs(difference)), FLOORS[name](around))
    found[known] = (np.abs(difference) if name == "observed" else difference) / spread
    return found
