"""The motion of rain as forecasts take it: a dense optical flow, refined until it is right over several frames.

>>> still = np.zeros((3, 64, 64), np.float32)
>>> float(np.abs(rain_motion(still)).max())
0.0
"""

import math

import numpy as np
from jaxtyping import Float

from echocast.motion import Method
from echocast.motion.flow import dense_flow
from echocast.motion.refined import refined_cases

_CELL_KM = 3.0
"""Frames are compared on cells of about this size."""
_MOST_CELLS = 400_000
"""On so many cells at most, for time and memory."""
_ITERATIONS = 8


def rain_motion(
    frames: Float[np.ndarray, "time y x"],
    *,
    pixel_km: float = 1.0,
    step_minutes: float = 5.0,
    pairs: int = 3,
    min_smoothing_px: float = 2.5,
    method: Method = "both",
    node_km: float = 48.0,
    minutes_back: float = 20.0,
) -> Float[np.ndarray, "2 y x"]:
    """The motion of the newest frames: `dense_flow`, refined by `refined`.

    Args:
        frames: rain rate in mm/h, oldest first; NaN where nothing is observed.
        pixel_km: size of a pixel in km.
        step_minutes: time between two frames in minutes.
        pairs: see `echocast.motion.flow.dense_flow`, as `min_smoothing_px` and `method`.
        min_smoothing_px: the least standard deviation of the Gaussian that smooths the flow.
        method: of the flow.
        node_km: distance in km of the places where the correction is given.
        minutes_back: how far back frames are carried onto the newest, in 2 to 5 steps.

    Returns:
        Displacement (y, x) in pixels per step.
    """
    first = dense_flow(frames, pairs=pairs, min_smoothing_px=min_smoothing_px, method=method)
    made = refined_motions(
        frames[None], first[None], pixel_km=pixel_km, step_minutes=step_minutes, node_km=node_km,
        minutes_back=minutes_back,
    )  # fmt: skip
    return np.asarray(made[0])


def refined_motions(
    frames: Float[np.ndarray, "case time y x"],
    first: Float[np.ndarray, "case 2 y x"],
    *,
    pixel_km: float = 1.0,
    step_minutes: float = 5.0,
    node_km: float = 48.0,
    minutes_back: float = 20.0,
) -> Float[np.ndarray, "case 2 y x"]:
    """Motions made better by `refined_cases`, with the cells and steps of `rain_motion`.

    Several cases together are faster than one after the other, and slightly different.
    """
    coarsen = max(1, round(_CELL_KM / pixel_km), math.ceil(math.sqrt(first[0, 0].size / _MOST_CELLS)))
    back = min(5, max(2, round(minutes_back / step_minutes)))
    # The minimum of many cases together is found more slowly than that of one.
    iterations = _ITERATIONS if len(frames) == 1 else 2 * _ITERATIONS
    return refined_cases(
        frames, first, node_px=node_km / pixel_km, coarsen=coarsen, steps_back=back, iterations=iterations
    )
