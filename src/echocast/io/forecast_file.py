"""A forecast written to a CF-NetCDF file, and read back from one.

The file holds the field (lead, y, x) in the unit of its quantity, such as ``rainfall_rate`` in mm h-1 (NaN where it is
unknown), the time of issue, the forecast period and the valid time of each lead, `x` and `y` with their grid mapping,
and where all of it came from. An ensemble has the dims (member, lead, y, x); its products (`echocast.products`) may
stand beside it. Rain rates of an ensemble are rounded to 10 significant bits (within 0.1 %), which halves the file.

    >>> to_netcdf(forecast, Path("forecast.nc"))  # doctest: +SKIP
    >>> from_netcdf(Path("forecast.nc")).dims  # doctest: +SKIP
    ('lead', 'y', 'x')

Source: CF conventions 1.11.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.atomic import atomic_write, write_bytes
from echocast.errors import UnreadableFile
from echocast.fields import amounts
from echocast.io import packing
from echocast.io.forecast_leads import Leads

BITS = 10
"""Significant bits of the rain rates of an ensemble, unless other are asked for."""
_MINUTE = np.timedelta64(1, "m")
_OF_NWP = ("nwp", "nwp_reference_time", "nwp_files", "nwp_weights_by_wavelength")
_GLOBAL = ("source", "zr", "model", "input_files", "missing_frames", *_OF_NWP)
_READ_BACK = ("zr", "model", "input_files", "missing_frames", *_OF_NWP)
_WEIGHT = "nwp_weight"
"""By lead, of a forecast that is blended into a weather model (`echocast.nowcast.blending`)."""
_OF_FIELD = ("standard_name", "long_name", "units", "grid_mapping")
_TIME = {"units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "units_metadata": "leap_seconds: none"}
_PERIOD = {"standard_name": "forecast_period", "units": "minutes"}


def to_netcdf(
    forecast: xr.DataArray,
    path: str | Path,
    *,
    products: xr.Dataset | None = None,
    command: str = "echocast.io.forecast_file.to_netcdf",
    bits: int = BITS,
    leads: Leads | None = None,
) -> None:
    """Write a forecast as CF-1.11 NetCDF-4; the file appears whole or not at all.

    Rain rates of an ensemble, of its products, and of the expected rain are rounded to `bits` significant bits: 10 are
    within 0.1 %.

    Args:
        forecast: a field with leads, of any quantity, with or without members and channels.
        path: the file to write, or to replace.
        products: variables to stand beside it, on its leads and grid, such as `echocast.products.ensemble.products`.
        command: what the history says made it.
        bits: significant bits of the rain rates of an ensemble, 1 to 23.
        leads: the values of the variables that it names, lead by lead; `forecast` and `products` then hold none.

    Raises:
        DataError: it is no forecast, the disk is full or read-only, or there is no such folder.
    """
    data = dataset(fields.check(forecast), products, command)
    grids = {str(name): v.variable for name, v in data.data_vars.items() if v.dims[-2:] == ("y", "x")}
    about = data.drop_vars(grids).assign_coords({name: data[name] for name in ("y", "x")})
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in about.variables}
    # A single forecast is not rounded, so that its file has the scores of the forecaster that made it.
    exact = {str(forecast.name)} if "member" not in forecast.dims else set()
    rates = {name: bits for name, grid in grids.items() if name not in exact and grid.attrs["units"] == fields.UNITS}
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(bytes(about.to_netcdf(engine="h5netcdf", encoding=encoding)))
        packing.add_grids(partial, grids, to_round=rates, leads=leads)


def series_to_netcdf(field: xr.DataArray, path: str | Path) -> None:
    """Write observed frames (time, y, x) as CF-1.11 NetCDF-4; the file appears whole or not at all.

    Args:
        field: a field with times, of any quantity.
        path: the file to write, or to replace.

    Raises:
        DataError: it is no field, the disk is full or read-only, or there is no such folder.
    """
    data = fields.check(field).to_dataset(name=field.name)
    data = data.reset_coords("crs") if "crs" in data.coords else data
    data.attrs = {"Conventions": "CF-1.11", "history": f"made by echocast {__version__}"}
    data.attrs |= {name: field.attrs[name] for name in ("source", "zr", "comment") if name in field.attrs}
    packed = {"zlib": True, "complevel": packing.LEVEL, "shuffle": True, "_FillValue": np.float32(np.nan)}
    write_bytes(Path(path), bytes(data.to_netcdf(engine="h5netcdf", encoding={field.name: packed})))


def from_netcdf(path: Path) -> xr.DataArray:
    """The forecast of a file that `to_netcdf` wrote; raises `UnreadableFile` for any other."""
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False) as data:
            forecast = data[_name_of_forecast(data)].load()
            provenance = {name: data.attrs[name] for name in _READ_BACK if name in data.attrs}
            minutes = data["forecast_period"].values
            own = amounts.MEAN in data and "member" not in forecast.dims
            expected = data[amounts.MEAN].values if own else None
            crs = {name: data[name].load().variable for name in ("crs", _WEIGHT) if name in data}
    except (OSError, KeyError, ValueError) as bad:
        raise UnreadableFile(f"{path}: is no forecast of echocast ({' '.join(str(bad).split())[:120]})") from bad
    forecast = forecast.drop_vars("forecast_period").assign_coords({"lead": _leads(minutes)} | crs)
    forecast = forecast if expected is None else amounts.with_expected(forecast, expected)
    forecast.attrs.pop("ancillary_variables", None)
    forecast.attrs |= ({"grid_mapping": "crs"} if "crs" in crs else {}) | provenance
    return fields.check(forecast)


@dataclass(frozen=True)
class About:
    """What is told of a forecast file without reading its values.

    Args:
        issued: the time of issue.
        grid: differs where the grid does: a digest of `y`, `x` and the projection.
        leads: how many lead times there are.
    """

    issued: np.datetime64
    grid: str
    leads: int


def about(path: Path) -> About:
    """The time of issue and grid of a file that `to_netcdf` wrote, in a millisecond.

    Raises:
        UnreadableFile: any other file, or one that is cut off.
    """
    try:
        with h5py.File(path) as data:
            time = data["forecast_reference_time"]
            if time.attrs["units"] != _TIME["units"] or not len(data["lead"]):
                raise ValueError(f"its time is in {time.attrs['units']}")
            crs = data["crs"].attrs.get("crs_wkt", "") if "crs" in data else ""
            place = (data["y"][:].tobytes(), data["x"][:].tobytes(), str(crs).encode())
            grid = hashlib.sha256(b"|".join(place)).hexdigest()
            return About(np.datetime64(int(time[()]), "s").astype("datetime64[ns]"), grid, len(data["lead"]))
    except (OSError, KeyError, ValueError, RuntimeError) as bad:
        raise UnreadableFile(f"{path}: is no forecast of echocast ({' '.join(str(bad).split())[:120]})") from bad


def _name_of_forecast(data: xr.Dataset) -> str:
    """The variable that is the forecast: on leads and grid, with members if any has them; not a product of them."""
    own = {"member", "lead", "channel", "y", "x"}
    grids = {str(name): set(v.dims) for name, v in data.data_vars.items() if name != amounts.MEAN}
    found = [name for name, dims in grids.items() if {"lead", "y", "x"} <= dims <= own]
    if not found:
        raise KeyError("it has no variable with the dims lead, y and x")
    return max(found, key=lambda name: data[name].ndim)


def dataset(forecast: xr.DataArray, products: xr.Dataset | None, command: str) -> xr.Dataset:
    """The variables, coordinates and attributes of a forecast's file, and its products beside them."""
    minutes = _minutes(forecast.lead.values)
    attrs = {name: forecast.attrs[name] for name in _OF_FIELD if name in forecast.attrs}
    attrs["coordinates"] = "forecast_reference_time forecast_period time"
    weight = (
        {_WEIGHT: ("lead", forecast[_WEIGHT].values, forecast[_WEIGHT].attrs)} if _WEIGHT in forecast.coords else {}
    )
    if weight:
        attrs["ancillary_variables"] = _WEIGHT
    variables: dict[str, Any] = {
        **weight,
        str(forecast.name): (forecast.dims, forecast.values, attrs),
        **({"crs": ((), np.int32(0), forecast.crs.attrs)} if "crs" in forecast.coords else {}),
        "forecast_period": ("lead", minutes, _PERIOD | {"long_name": "time since the forecast was issued"}),
        "forecast_reference_time": (
            (),
            _seconds(forecast.forecast_reference_time.values),
            _TIME | {"standard_name": "forecast_reference_time", "long_name": "time the forecast was issued"},
        ),
        "time": (
            "lead",
            _seconds(forecast.time.values),
            _TIME | {"standard_name": "time", "long_name": "time the forecast is valid for"},
        ),
    }
    coords = {"lead": ("lead", minutes, _PERIOD | {"long_name": "lead time"})} | {
        name: (name, forecast[name].values, forecast[name].attrs)
        for name in ("y", "x", "member", "channel")
        if name in forecast.dims
    }
    made = xr.Dataset(variables, coords=coords, attrs=provenance(forecast, command))
    if products is None:
        return made
    if amounts.MEAN in products and "member" not in forecast.dims:
        made[str(forecast.name)].attrs["comment"] = amounts.FOR_THRESHOLDS
    return made.merge(_without_shared(products, made))


