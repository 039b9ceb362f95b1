"""Times of frames: their spacing, and how they are written for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from echocast.errors import DataError


def time_step(times: Sequence[np.datetime64] | np.ndarray) -> np.timedelta64:
    """The most common difference between neighbouring times; raises `DataError` for fewer than two."""
    values = np.asarray(times, "datetime64[ns]")
    if values.size < 2:
        raise DataError(f"{values.size} time gives no time step; at least two are needed")
    differences, counts = np.unique(np.diff(values), return_counts=True)
    return np.timedelta64(differences[counts.argmax()])


def format_time(time: Any) -> str:
    """A time (UTC) to the minute, as people read it: ``2016-09-28 14:45``."""
    return str(np.asarray(time, "datetime64[m]")).replace("T", " ")
