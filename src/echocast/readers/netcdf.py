"""CF-NetCDF, 3 or 4: rain rate (mm/h), reflectivity (dBZ) or amount (mm) on any projected or geographic grid.

The variable is found by its CF standard name, else by its unit and a name like rain, or given by name; its grid
mapping, longitude and latitude as dimensions, or a projection written in an attribute say where it lies. Amounts are
divided by their own interval and have its end: the time bounds, a start time, the cell methods, else the time step.
Reflectivity becomes rain by Marshall and Palmer's relation, Z = 200 R^1.6, unless another is asked for. Forecasts and
running sums are refused. So come in, among others: TAASRAD19, BoM Rainfields, RADKLIM, OpenMRG and OpenRainER.

Source: CF conventions 1.11.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from echocast import fields
from echocast.io import netcdf
from echocast.readers import _cf, _cf_other, _cf_runs, _hdf5

SUFFIXES = (".nc", ".nc4", ".cdf", ".h5")
GENERAL = True
"""Asked last: a reader of a special kind of NetCDF goes before."""

_STRETCH_BYTES = 64 * 2**20


def recognises(head: bytes, path: Path) -> bool:
    """NetCDF 3 by its magic bytes; HDF5 that is not another reader's by the marks that NetCDF 4 leaves."""
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
        return True
    return _hdf5.looks(head, path, _has_netcdf_marks)


def read(
    path: Path,
    *,
    variable: str | None = None,
    units: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    time_pattern: str | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file."""
    with netcdf.opened(path) as data:
        selection = _cf.Selection(variable, units, zr, interval, time_pattern, missing_value)
        return _cf.field(data, path.name, selection)


def pieces(path: Path, **options: Any) -> Iterator[xr.DataArray]:
    """The field of one file, part by part in time: a file may hold years. The options are those of `read`."""
    selection = _cf.Selection(**options)
    with netcdf.opened(path) as data:
        whole = _cf.layout(data, selection, path.name)
        for part in _cf.stretches(len(whole.times), whole.cells, _STRETCH_BYTES):
            yield _cf.field(data, path.name, selection, part, whole)


def runs(path: Path, *, variable: str | None = None, units: str | None = None) -> list[xr.DataArray]:
    """The run of a model that a file holds, as a forecast: see `echocast.readers`."""
    with netcdf.opened(path) as data:
        return _cf_runs.runs(data, path.name, variable, units)


def of_quantity(path: Path, quantity: str, *, variable: str | None = None, units: str | None = None) -> xr.DataArray:
    """The field of a quantity that is no rain: see `echocast.readers`."""
    with netcdf.opened(path) as data:
        return _cf_other.field(data, path.name, quantity, variable, units)


def _has_netcdf_marks(file: h5py.File) -> bool:
    scales = any("CLASS" in item.attrs for item in file.values() if isinstance(item, h5py.Dataset))
    return scales or "_NCProperties" in file.attrs