def _without_shared(products: xr.Dataset, made: xr.Dataset) -> xr.Dataset:
    """The variables that the file does not have yet, with the names of their coordinates."""
    added = products.drop_vars(set(products.variables) & set(made.variables)).copy()
    for variable in added.data_vars.values():
        variable.attrs["coordinates"] = "forecast_reference_time" + (" time" if "lead" in variable.dims else "")
    return added


def provenance(forecast: xr.DataArray, command: str) -> dict[str, str]:
    """Where a forecast came from: the attributes of its file."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {name: str(forecast.attrs[name]) for name in _GLOBAL if name in forecast.attrs}
    return known | {
        "Conventions": "CF-1.11",
        "title": f"Nowcast of {forecast.attrs.get('long_name', forecast.name)}",
        "source": f"echocast {__version__}, {forecast.attrs.get('model', 'model not stated')};"
        f" observed by {forecast.attrs.get('source', 'a source not stated')}",
        "echocast_version": __version__,
        "history": f"{now} {command}",
    }


def _seconds(times: np.ndarray | np.datetime64) -> np.ndarray:
    return np.asarray(times, "datetime64[s]").astype(np.int64)


def _minutes(leads: np.ndarray) -> np.ndarray:
    """Leads in minutes: whole numbers where they are (most radars), fractions where a radar turns faster."""
    minutes = leads / _MINUTE
    whole = minutes.astype(np.int32)
    return whole if (whole == minutes).all() else np.asarray(minutes)


def _leads(minutes: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(minutes, np.float64) * 60e9).astype("timedelta64[ns]")
