"""What readers of CF data share: an xarray dataset becomes a field, whichever file or store it came from."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.io.readers._lookup import through_table

_STANDARD_NAMES = (
    "rainfall_rate",
    "lwe_precipitation_rate",
    "rainfall_flux",
    "precipitation_flux",
    "equivalent_reflectivity_factor",
    "rainfall_amount",
    "precipitation_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
)
_PROJECTION_ATTRIBUTES = ("crs_wkt", "proj_string", "proj4", "proj4_params", "gdal_projection", "projection", "crs")
_MOST_CELLS = 2**29
_SECOND = np.timedelta64(1, "s")
_EXTENT_S = {"hour": 3600.0, "hours": 3600.0, "hr": 3600.0, "h": 3600.0, "minute": 60.0, "minutes": 60.0, "min": 60.0}


@dataclass(frozen=True)
class Selection:
    """What to read of a dataset: a variable, its unit in place of the file's, the Z-R relation."""

    variable: str | None = None
    units: str | None = None
    zr: fields.ZR | None = None


def field(
    data: xr.Dataset,
    source: str,
    selection: Selection = Selection(),
    frames: slice = slice(None),
    raw: xr.Dataset | None = None,
) -> xr.DataArray:
    """The field of a dataset.

    Args:
        data: as xarray opens it, times decoded and values scaled.
        source: where it comes from, if it does not say so itself.
        selection: see `Selection`.
        frames: which of its times.
        raw: the same opened without scaling; numbers of 8 or 16 bits are then decoded by a table.

    Raises:
        WrongUnits: the variable's unit is not known.
        UnreadableFile: it holds no rain, or does not say where, when or how much.
    """
    variable = layout(data, selection)
    y, x = (str(d) for d in variable.dims[1:])
    times = np.asarray(variable["time"].values, "datetime64[ns]")
    part = variable[frames]
    if part.size > _MOST_CELLS:
        raise UnreadableFile(f"{variable.name!r} has {part.shape} cells, more than one file may; split it")
    units = selection.units or str(variable.attrs.get("units", ""))
    interval_s = _interval_s(data, variable, times) if _kind(units) == "amount" else None
    relation = selection.zr or fields.MARSHALL_PALMER

    def decode(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, np.float32)
        return fields.to_rain_rate(values, units, zr=relation, interval_s=interval_s)

    try:
        packed = None if raw is None else _packing(raw[str(variable.name)])
        if packed is None or raw is None:
            rate = decode(part.values)
        else:
            unscaled = layout(data.assign({str(variable.name): raw[str(variable.name)].variable}), selection)[frames]
            rate = through_table(unscaled.values, lambda level: decode(packed(level)))
    except WrongUnits as bad:
        raise WrongUnits(f"{variable.name!r}: {bad}; --units says what the file does not") from bad
    attrs = {"source": str(data.attrs.get("source") or data.attrs.get("title") or source)}
    if _kind(units) == "reflectivity":
        attrs["zr"] = str(relation)
    return fields.make(
        rate, time=times[frames], y=_metres(data, y), x=_metres(data, x), crs=_crs(data, variable), attrs=attrs
    )


def _packing(raw: xr.DataArray) -> Callable[[np.ndarray], np.ndarray] | None:
    """How numbers of 8 or 16 bits are scaled, by CF's rules; None if they are others."""
    if raw.dtype.kind not in "iu" or raw.dtype.itemsize > 2 or "scale_factor" not in raw.attrs:
        return None
    scale, offset = float(raw.attrs["scale_factor"]), float(raw.attrs.get("add_offset", 0.0))
    missing = [np.atleast_1d(raw.attrs[key]) for key in ("_FillValue", "missing_value") if key in raw.attrs]

    def packed(level: np.ndarray) -> np.ndarray:
        values = level * scale + offset
        return np.where(np.isin(level, np.concatenate(missing)), np.nan, values) if missing else values

    return packed


def layout(data: xr.Dataset, selection: Selection = Selection()) -> xr.DataArray:
    """The rain of a dataset, not yet read, with dims time, y and x in this order and times that increase."""
    variable = data[_variable(data, selection)]
    if {"lead", "forecast_period", "lead_time"} & set(variable.dims):
        raise UnreadableFile("is a forecast, not an observation; give the radar files it was made from")
    time = _time(data, variable)
    single = [d for d in variable.dims if variable.sizes[d] == 1 and d != time and variable.ndim > 2]
    variable = variable.squeeze(single[: variable.ndim - 2], drop=True)
    if time is not None and time not in variable.dims:
        moment = np.atleast_1d(np.asarray(data[time].values, "datetime64[ns]"))
        variable = variable.drop_vars([time, "time"], errors="ignore").expand_dims(time=moment[:1])
        time = "time"
    if time is None or variable.ndim != 3 or time not in variable.dims:
        raise UnreadableFile(f"{variable.name!r} has dims {data[str(variable.name)].dims}; it needs time, y and x")
    if time != "time":
        variable = variable.rename({time: "time"})
    y, x = _in_order([str(d) for d in variable.dims if d != "time"], data)
    variable = variable.transpose("time", y, x)
    times = np.asarray(variable["time"].values, "datetime64[ns]")
    return (
        variable if (np.diff(times) > np.timedelta64(0)).all() else variable.isel(time=np.argsort(times, kind="stable"))
    )


