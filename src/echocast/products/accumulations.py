"""Accumulations: the amount of rain that falls from the issue of a forecast over a span of time."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.fields.amounts import for_amounts

_HOUR = np.timedelta64(1, "h")
_MINUTE = np.timedelta64(1, "m")


def accumulation(forecast: xr.DataArray, minutes: float) -> Float[np.ndarray, "*member y x"]:
    """Rain amount in mm from the issue of a forecast over so many minutes.

    The rate of each lead holds for the time step before it. Of a forecast that carries the expected rain
    (`echocast.fields.amounts`), that is summed.

    Args:
        forecast: rain rate in mm/h, (lead, y, x) or (member, lead, y, x).
        minutes: of the span; leads after its end are not counted, and `covers` says whether the forecast reaches it.

    Returns:
        (y, x) or (member, y, x), float32; NaN where a counted lead is unknown.
    """
    leads, forecast = forecast.lead.values, for_amounts(forecast)
    hours = np.diff(leads, prepend=np.timedelta64(0, "ns")) / _HOUR
    rates = np.moveaxis(forecast.values, forecast.dims.index("lead"), 0)
    amount = np.zeros(rates.shape[1:], np.float32)
    for lead in np.flatnonzero(leads <= np.timedelta64(round(minutes * 60), "s")):
        amount += np.float32(hours[lead]) * rates[lead]
    return amount


def covers(forecast: xr.DataArray, minutes: float) -> bool:
    """Whether a lead of the forecast ends where a span of so many minutes from its issue does."""
    return bool(np.isclose(forecast.lead.values / _MINUTE, minutes).any())
