"""CF-NetCDF of the feature type timeSeries, one station or many on the same times.

Quantity, unit, place and time come from the CF attributes: ``standard_name``, ``units``, the variable with ``cf_role =
"timeseries_id"``. An amount says its interval by the bounds of its times, which also say whether a time is the end or
the beginning; without bounds ``--interval`` is needed, and a time is the end. Flags that `echocast stations` wrote are
read back. Ragged arrays are not read.
"""

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError, UnreadableFile, WrongUnits
from echocast.fields.quantities import QUANTITIES
from echocast.stations.converting import converted
from echocast.stations.quality import FLAGS
from echocast.stations.series import make

log = logging.getLogger(__name__)

SUFFIXES = (".nc",)
_AMOUNTS = ("thickness_of_rainfall_amount", "lwe_thickness_of_precipitation_amount", "precipitation_amount",
            "rainfall_amount")  # fmt: skip
_MINUTE = np.timedelta64(1, "m")


def recognises(head: bytes, path: Path) -> bool:
    """By the global attribute ``featureType``."""
    if head.startswith(b"\x89HDF"):
        with h5py.File(path) as file:
            kind = file.attrs.get("featureType", b"")
            return (kind.decode() if isinstance(kind, bytes) else str(kind)).lower() == "timeseries"
    return head.startswith(b"CDF") and b"featureType" in head and b"timeSeries" in head


def read(
    path: Path, *, variable: str | None = None, units: str | None = None, interval: float | None = None
) -> xr.DataArray:
    """The stations of a file.

    Args:
        path: the file.
        variable: a variable, or its quantity; by default the rain, or the only quantity.
        units: where the variable has no attribute.
        interval: minutes that an amount fell in, where the times have no bounds.
    """
    with path.open("rb") as file:
        engine = "h5netcdf" if file.read(4) == b"\x89HDF" else "scipy"
    with xr.open_dataset(path, engine=engine, decode_timedelta=False) as opened:
        data = opened.load().reset_coords()
    ragged = [name for name, v in data.variables.items() if {"sample_dimension", "instance_dimension"} & set(v.attrs)]
    if ragged:
        raise UnreadableFile(
            "its stations are in a ragged array, which is not read; give them on the dims (station, time)"
        )
    chosen, quantity = _chosen(data, variable)
    values, names = _values(data, chosen)
    unit = str(values.attrs.get("units") or units or "")
    if not unit:
        raise WrongUnits(f"variable {chosen!r} has no attribute units; give the unit with --units")
    times, minutes = _times(data, quantity, interval)
    series = make(
        converted(values.values, unit, quantity),
        time=times,
        station=names,
        longitude=_place(data, "longitude", len(names)),
        latitude=_place(data, "latitude", len(names)),
        height=_place(data, "altitude", len(names)),
        quantity=quantity,
        interval=minutes,
        attrs={"source": str(data.attrs.get("source", "not stated"))},
    )
    return _with_flags(series, data, values)


def _chosen(data: xr.Dataset, variable: str | None) -> tuple[str, str]:
    """The name of the variable to read, and its quantity."""
    known = {str(name): found for name, v in data.data_vars.items() if (found := _quantity(str(name), v))}
    if variable is not None:
        fitting = [name for name, quantity in known.items() if variable in (name, quantity)]
    else:
        rain = [name for name, quantity in known.items() if quantity == "rainfall_amount"]
        fitting = rain or list(known)
    if len(fitting) != 1:
        found = ", ".join(f"{name} ({quantity})" for name, quantity in known.items()) or "none of a known quantity"
        raise DataError(f"which variable is meant? It has: {found}; name one with --variable")
    return fitting[0], known[fitting[0]]


def _quantity(name: str, variable: xr.DataArray) -> str | None:
    if "time" not in variable.dims or variable.dtype.kind not in "fiu":
        return None
    standard = str(variable.attrs.get("standard_name", ""))
    if standard in _AMOUNTS:
        return "rainfall_amount"
    by_standard = (q.name for q in QUANTITIES.values() if q.standard_name and q.standard_name == standard)
    return next(by_standard, name if not standard and name in QUANTITIES else None)


def _values(data: xr.Dataset, chosen: str) -> tuple[xr.DataArray, list[str]]:
    """The values (station, time) and the stations' names."""
    variable = data[chosen]
    others = [dim for dim in variable.dims if dim != "time"]
    roles = [name for name, v in data.variables.items() if v.attrs.get("cf_role") == "timeseries_id"]
    if len(others) > 1:
        raise UnreadableFile(f"variable {chosen!r} has the dims {variable.dims}, not (station, time)")
    if not others:
        variable = variable.expand_dims("station")
        others = ["station"]
    if not roles:
        raise UnreadableFile("no variable has cf_role = 'timeseries_id', which names the stations")
    names = [_text(name) for name in np.atleast_1d(data[roles[0]].values)]
    return variable.transpose(others[0], "time"), names


def _text(value: Any) -> str:
    return (value.decode("utf-8") if isinstance(value, bytes) else str(value)).strip()


def _times(data: xr.Dataset, quantity: str, interval: float | None) -> tuple[np.ndarray, float | None]:
    """The ends of the intervals and their minutes; or the moments."""
    times = data.time.values
    bounds = data.time.attrs.get("bounds") or data.time.encoding.get("bounds")
    if quantity != "rainfall_amount":
        return times, None
    if bounds not in data.variables:
        return times, interval
    starts, ends = data[str(bounds)].values.T
    length = np.unique(ends - starts)
    if len(length) != 1:
        raise DataError(
            f"the amounts fell in {length.min() / _MINUTE:g} to {length.max() / _MINUTE:g} min; give those of one"
            " interval"
        )
    if not (times == ends).all():
        log.info("times are inside their intervals; their ends are taken, as the bounds say")
    return ends, float(length[0] / _MINUTE)


def _place(data: xr.Dataset, standard: str, count: int) -> np.ndarray | None:
    """A coordinate of the stations by its standard name, or by the usual ones; None if there is none."""
    usual = {"longitude": ("lon", "longitude"), "latitude": ("lat", "latitude"), "altitude": ("alt", "height")}
    by_standard = [name for name, v in data.variables.items() if v.attrs.get("standard_name") in (standard, "height")]
    exact = [name for name in by_standard if data[name].attrs["standard_name"] == standard]
    found = [*exact, *(name for name in usual[standard] if name in data.variables)]
    if not found:
        return None if standard == "altitude" else np.full(count, np.nan)
    unit = str(data[found[0]].attrs.get("units", "m")).lower()
    length = fields.measures.length_m(unit) if standard == "altitude" else 1.0
    if length is None:
        raise WrongUnits(f"the heights of the stations are in {unit!r}; metres are needed")
    return np.atleast_1d(np.asarray(data[found[0]].values, np.float64)) * length


def _with_flags(series: xr.DataArray, data: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """With the flags that `echocast stations` wrote; others mean something else."""
    for name in str(values.attrs.get("ancillary_variables", "")).split():
        if name in data.variables and data[name].attrs.get("flag_meanings") == " ".join(FLAGS):
            flags = data[name].transpose(*values.dims).values.astype(np.uint8)
            return series.assign_coords(quality=(("station", "time"), flags))
    return series
