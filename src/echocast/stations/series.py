"""How a station series is built, and the only guard of what one is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast import fields
from echocast.errors import DataError, WrongUnits
from echocast.fields.quantities import QUANTITIES

_MINUTE = np.timedelta64(1, "m")
_PLACES = {
    "longitude": {"standard_name": "longitude", "long_name": "station longitude", "units": "degrees_east"},
    "latitude": {"standard_name": "latitude", "long_name": "station latitude", "units": "degrees_north"},
    "height": {"standard_name": "altitude", "long_name": "height of the station", "units": "m", "positive": "up"},
}


def make(
    values: Float[np.ndarray, "station time"],
    *,
    time: Any,
    station: Sequence[str],
    longitude: Any,
    latitude: Any,
    height: Any = None,
    quantity: str = "rainfall_amount",
    interval: float | None = None,
    attrs: dict[str, str] | None = None,
) -> xr.DataArray:
    """A checked station series.

    Args:
        values: in the unit of `quantity`, NaN where nothing was measured.
        time: datetime64 (UTC), strictly increasing: the moment, or of an amount the end of its interval.
        station: a name for each station.
        longitude: in degrees east, WGS 84.
        latitude: in degrees north.
        height: in m above sea level, NaN where it is not known; None if it is known nowhere.
        quantity: one of `echocast.fields.QUANTITIES` by its name.
        interval: the minutes that an amount fell in.
        attrs: more attributes, such as ``source``.

    Raises:
        DataError: the result would not be a station series; `check` says why.
    """
    if quantity not in QUANTITIES:
        raise DataError(f"there is no quantity {quantity!r}; there are: {', '.join(QUANTITIES)}")
    count = len(station)
    heights = np.full(count, np.nan) if height is None else np.asarray(height, np.float64)
    places = {"longitude": longitude, "latitude": latitude, "height": heights}
    coords: dict[str, Any] = {
        "station": ("station", np.asarray([str(one) for one in station], object), {"long_name": "station name"}),
        "time": ("time", np.asarray(time, "datetime64[ns]"), {"standard_name": "time", "axis": "T"}),
    }
    coords |= {name: ("station", np.asarray(at, np.float64), _PLACES[name]) for name, at in places.items()}
    coords["quality"] = (("station", "time"), np.zeros(np.shape(values), np.uint8))
    if interval is not None:
        coords["interval"] = np.timedelta64(round(interval * 60e9), "ns")
    described = QUANTITIES[quantity].attributes() | dict(attrs or {})
    return check(xr.DataArray(np.asarray(values, np.float32), coords, ("station", "time"), quantity, described))


def check(series: xr.DataArray, *, quantity: str | None = None) -> xr.DataArray:
    """Return `series` unchanged if it is a station series; raise what is wrong with it otherwise.

    Args:
        series: dims (station, time).
        quantity: the quantity that it must hold; any if None.

    Raises:
        WrongUnits: it is not in the unit of its quantity, or of another quantity than asked for.
        DataError: dims, names, places, times or intervals are not as the package describes.
    """
    if series.dims != ("station", "time") or series.dtype != np.float32:
        raise DataError(f"a station series is float32 (station, time); this one is {series.dtype} {series.dims}")
    known = QUANTITIES.get(str(series.name))
    if known is None or series.attrs.get("units") != known.units:
        raise WrongUnits(f"a station series of {series.name!r} in {series.attrs.get('units')!r}: use stations.make")
    if quantity is not None and series.name != quantity:
        raise WrongUnits(f"{QUANTITIES[quantity].long_name} is needed here; these stations measured {series.name!r}")
    _check_stations(series)
    late = np.flatnonzero(np.diff(series.time.values) <= np.timedelta64(0))
    if late.size:
        a, b = series.time.values[late[0]], series.time.values[late[0] + 1]
        raise DataError(f"the times of stations must increase; {b} follows {a}: sort them and drop repeated ones")
    _check_intervals(series)
    return series


def interval_minutes(series: xr.DataArray) -> float:
    """The minutes that each amount fell in; raises `DataError` for a quantity of moments."""
    if "interval" not in series.coords:
        raise DataError(f"{series.name} of stations holds at moments and has no accumulation interval")
    return float(series.interval.values / _MINUTE)


def joined(several: Sequence[xr.DataArray]) -> xr.DataArray:
    """Several station series as one, on the times of all of them; NaN where a station has none.

    Raises:
        DataError: they hold different quantities or intervals, or one station twice.
    """
    first = several[0]
    for other in several[1:]:
        if other.name != first.name:
            raise DataError(f"stations of {first.name} and of {other.name} are not one series; read one --variable")
        if ("interval" in first.coords) and interval_minutes(other) != interval_minutes(first):
            raise DataError(
                f"the amounts of one file fell in {interval_minutes(first):g} min, those of another in"
                f" {interval_minutes(other):g} min: bring them to one interval, as `echocast stations --every` does"
            )
    if len(several) == 1:
        return first
    names = [str(name) for one in several for name in one.station.values]
    times = np.unique(np.concatenate([one.time.values for one in several]))
    wide = [one.reindex(time=times, fill_value={one.name: np.nan, "quality": 0}) for one in several]
    quality = np.concatenate([one.quality.values for one in wide])
    made = make(
        np.concatenate([one.values for one in wide]),
        time=times,
        station=names,
        **{name: np.concatenate([one[name].values for one in several]) for name in _PLACES},
        quantity=str(first.name),
        interval=interval_minutes(first) if "interval" in first.coords else None,
        attrs={"source": "; ".join(dict.fromkeys(str(one.attrs.get("source", "not stated")) for one in several))},
    )
    return made.assign_coords(quality=(("station", "time"), quality.astype(np.uint8)))


def _check_stations(series: xr.DataArray) -> None:
    names = [str(name) for name in series.station.values]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"station {twice[0]!r} is there twice; rename one, or drop one of the two")
    if not names:
        raise DataError("there is no station in it; give a file with at least one")
    longitude, latitude = series.longitude.values, series.latitude.values
    for name, lon, lat in zip(names, longitude, latitude, strict=True):
        if not (np.isfinite(lon) and np.isfinite(lat)):
            raise DataError(f"station {name!r} has no coordinates; give its longitude and latitude, or leave it out")
        if not (-180 <= lon <= 360 and -90 <= lat <= 90):
            raise DataError(
                f"station {name!r} lies at longitude {lon:g}, latitude {lat:g}, which is no place in degrees; are they"
                " swapped, or metres of a projection?"
            )


def _check_intervals(series: xr.DataArray) -> None:
    if series.name != "rainfall_amount":
        return
    if "interval" not in series.coords or not series.interval.values > np.timedelta64(0):
        raise DataError("an amount of rain needs the minutes that it fell in; give them with --interval")
    interval = series.interval.values.astype("timedelta64[ns]")
    slack = fields.tolerance(interval)
    for name, values in zip(series.station.values, series.values, strict=True):
        times = series.time.values[np.isfinite(values)]
        close = np.flatnonzero(np.diff(times) < interval - slack)
        if close.size:
            a, b = times[close[0]], times[close[0] + 1]
            raise DataError(
                f"station {name!r}: amounts of {interval / _MINUTE:g} min end at {fields.format_time(a)} and at"
                f" {fields.format_time(b)}, so that they overlap; rain would count twice: keep those that do not"
                " overlap"
            )
