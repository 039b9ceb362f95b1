"""What transforms share: means over the observed part of new cells, and the field on new cells."""

import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float

from echocast import fields

MIN_OBSERVED = 0.5
"""The share of a new cell that must have been observed for it to have a value."""

_OF_QUANTITY = ("standard_name", "long_name", "units")


def mean_where_observed(total: np.ndarray, weight: np.ndarray, whole: float) -> Float[np.ndarray, "*shape"]:
    """Means of new cells from totals and observed weights; NaN where `weight` is below `MIN_OBSERVED` of `whole`."""
    enough = weight >= MIN_OBSERVED * whole - 1e-9
    return np.where(enough, total / np.maximum(weight, 1e-12), np.nan).astype(np.float32)


def on_grid(
    field: xr.DataArray, values: np.ndarray, y: np.ndarray, x: np.ndarray, crs: pyproj.CRS | None = None
) -> xr.DataArray:
    """The field with other values on another grid, its quantity and attributes kept, in its own projection or `crs`."""
    kept = {key: value for key, value in field.attrs.items() if key not in (*_OF_QUANTITY, "grid_mapping")}
    about = {key: str(field.attrs[key]) for key in _OF_QUANTITY if key in field.attrs}
    quantity = fields.Quantity(
        str(field.name), about["units"], about.get("long_name", str(field.name)), about.get("standard_name", "")
    )
    if crs is None and "crs" in field.coords:
        crs = fields.crs(field)
    return fields.make(values, time=field.time.values, y=y, x=x, crs=crs, quantity=quantity, attrs=kept)
