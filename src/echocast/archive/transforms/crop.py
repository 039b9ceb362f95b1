"""Crop to a box in the unit of the projection."""

import numpy as np
import xarray as xr

from echocast.errors import DataError


def crop(field: xr.DataArray, *, left: float, right: float, bottom: float, top: float) -> xr.DataArray:
    """The cells whose centres lie in a box, given in the unit of the field's projection (m or degrees)."""
    inside_x = (field.x.values >= left) & (field.x.values <= right)
    inside_y = (field.y.values >= bottom) & (field.y.values <= top)
    if not inside_x.any() or not inside_y.any():
        x, y = field.x.values, field.y.values
        raise DataError(
            f"crop: no cell lies in left={left:g} right={right:g} bottom={bottom:g} top={top:g};"
            f" the field goes from {x.min():g} to {x.max():g} and {y.min():g} to {y.max():g}"
        )
    return field[:, np.flatnonzero(inside_y), np.flatnonzero(inside_x)]
