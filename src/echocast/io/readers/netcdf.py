"""CF-NetCDF, 3 or 4: rain rate (mm/h), reflectivity (dBZ) or amount (mm) on any projected or geographic grid.

The variable is found by its CF standard name, else by its unit, or given by name; its grid mapping, latitude and
longitude as dimensions, or a projection written in an attribute say where it lies. Amounts are divided by their own
interval: the time bounds, a start time, the cell methods, else the time step. Reflectivity becomes rain by Marshall and
Palmer's relation, Z = 200 R^1.6, unless another is asked for. So come in, among others: TAASRAD19, BoM Rainfields,
RADKLIM, OpenMRG, OpenRainER, and what pysteps exports (one member).

Source: CF conventions 1.11.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.readers import _cf

SUFFIXES = (".nc", ".nc4", ".cdf", ".h5")
GENERAL = True
"""Asked last: a reader of a special kind of NetCDF goes before."""

_STRETCH_BYTES = 64 * 2**20


def recognises(head: bytes, path: Path) -> bool:
    """NetCDF 3 by its magic bytes; HDF5 that is not another reader's by the marks that NetCDF 4 leaves."""
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
        return True
    return head[:8] == b"\x89HDF\r\n\x1a\n" and _has_netcdf_marks(path)


def read(
    path: Path, *, variable: str | None = None, units: str | None = None, zr: fields.ZR | None = None
) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it holds none, or more than fits into memory."""
    with _opened(path) as (data, raw):
        return _cf.field(data, str(path), _cf.Wish(variable, units, zr), raw=raw)


def pieces(
    path: Path, *, variable: str | None = None, units: str | None = None, zr: fields.ZR | None = None
) -> Iterator[xr.DataArray]:
    """The field of one file, a stretch of time at once: a file may hold years."""
    wish = _cf.Wish(variable, units, zr)
    with _opened(path) as (data, raw):
        whole = _cf.layout(data, str(path), wish)
        for stretch in _cf.stretches(whole.sizes["time"], whole[0].size, _STRETCH_BYTES):
            yield _cf.field(data, str(path), wish, stretch, raw)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """The dataset decoded by CF's rules and as it is; what goes wrong becomes an `UnreadableFile`."""
    try:
        engine = _engine(path)
        if engine == "h5netcdf":
            h5py.File(path).close()  # fails cleanly where h5netcdf would leave a half-made object behind
        with xr.open_dataset(path, engine=engine, cache=False, decode_cf=False) as raw:
            yield xr.decode_cf(raw, decode_timedelta=False), raw
    except _cf.TROUBLES as bad:
        if isinstance(bad, UnreadableFile):
            raise
        why = " ".join(str(bad).split())[:200]
        raise UnreadableFile(f"{path}: cannot be read as CF-NetCDF ({why}); is it whole? fetch it again") from bad


def _engine(path: Path) -> str:
    with path.open("rb") as file:
        return "scipy" if file.read(3) == b"CDF" else "h5netcdf"


def _has_netcdf_marks(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            scales = any("CLASS" in item.attrs for item in file.values() if isinstance(item, h5py.Dataset))
            return "_NCProperties" in file.attrs or ("Conventions" in file.attrs and scales) or scales
    except (OSError, RuntimeError, KeyError):
        return False
