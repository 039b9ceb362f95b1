"""Quality control of stations: values that cannot be right get a flag and stay where they are.

Four checks, each a bit of ``quality``:

- ``range``: a value outside what the quantity can be; of rain below 0, or above `Limits.max_rate`;
- ``stuck``: the same value, not 0, again and again for `Limits.stuck_minutes`; or no rain at all for
  `Limits.dry_minutes` in which at least half of the other stations measured `Limits.wet_mm` or more;
- ``spike``: a value above `Limits.spike` that is `Limits.spike_factor` times the sum of those before and after it at
  its station, while no neighbour rains in those three intervals;
- ``neighbours``: the sum of a UTC day is over `Limits.neighbour_factor` times, or under that part of, the median of the
  stations within `Limits.neighbour_km`, where that median is at least `Limits.wet_mm`.

The checks say what is suspicious, not what is wrong: a thunderstorm over one gauge is real. So they are mild, and
nothing is removed. `trusted` gives the series without flagged values to whoever wants that.

Source: the kinds of checks are those of WMO-No. 8, part IV, and of WMO-No. 488, appendix VI; the limits are ours.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast.errors import DataError
from echocast.stations.series import check

FLAGS = {"range": 1, "stuck": 2, "spike": 4, "neighbours": 8}
"""The bit of each check."""
_RANGES = {
    "air_temperature": (180.0, 335.0),
    "relative_humidity": (0.0, 1.1),
    "air_pressure": (80_000.0, 110_000.0),
    "eastward_wind": (-150.0, 150.0),
    "northward_wind": (-150.0, 150.0),
}
_RADIUS_KM = 6371.0
_MINUTE = np.timedelta64(1, "m")
_LEAST_NEIGHBOURS = 3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What counts as suspicious rain.

    Args:
        max_rate: in mm/h, the mean over an interval.
        stuck_minutes: of one value without a change.
        dry_minutes: without any rain while others are wet.
        wet_mm: what a station must have measured to count as wet.
        spike: in mm.
        spike_factor: times what fell in the intervals before and after.
        neighbour_km: how far a neighbour may be.
        neighbour_factor: times the median of the neighbours.
    """

    max_rate: float = 300.0
    stuck_minutes: float = 60.0
    dry_minutes: float = 1440.0
    wet_mm: float = 5.0
    spike: float = 5.0
    spike_factor: float = 10.0
    neighbour_km: float = 30.0
    neighbour_factor: float = 4.0


def flagged(series: xr.DataArray, limits: Limits | None = None) -> xr.DataArray:
    """The series with the flags of all checks that fit its quantity; its values are untouched.

    The checks of rain are for amounts; other quantities are checked for their range and for values that are stuck.
    """
    check(series)
    how = limits or Limits()
    flags = np.zeros(series.shape, np.uint8)
    flags[_out_of_range(series, how)] |= FLAGS["range"]
    flags[_constant(series, how)] |= FLAGS["stuck"]
    if series.name == "rainfall_amount":
        near = _distances_km(series) <= how.neighbour_km
        np.fill_diagonal(near, False)
        flags[_never_wet(series, how)] |= FLAGS["stuck"]
        flags[_spikes(series, near, how)] |= FLAGS["spike"]
        flags[_unlike_neighbours(series, near, how)] |= FLAGS["neighbours"]
    return series.assign_coords(quality=(("station", "time"), flags))


def trusted(series: xr.DataArray) -> tuple[xr.DataArray, int]:
    """The series with NaN in place of flagged values, and how many of them there were."""
    wrong = (series.quality.values != 0) & np.isfinite(series.values)
    return series.copy(data=np.where(wrong, np.float32(np.nan), series.values)), int(wrong.sum())


def names_of(flags: int) -> list[str]:
    """The checks that a value did not pass."""
    return [name for name, bit in FLAGS.items() if flags & bit]


def _hours(series: xr.DataArray) -> float:
    return float(series.interval.values / np.timedelta64(1, "h"))


