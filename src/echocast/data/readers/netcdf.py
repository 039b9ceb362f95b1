"""CF-NetCDF, 3 or 4: rain rate (mm/h), reflectivity (dBZ) or amount (mm) on any projected or geographic grid.

The variable is found by its CF standard name, else by its unit; its grid mapping, or latitude and longitude as
dimensions, say where it lies. Amounts are divided by their own interval: the time bounds, else the time step.
Reflectivity becomes rain by Marshall and Palmer's relation, Z = 200 R^1.6.

Source: CF conventions 1.11.
"""

from pathlib import Path

import h5py
import numpy as np
import pyproj
import xarray as xr

from echocast import field as fields
from echocast.errors import UnreadableFile, WrongUnits

SUFFIXES = (".nc", ".nc4", ".cdf", ".h5")

_STANDARD_NAMES = (
    "rainfall_rate",
    "lwe_precipitation_rate",
    "equivalent_reflectivity_factor",
    "rainfall_amount",
    "precipitation_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
)
_MOST_CELLS = 2**31


def recognises(head: bytes, path: Path) -> bool:
    """NetCDF 3 by its magic bytes; HDF5 that is not another reader's by the marks that NetCDF 4 leaves."""
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
        return True
    return head[:8] == b"\x89HDF\r\n\x1a\n" and _has_netcdf_marks(path)


def read(path: Path) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it holds none."""
    try:
        engine = _engine(path)
        if engine == "h5netcdf":
            h5py.File(path).close()  # fails cleanly where h5netcdf would leave a half-made object behind
        with xr.open_dataset(path, engine=engine, cache=False) as data:
            return _field(data, path)
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError) as bad:
        if isinstance(bad, UnreadableFile):
            raise
        why = " ".join(str(bad).split())[:200]
        raise UnreadableFile(f"{path}: cannot be read as CF-NetCDF ({why}); is it whole? fetch it again") from bad


def _field(data: xr.Dataset, path: Path) -> xr.DataArray:
    name = _variable(data, path)
    variable = data[name]
    if "lead" in variable.dims or "forecast_period" in variable.dims:
        raise UnreadableFile(f"{path}: is a forecast, not an observation; give the radar files it was made from")
    if variable.ndim == 2 and "time" in data.variables and data["time"].size == 1:
        variable = variable.expand_dims(time=np.atleast_1d(data["time"].values))
    if variable.ndim != 3 or "time" not in variable.dims:
        raise UnreadableFile(f"{path}: {name!r} has dims {variable.dims}; it needs time, y and x")
    y, x = (str(d) for d in variable.dims if d != "time")
    variable = variable.transpose("time", y, x)
    if variable.size > _MOST_CELLS:
        raise UnreadableFile(f"{path}: {name!r} has {variable.shape} cells, more than one file may; split it")
    rate = _rate(data, variable, path)
    attrs = {"source": str(data.attrs.get("source", data.attrs.get("title", path.name)))}
    if fields.quantity(str(variable.attrs["units"])) == "reflectivity":
        attrs["zr"] = str(fields.MARSHALL_PALMER)
    crs = _crs(data, variable, (y, x), path)
    order = np.argsort(variable["time"].values, kind="stable")
    return fields.make(
        rate[order],
        time=variable["time"].values[order],
        y=_metres(data[y]),
        x=_metres(data[x]),
        crs=crs,
        attrs=attrs,
    )


def _variable(data: xr.Dataset, path: Path) -> str:
    for wanted in _STANDARD_NAMES:
        for name, variable in data.data_vars.items():
            if variable.attrs.get("standard_name") == wanted and variable.ndim >= 2:
                return str(name)
    for name, variable in data.data_vars.items():
        if variable.ndim >= 2 and _known_unit(str(variable.attrs.get("units", ""))):
            return str(name)
    listed = ", ".join(f"{n} [{v.attrs.get('units', 'no unit')}]" for n, v in data.data_vars.items()) or "nothing"
    raise UnreadableFile(f"{path}: has no variable in mm/h, dBZ or mm on a grid; it holds {listed}")


def _known_unit(units: str) -> bool:
    try:
        fields.quantity(units)
    except WrongUnits:
        return False
    return True


def _rate(data: xr.Dataset, variable: xr.DataArray, path: Path) -> np.ndarray:
    units = str(variable.attrs.get("units", ""))
    interval = _interval_s(data, variable) if _known_unit(units) and fields.quantity(units) == "amount" else None
    try:
        return fields.to_rain_rate(np.asarray(variable.values, np.float32), units, interval_s=interval)
    except WrongUnits as bad:
        raise UnreadableFile(f"{path}: {bad}") from bad


def _interval_s(data: xr.Dataset, variable: xr.DataArray) -> float | None:
    bounds = data["time"].attrs.get("bounds") or data["time"].encoding.get("bounds")
    if bounds in data.variables:
        edges = np.asarray(data[str(bounds)].values, "datetime64[ns]").reshape(-1, 2)
        return float((edges[0, 1] - edges[0, 0]) / np.timedelta64(1, "s"))
    if variable.sizes["time"] > 1:
        return float(fields.step(np.sort(variable["time"].values)) / np.timedelta64(1, "s"))
    return None


def _crs(data: xr.Dataset, variable: xr.DataArray, dims: tuple[str, str], path: Path) -> pyproj.CRS:
    mapping = str(variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or "")
    if mapping in data.variables:
        try:
            return pyproj.CRS.from_cf(data[mapping].attrs)
        except (pyproj.exceptions.CRSError, KeyError) as bad:
            raise UnreadableFile(f"{path}: its grid mapping {mapping!r} is not understood ({bad})") from bad
    if all("degree" in str(data[d].attrs.get("units", "")) for d in dims if d in data.variables):
        return pyproj.CRS.from_epsg(4326)
    raise UnreadableFile(f"{path}: {variable.name!r} has no grid mapping, so nobody knows where it lies; add one")


def _metres(axis: xr.DataArray) -> np.ndarray:
    values = np.asarray(axis.values, np.float64)
    return values * 1000.0 if str(axis.attrs.get("units", "")).strip() in ("km", "kilometer", "kilometre") else values


def _engine(path: Path) -> str:
    with path.open("rb") as file:
        return "scipy" if file.read(3) == b"CDF" else "h5netcdf"


def _has_netcdf_marks(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            scales = any("CLASS" in item.attrs for item in file.values() if isinstance(item, h5py.Dataset))
            return "_NCProperties" in file.attrs or ("Conventions" in file.attrs and scales)
    except (OSError, RuntimeError, KeyError):
        return False
