"""Limit rain rates."""

import xarray as xr

from echocast import fields
from echocast.errors import DataError


def clip(field: xr.DataArray, *, max_rate: float) -> xr.DataArray:
    """Rates above `max_rate` (mm/h) set to it."""
    if not max_rate > 0:
        raise DataError(f"clip max_rate={max_rate:g}: the highest rain rate in mm/h must be above 0")
    return fields.limited(field, max_rate)[0]
