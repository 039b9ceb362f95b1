"""Limit rain rates."""

import xarray as xr

from echocast import fields
from echocast.errors import DataError


def clip(field: xr.DataArray, *, max_rate: float) -> xr.DataArray:
    """Rates above `max_rate` (mm/h) set to it."""
    if not max_rate > 0:
        raise DataError(f"max_rate={max_rate} is no limit of rain in mm/h")
    return fields.limited(field, max_rate)[0]
