"""Crop to a box in the unit of the projection."""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError


def crop(field: xr.DataArray, *, left: float, right: float, bottom: float, top: float) -> xr.DataArray:
    """The cells whose centres lie in a box, given in the unit of the field's projection (m or degrees).

    Longitudes are cyclic: a box in -180 to 180 degrees is found on a grid of 0 to 360, and one with `right` below
    `left` lies across the date line.
    """
    inside_y = np.flatnonzero((field.y.values >= bottom) & (field.y.values <= top))
    columns = _columns(field, left, right)
    if not columns.size or not inside_y.size:
        x, y = field.x.values, field.y.values
        raise DataError(
            f"crop: no cell lies in left={left:g} right={right:g} bottom={bottom:g} top={top:g};"
            f" the field goes from {x.min():g} to {x.max():g} and {y.min():g} to {y.max():g}"
        )
    cut = field[:, inside_y, columns]
    if not _is_cyclic(field) or right - left >= 360.0:
        return cut
    longitudes = fields.near(cut.x.values, left + np.mod(right - left, 360.0) / 2)
    return cut.assign_coords(x=("x", longitudes, field.x.attrs))


def _columns(field: xr.DataArray, left: float, right: float) -> np.ndarray:
    """The columns of a box, those of a sector of longitudes in their order from one of its borders to the other."""
    x = field.x.values
    if not _is_cyclic(field):
        return np.flatnonzero((x >= left) & (x <= right))
    columns = np.flatnonzero(fields.between(x, left, right))
    if right - left >= 360.0:
        return columns
    moved = fields.near(x[columns], left + np.mod(right - left, 360.0) / 2)
    return np.asarray(columns[np.argsort(moved if x[-1] >= x[0] else -moved, kind="stable")])


def _is_cyclic(field: xr.DataArray) -> bool:
    return "crs" in field.coords and fields.in_degrees(fields.crs(field))