def _variable(data: xr.Dataset, selection: Selection) -> str:
    listed = ", ".join(f"{n} [{v.attrs.get('units', 'no unit')}]" for n, v in data.data_vars.items()) or "nothing"
    if selection.variable:
        if selection.variable not in data.data_vars:
            raise UnreadableFile(f"has no variable {selection.variable!r}; it holds {listed}")
        return selection.variable
    for wanted in _STANDARD_NAMES:
        for found, variable in data.data_vars.items():
            if wanted in (variable.attrs.get("standard_name"), found) and variable.ndim >= 2:
                return str(found)
    for found, variable in data.data_vars.items():
        if variable.ndim >= 2 and _kind(str(variable.attrs.get("units", ""))):
            return str(found)
    raise UnreadableFile(
        f"has no variable in mm/h, dBZ or mm on a grid; it holds {listed}: name one with --variable and --units"
    )


def _kind(units: str) -> str | None:
    try:
        return fields.kind_of_unit(units)
    except WrongUnits:
        return None


def _time(data: xr.Dataset, variable: xr.DataArray) -> str | None:
    """The name of the variable's time: one of its dims, else a scalar that CF calls time."""
    for d in variable.dims:
        if d == "time" or (d in data.variables and data[d].dtype.kind == "M"):
            return str(d)
    for found in ("time", "valid_time", *map(str, data.variables)):
        if found in data.variables and data[found].dtype.kind == "M" and data[found].size == 1:
            called = data[found].attrs.get("standard_name") == "time" or found in ("time", "valid_time")
            if called:
                return found
    return None


def _in_order(dims: list[str], data: xr.Dataset) -> list[str]:
    """y before x, by CF's axis, standard name or the usual names; as they stand if none tells."""

    def is_x(d: str) -> bool:
        attrs = data[d].attrs if d in data.variables else {}
        return attrs.get("axis") == "X" or d.lower() in ("x", "lon", "longitude", "nx", "xc")

    return dims[::-1] if is_x(dims[0]) and not is_x(dims[1]) else dims


def _interval_s(data: xr.Dataset, variable: xr.DataArray, times: np.ndarray) -> float | None:
    """The seconds that an amount fell in: its bounds, its start, its own words, else the time step."""
    time = data["time"] if "time" in data.variables else None
    bounds = None if time is None else time.attrs.get("bounds") or time.encoding.get("bounds")
    if bounds is not None and str(bounds) in data.variables:
        edges = np.asarray(data[str(bounds)].values, "datetime64[ns]").reshape(-1, 2)
        return float((edges[0, 1] - edges[0, 0]) / _SECOND)
    if "start_time" in data.variables and data["start_time"].dtype.kind == "M" and data["start_time"].size == 1:
        return float((times[0] - np.asarray(data["start_time"].values, "datetime64[ns]").ravel()[0]) / _SECOND)
    if "accum_time_h" in variable.attrs:
        return 3600.0 * float(variable.attrs["accum_time_h"])
    words = str(variable.attrs.get("cell_methods", "")).replace(")", " ").replace(":", " ").split()
    if "interval" in words[:-2]:
        number, unit = words[words.index("interval") + 1 : words.index("interval") + 3]
        return float(number) * _EXTENT_S.get(unit, np.nan)
    return float(fields.time_step(times) / _SECOND) if len(times) > 1 else None


def _crs(data: xr.Dataset, variable: xr.DataArray) -> pyproj.CRS:
    said = str(variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or "").partition(":")[0]
    if said in data.variables:
        attrs = {key: _listed(value) for key, value in data[said].attrs.items()}
        try:
            return _from_cf(json.dumps(attrs, sort_keys=True, default=str))
        except (pyproj.exceptions.CRSError, KeyError, ValueError, TypeError):
            found = _written(attrs)
        if found is None:
            raise UnreadableFile(f"its grid mapping {said!r} is not understood ({attrs})"[:300])
        return found
    y, x = variable.dims[-2:]
    if all("degree" in str(data[d].attrs.get("units", "")) for d in (y, x) if d in data.variables):
        return pyproj.CRS.from_epsg(4326)
    found = _written(variable.attrs) or _written(data.attrs)
    if found is None:
        raise UnreadableFile(f"{variable.name!r} has no grid mapping, so nobody knows where it lies; add one")
    return found


@lru_cache(maxsize=64)
def _from_cf(attrs: str) -> pyproj.CRS:
    """The projection of a grid mapping's attributes (JSON), found once: it takes a fifth of a second."""
    return pyproj.CRS.from_cf(json.loads(attrs))


def _written(attrs: dict[str, object]) -> pyproj.CRS | None:
    """A projection written out in an attribute, as WKT, PROJ or EPSG code."""
    for key in _PROJECTION_ATTRIBUTES:
        if isinstance(attrs.get(key), str):
            try:
                return fields.known_crs(str(attrs[key]))
            except pyproj.exceptions.CRSError:
                continue
    return None


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _metres(data: xr.Dataset, axis: str) -> np.ndarray:
    if axis not in data.variables:
        raise ValueError(f"the dimension {axis!r} has no coordinate")
    values = np.asarray(data[axis].values, np.float64)
    kilometres = str(data[axis].attrs.get("units", "")).strip().lower() in (
        "km",
        "kilometer",
        "kilometre",
        "kilometers",
    )
    return values * 1000.0 if kilometres else values


def stretches(count: int, cells: int, most_bytes: int) -> Sequence[slice]:
    """Slices of time that hold at most `most_bytes` of float32, at least one frame each."""
    size = max(1, most_bytes // max(1, 4 * cells))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
