"""A forecast becomes a CF-NetCDF file, and is read back from one.

The file holds ``rainfall_rate(lead, y, x)`` in mm h-1 (NaN where the radar does not see), the moment of issue, the
forecast period and the valid time of each lead, `x` and `y` with their grid mapping, and where all of it came from. Of
an ensemble it is ``rainfall_rate(member, lead, y, x)``, and what `echocast.products.ensemble` makes of it stands
beside; its rain rates are rounded to 10 significant bits (within 0.1 %), which halves the file. All else is as it was.

    >>> to_netcdf(forecast, Path("forecast.nc"))  # doctest: +SKIP
    >>> from_netcdf(Path("forecast.nc")).dims  # doctest: +SKIP
    ('lead', 'y', 'x')

Source: CF conventions 1.11.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.atomic import atomic_write
from echocast.errors import UnreadableFile
from echocast.io import packing
from echocast.products import ensemble

_MINUTE = np.timedelta64(1, "m")
_GLOBAL = ("source", "zr", "model", "input_files")
_READ_BACK = ("zr", "model", "input_files")


def to_netcdf(
    forecast: xr.DataArray, path: str | Path, *, command: str = "echocast.io.forecast_file.to_netcdf"
) -> None:
    """Write a forecast as CF-1.11 NetCDF-4; the file appears whole or not at all.

    Rain rates of an ensemble are rounded to 10 significant bits: within 0.1 %.

    Args:
        forecast: a field with leads.
        path: the file to write, or to replace.
        command: what the history says made it.

    Raises:
        DataError: the disk is full or read-only, or there is no such folder.
    """
    data = _dataset(fields.check(forecast), command)
    grids = {str(name): v.variable for name, v in data.data_vars.items() if {"y", "x"} <= set(v.dims)}
    about = data.drop_vars(grids).assign_coords({name: data[name] for name in ("y", "x")})
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in about.variables}
    # Made in memory first: HDF5 cannot be stopped cleanly half-way through a file on a full disk.
    # A single forecast stays as it is, so that its file has the scores of the forecaster that made it.
    rates = [name for name, grid in grids.items() if "member" in forecast.dims and grid.attrs["units"] == fields.UNITS]
    content = packing.with_grids(bytes(about.to_netcdf(engine="h5netcdf", encoding=encoding)), grids, to_round=rates)
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(content)


def series_to_netcdf(field: xr.DataArray, path: str | Path) -> None:
    """Write observed frames (time, y, x) as CF-1.11 NetCDF-4; the file appears whole or not at all.

    Args:
        field: a field with times.
        path: the file to write, or to replace.

    Raises:
        DataError: the disk is full or read-only, or there is no such folder.
    """
    data = fields.check(field).to_dataset(name=fields.NAME).reset_coords("crs")
    data.attrs = {"Conventions": "CF-1.11", "history": f"made by echocast {__version__}"}
    data.attrs |= {name: field.attrs[name] for name in ("source", "zr", "comment") if name in field.attrs}
    packed = {"zlib": True, "complevel": packing.LEVEL, "shuffle": True, "_FillValue": np.float32(np.nan)}
    encoding = {fields.NAME: packed}
    content = data.to_netcdf(engine="h5netcdf", encoding=encoding)
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(content)


def from_netcdf(path: Path) -> xr.DataArray:
    """The forecast of a file that `to_netcdf` wrote; raises `UnreadableFile` for any other."""
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False) as data:
            forecast = data[fields.NAME].load()
            provenance = {name: data.attrs[name] for name in _READ_BACK if name in data.attrs}
            minutes = data["forecast_period"].values
            crs = data["crs"].load()
    except (OSError, KeyError, ValueError) as bad:
        raise UnreadableFile(f"{path}: is no forecast of echocast ({' '.join(str(bad).split())[:120]})") from bad
    forecast = forecast.drop_vars("forecast_period").assign_coords(crs=crs, lead=_leads(minutes))
    forecast.attrs |= {"grid_mapping": "crs"} | provenance
    return fields.check(forecast)


def _dataset(forecast: xr.DataArray, command: str) -> xr.Dataset:
    seconds = {
        "units": "seconds since 1970-01-01 00:00:00",
        "calendar": "standard",
        "units_metadata": "leap_seconds: none",
    }
    minutes = _minutes(forecast.lead.values)
    period = {"standard_name": "forecast_period", "units": "minutes"}
    attrs = {n: forecast.attrs[n] for n in ("standard_name", "long_name", "units", "grid_mapping")}
    made = xr.Dataset(
        {
            fields.NAME: (
                forecast.dims,
                forecast.values,
                attrs | {"coordinates": "forecast_reference_time forecast_period time"},
            ),
            "crs": ((), np.int32(0), forecast.crs.attrs),
            "forecast_period": ("lead", minutes, period | {"long_name": "time since the forecast was issued"}),
            "forecast_reference_time": (
                (),
                _seconds(forecast.forecast_reference_time.values),
                seconds | {"standard_name": "forecast_reference_time", "long_name": "time the forecast was issued"},
            ),
            "time": (
                "lead",
                _seconds(forecast.time.values),
                seconds | {"standard_name": "time", "long_name": "time the forecast is valid for"},
            ),
        },
        coords={
            "lead": ("lead", minutes, period | {"long_name": "lead time"}),
            "y": ("y", forecast.y.values, forecast.y.attrs),
            "x": ("x", forecast.x.values, forecast.x.attrs),
        },
        attrs=_provenance(forecast, command),
    )
    if "member" not in forecast.dims:
        return made
    of_members = ensemble.products(forecast).drop_vars(["lead", "y", "x"], errors="ignore")
    for variable in of_members.data_vars.values():
        variable.attrs["coordinates"] = "forecast_reference_time" + (" time" if "lead" in variable.dims else "")
    numbers = forecast.coords["member"]
    return made.assign_coords(member=("member", numbers.values, numbers.attrs)).merge(of_members)


def _provenance(forecast: xr.DataArray, command: str) -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {name: str(forecast.attrs[name]) for name in _GLOBAL if name in forecast.attrs}
    return known | {
        "Conventions": "CF-1.11",
        "title": "Nowcast of rain rate",
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