def _out_of_range(series: xr.DataArray, limits: Limits) -> np.ndarray:
    if series.name in ("rainfall_amount", "rainfall_rate"):
        low, high = 0.0, limits.max_rate * (_hours(series) if series.name == "rainfall_amount" else 1.0)
    elif series.name in _RANGES:
        low, high = _RANGES[str(series.name)]
    else:
        raise DataError(f"stations of {series.name} have no quality control; there is one of: {', '.join(_RANGES)}")
    return np.asarray((series.values < low) | (series.values > high))


def _constant(series: xr.DataArray, limits: Limits) -> np.ndarray:
    """Where a value, of rain not 0, is the same without a break for too long; at least four values."""
    found = np.zeros(series.shape, bool)
    times = series.time.values
    longest = limits.stuck_minutes if str(series.name).startswith("rainfall") else 6 * limits.stuck_minutes
    for row, values in enumerate(series.values):
        known = np.flatnonzero(np.isfinite(values))
        runs = np.split(known, np.flatnonzero(np.diff(values[known]) != 0) + 1)
        for run in runs:
            long = len(run) >= 4 and (times[run[-1]] - times[run[0]]) / _MINUTE >= longest
            if long and (values[run[0]] != 0 or not str(series.name).startswith("rainfall")):
                found[row, run] = True
    return found


def _never_wet(series: xr.DataArray, limits: Limits) -> np.ndarray:
    """Where a station is dry for long while at least half of the others, and three of them, are wet."""
    found = np.zeros(series.shape, bool)
    width = np.timedelta64(round(limits.dry_minutes * 60), "s")
    times, values = series.time.values, series.values
    start = times[0] - series.interval.values
    while start < times[-1]:
        inside = (times > start) & (times <= start + width)
        here = values[:, inside]
        known = np.isfinite(here).mean(axis=1) > 0.5
        total = np.where(np.isfinite(here), here, 0.0).sum(axis=1, dtype=np.float64)
        wet = known & (total >= limits.wet_mm)
        for row in np.flatnonzero(known & (total == 0)):
            if wet.sum() >= max(_LEAST_NEIGHBOURS, (known.sum() - 1) / 2):
                found[row, inside] = True
        start = start + width
    return np.asarray(found & np.isfinite(values))


def _spikes(series: xr.DataArray, near: np.ndarray, limits: Limits) -> np.ndarray:
    """Where one interval alone holds much rain, and no neighbour has any; never without three neighbours."""
    values = series.values
    rain = np.where(np.isfinite(values), values, 0.0)
    padded = np.pad(rain, ((0, 0), (1, 1)))
    around = padded[:, :-2] + padded[:, 2:]
    three = around + rain
    alone = np.array([three[others].max(axis=0) == 0 if others.sum() >= 3 else np.zeros(len(rain[0]), bool)
                      for others in near])  # fmt: skip
    return np.asarray((values > limits.spike) & (values >= limits.spike_factor * around) & alone)


def _unlike_neighbours(series: xr.DataArray, near: np.ndarray, limits: Limits) -> np.ndarray:
    """All values of a day whose sum is far from the median of the neighbours' sums."""
    found = np.zeros(series.shape, bool)
    days = (series.time.values - np.timedelta64(1, "ns")).astype("datetime64[D]")  # midnight ends the day before
    for day in np.unique(days):
        inside = days == day
        here = series.values[:, inside]
        whole = np.isfinite(here).mean(axis=1) > 0.9
        total = np.where(np.isfinite(here), here, 0.0).sum(axis=1, dtype=np.float64)
        for row in np.flatnonzero(whole):
            others = total[near[row] & whole]
            middle = np.median(others) if len(others) >= _LEAST_NEIGHBOURS else 0.0
            if middle >= limits.wet_mm:
                ratio = total[row] / middle
                found[row, inside] = ratio > limits.neighbour_factor or ratio < 1 / limits.neighbour_factor
    return np.asarray(found & np.isfinite(series.values))


def _distances_km(series: xr.DataArray) -> np.ndarray:
    """Great-circle distances between all stations, (station, station)."""
    lon, lat = np.radians(series.longitude.values), np.radians(series.latitude.values)
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return np.asarray(2 * _RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
