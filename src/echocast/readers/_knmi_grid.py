"""The grid of a KNMI file, in metres, checked against the corners that the file gives.

Source: KNMI HDF5 data format specification 3.5, geographic group.
"""

import h5py
import numpy as np
import pyproj

from echocast.readers import _hdf5
from echocast.readers._projection import check_corners, in_metres, place

_METRES = {"KM": 1000.0, "M": 1.0}
_CORNERS = ("LL", "UL", "UR", "LR")
_MOST_CELLS_ACROSS = 10_000


def grid(geographic: h5py.Group) -> tuple[pyproj.CRS, np.ndarray, np.ndarray, tuple[slice, slice]]:
    """Projection in metres, centres from north to south and from west to east, and how to turn the file's rows."""
    metres = _metres_of_a_unit(_hdf5.text(geographic, "geo_dim_pixel"))
    crs = in_metres(_hdf5.text(_hdf5.group(geographic, "map_projection"), "projection_proj4_params"))
    (left, right), x = _axis(geographic, "column", "x", metres)
    (first, last), y = _axis(geographic, "row", "y", metres)
    if "geo_product_corners" in geographic.attrs:
        degrees = _hdf5.values(geographic, "geo_product_corners").reshape(4, 2)
        corners = {name: place(crs, *map(float, at)) for name, at in zip(_CORNERS, degrees, strict=True)}
        ends = (min(left, right), max(left, right)), (max(first, last), min(first, last))
        check_corners(corners, *ends, (y.size, x.size))
    turned = (slice(None, None, -1 if first < last else 1), slice(None, None, -1 if right < left else 1))
    return crs, y[turned[0]], x[turned[1]], turned


def _metres_of_a_unit(written: str) -> float:
    units = {unit.strip().upper() for unit in written.split(",")}
    if len(units) != 1 or not units <= set(_METRES):
        raise ValueError(f"pixels in {written}, not in km or m")
    return _METRES[units.pop()]


def _axis(geographic: h5py.Group, along: str, name: str, metres: float) -> tuple[tuple[float, float], np.ndarray]:
    """The outer edges of an axis and the centres of its cells, as the file goes; offsets are counted in cells."""
    count, offset = (_hdf5.number(geographic, f"geo_{key}") for key in (f"number_{along}s", f"{along}_offset"))
    size = _hdf5.number(geographic, f"geo_pixel_size_{name}")
    if not (1 <= count <= _MOST_CELLS_ACROSS and np.isfinite([size, offset]).all() and size != 0):
        raise ValueError(f"{count:g} {along}s of {size:g} from {offset:g}")
    if (corner := _hdf5.text(geographic, "geo_pixel_def", "LU")) != "LU":
        raise ValueError(f"cells are counted from their {corner}, not from their upper left (LU)")
    centres = np.asarray((offset + np.arange(int(count)) + 0.5) * size * metres)
    return (offset * size * metres, (offset + int(count)) * size * metres), centres
