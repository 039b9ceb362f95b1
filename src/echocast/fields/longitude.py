"""Longitudes are cyclic: 359 and -1 degrees are the same meridian.

>>> import numpy as np
>>> continuous(np.array([358.0, 359.0, 0.0, 1.0])).tolist()
[-2.0, -1.0, 0.0, 1.0]
>>> between(np.array([350.0, 10.0, 100.0]), -20.0, 20.0).tolist()
[True, True, False]
"""

import numpy as np
from jaxtyping import Bool, Float

_TOLERANCE = 1e-9


def near(longitudes: Float[np.ndarray, "*shape"], middle: float) -> Float[np.ndarray, "*shape"]:
    """Longitudes (degrees) moved by whole turns, so that each is within 180 degrees of `middle`."""
    values = np.asarray(longitudes, np.float64)
    with np.errstate(invalid="ignore"):  # of places that are not on Earth
        return np.asarray(values + 360.0 * np.round((middle - values) / 360.0))


def continuous(longitudes: Float[np.ndarray, " cells"]) -> Float[np.ndarray, " cells"]:
    """The longitudes (degrees) of a row of cells without a jump at 0, 180 or 360; their mean is in -180 to 180."""
    row = np.unwrap(np.asarray(longitudes, np.float64), period=360.0)
    turns = np.ceil((np.abs(row.mean()) - 180.0) / 360.0).clip(0) * np.sign(row.mean())
    return np.asarray(row - 360.0 * turns)


def between(longitudes: Float[np.ndarray, "*shape"], west: float, east: float) -> Bool[np.ndarray, "*shape"]:
    """Which longitudes (degrees) lie in a sector, its borders with it; `east` below `west` is across the date line."""
    values = np.asarray(longitudes, np.float64)
    if east - west >= 360.0:
        return np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.mod(values - west + _TOLERANCE, 360.0) <= np.mod(east - west, 360.0) + 2 * _TOLERANCE)
