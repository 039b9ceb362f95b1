"""Amounts of rain over longer intervals: sums of those that fill them exactly, and of no others.

>>> import numpy as np
>>> from echocast.stations.series import make
>>> times = np.datetime64("2024-06-01T00:00", "ns") + np.arange(1, 7) * np.timedelta64(10, "m")
>>> rain = make(np.ones((1, 6)), time=times, station=["a"], longitude=[0], latitude=[50], interval=10.0)
>>> every(rain, 30.0).values.tolist()
[[3.0, 3.0]]
"""

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.errors import DataError
from echocast.stations.series import check, interval_minutes, make

_MINUTE = np.timedelta64(1, "m")


def amounts(series: xr.DataArray, ends: Any, minutes: float) -> Float[np.ndarray, "station end"]:
    """The amount of rain (mm) in the so many minutes that end at each time.

    It is known only where the intervals of the station fill those minutes exactly and none of them is missing: nothing
    is shifted, interpolated or taken for dry.

    Args:
        series: of ``rainfall_amount``.
        ends: datetime64, in any order.
        minutes: of the sums; a multiple of the series' interval.

    Raises:
        DataError: the minutes are no multiple of the interval.
    """
    check(series, quantity="rainfall_amount")
    own = interval_minutes(series)
    count = round(minutes / own)
    if count < 1 or abs(count * own - minutes) > 1e-6:
        raise DataError(f"amounts over {own:g} min do not add up to {minutes:g} min; give a multiple of {own:g} min")
    times, wanted = series.time.values, np.asarray(ends, "datetime64[ns]")
    total = np.zeros((series.sizes["station"], len(wanted)))
    if not len(times):
        return np.full(total.shape, np.nan)
    for number in range(count):
        moments = wanted - np.timedelta64(round(number * own * 60e9), "ns")
        at = np.minimum(np.searchsorted(times, moments), len(times) - 1)
        total += np.where(times[at] == moments, series.values[:, at].astype(np.float64), np.nan)
    return total


def every(series: xr.DataArray, minutes: float) -> xr.DataArray:
    """The series summed to longer intervals that end on the clock of UTC: each hour, each quarter of an hour.

    Flags of the parts are those of the sum. Raises `DataError` if the minutes are no multiple of the interval.
    """
    check(series, quantity="rainfall_amount")
    step = np.timedelta64(round(minutes * 60), "s").astype("timedelta64[ns]")
    first = series.time.values[0] - series.interval.values
    start = -((np.datetime64(0, "ns") - first) // step)
    stop = (series.time.values[-1] - np.datetime64(0, "ns")) // step
    ends = np.datetime64(0, "ns") + np.arange(start + 1, stop + 1) * step
    if not len(ends):
        raise DataError(f"the series is shorter than {minutes:g} min; give a longer one, or fewer minutes")
    made = make(
        amounts(series, ends, minutes),
        time=ends,
        station=[str(name) for name in series.station.values],
        longitude=series.longitude.values,
        latitude=series.latitude.values,
        height=series.height.values,
        interval=minutes,
        attrs={"source": str(series.attrs.get("source", "not stated"))},
    )
    return made.assign_coords(quality=(("station", "time"), _flags(series, ends, step)))


def _flags(series: xr.DataArray, ends: np.ndarray, step: np.timedelta64) -> np.ndarray:
    """The flags of all parts of each sum."""
    found = np.zeros((series.sizes["station"], len(ends)), np.uint8)
    at = np.searchsorted(ends, series.time.values)
    inside = (at < len(ends)) & (series.time.values > ends[0] - step)
    for number in np.flatnonzero(inside & (series.quality.values != 0).any(axis=0)):
        found[:, at[number]] |= series.quality.values[:, number]
    return found
