"""Which field of a forecast the sums of rain are made from: the expected rain, where the forecast itself is not it.

A deterministic forecast of a network says where rain exceeds thresholds, and its sums are wrong. Such a forecast
carries the expected rain as a coordinate, ``rainfall_rate_mean``, on its leads and grid; its file has it as a variable.

    >>> for_amounts(forecast).mean()  # doctest: +SKIP
"""

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast import fields

MEAN = "rainfall_rate_mean"
"""The expected rain rate: of an ensemble the mean of its members."""
FOR_THRESHOLDS = f"says where rain exceeds thresholds; its sums are wrong: take {MEAN} for amounts of rain"
"""What a variable says that is not for sums."""
FOR_AMOUNTS = (
    "expected rain: for amounts over time or areas; smooth, so it has less heavy rain than will fall somewhere"
)
_ATTRS = {"standard_name": "rainfall_rate", "long_name": "expected rain rate", "units": fields.UNITS,
          "comment": FOR_AMOUNTS}  # fmt: skip


def with_expected(forecast: xr.DataArray, expected: Float[np.ndarray, "lead y x"]) -> xr.DataArray:
    """A forecast (lead, y, x) that carries the expected rain."""
    return forecast.assign_coords({MEAN: (("lead", "y", "x"), expected, dict(_ATTRS))})


def for_amounts(forecast: xr.DataArray) -> xr.DataArray:
    """The rates to sum: the expected rain that a forecast carries, or the forecast, or its members, as they are."""
    if MEAN not in forecast.coords:
        return forecast
    rates = forecast.drop_vars(MEAN)
    return rates.copy(data=forecast[MEAN].values)


def products(forecast: xr.DataArray) -> xr.Dataset | None:
    """The expected rain that a forecast carries, as what stands beside it in a file; None if it carries none."""
    if MEAN not in forecast.coords:
        return None
    return beside(forecast[MEAN].values)


def beside(values: Float[np.ndarray, "lead y x"]) -> xr.Dataset:
    """The variable of a file of such values."""
    attrs: dict[str, Any] = {"grid_mapping": "crs"} | _ATTRS
    return xr.Dataset({MEAN: (("lead", "y", "x"), values, attrs)})
