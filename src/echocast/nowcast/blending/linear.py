"""Linear blending: the weight of the NWP rises linearly between two leads."""

from typing import Any

import numpy as np

from echocast.nowcast.blending.base import Blended, Sources, by_cells, ramp


def blend(sources: Sources) -> Blended:
    """Each cell is the weighted mean of nowcast and NWP.

    Source: pysteps' linear blending, which it equals (`tests/nowcast/test_blending.py`).
    """
    start, end = sources.between
    told = f"linear: the nowcast alone to {start:g} min, NWP alone from {end:g} min, linear between"
    return by_cells(sources, ramp(sources.minutes, sources.between), _mixed, told)


def _mixed(_: int, nowcast: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mixed: Any = weight * model + (1.0 - weight) * nowcast
    return np.asarray(mixed)
