"""Zarr of any origin, version 2 or 3, Icechunk among them: mlcast's layout, this project's archives, CF data.

The rules are those of CF-NetCDF: the variable is found by its standard name, or by unit and name, or given by name. The
fill value 0 of Zarr 2, which stands there unless another was chosen, makes no dry cell missing. A store is a folder; it
is read a stretch of time at once, so that it may be larger than memory. Of an archive of this project only
the frames that were observed come.

Source: CF conventions 1.11; Zarr 2 and 3; mlcast dataset specification 1.0.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import location as locations
from echocast.io.damage import as_value_error
from echocast.io.palette import INDEX, PALETTE, decoded, is_archive
from echocast.readers import _cf
from echocast.readers._cf_numbers import ZARR_FILL

SUFFIXES = (".zarr",)

_STRETCH_BYTES = 64 * 2**20
ICECHUNK = ("refs/branch.main/ref.json", "repo")
MARKS = ("zarr.json", ".zgroup", ".zmetadata", *ICECHUNK)
"""Files that tell a Zarr store or an Icechunk repository."""


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (a folder has no first bytes)
    """A folder with Zarr's marks, or an Icechunk repository."""
    return path.is_dir() and (any((path / mark).is_file() for mark in MARKS) or _is_icechunk(path))


def read(
    path: Path | str,
    *,
    variable: str | None = None,
    units: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    time_pattern: str | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The whole field of one store."""
    told = {"interval": interval, "time_pattern": time_pattern, "missing_value": missing_value}
    found = list(pieces(path, variable=variable, units=units, zr=zr, **told))
    return found[0] if len(found) == 1 else xr.concat(found, "time", join="override", combine_attrs="override")


def pieces(path: Path | str, **options: Any) -> Iterator[xr.DataArray]:
    """The field of one store, part by part in time. The options are those of `read`."""
    selection, source = _cf.Selection(**options), locations.name(path)
    with _opened(path) as opened:
        data = opened
        if is_archive(data) and not (selection.variable or selection.units):
            field = decoded(xr.decode_cf(data, decode_timedelta=False))
            if field.name != fields.NAME:
                for part, observed in _parts(data, field.sizes["time"], field[0].size):
                    yield fields.check(field[part][observed].drop_vars("observed").load())
                return
            data = data.drop_vars([INDEX, PALETTE], errors="ignore").assign({fields.NAME: field.variable})
        whole = _cf.layout(data, selection, source)
        for part, observed in _parts(data, len(whole.times), whole.cells):
            piece = _cf.field(data, source, selection, part, whole)
            if "zr" in data.attrs and "zr" not in piece.attrs:
                piece.attrs["zr"] = str(data.attrs["zr"])
            yield piece[observed]


def _parts(data: xr.Dataset, count: int, cells: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The parts in time that hold observed frames, and which frames of each were observed."""
    observed = data["observed"].values.astype(bool) if "observed" in data.variables else np.ones(count, bool)
    if not observed.any():
        raise UnreadableFile("holds no frames")
    for part in _cf.stretches(count, cells, _STRETCH_BYTES):
        if observed[part].any():
            yield part, observed[part]


def _is_icechunk(path: Path) -> bool:
    return (path / "refs").is_dir() or (path / "repo").exists()


@contextmanager
def _opened(path: Path | str) -> Iterator[xr.Dataset]:
    """The dataset of a local store, or of one at a URL, nothing decoded."""
    options: dict[str, Any] = {"chunks": None, "decode_cf": False}
    if isinstance(path, str):
        url = path.rstrip("/")
        icechunk = locations.has_file(url, *ICECHUNK)
        store = _session(url) if icechunk else locations.zarr_store(url)
        options |= {"consolidated": False} if icechunk else {}
    elif not path.is_dir():
        raise UnreadableFile("is no Zarr store, which is a folder")
    else:
        store = _session(path) if _is_icechunk(path) else str(path)
        options |= {"consolidated": False} if _is_icechunk(path) else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated", RuntimeWarning)
        with as_value_error(TypeError):  # zarr, of metadata with unknown names
            data = xr.open_zarr(store, **options)
    with data:
        yield _without_empty_fill(data)


def _without_empty_fill(data: xr.Dataset) -> xr.Dataset:
    """The dataset of Zarr 2 without fill values that its writer did not choose: 0 stands there by itself.

    Where other variables have none or another one, the 0 of packed numbers was chosen and means "not observed".
    """
    fills = {name: v.attrs["_FillValue"] for name, v in data.variables.items() if "_FillValue" in v.attrs}
    zero = {name for name, fill in fills.items() if np.asarray(fill).dtype.kind in "iuf" and fill == 0}
    of_version_2 = any("filters" in v.encoding and "serializer" not in v.encoding for v in data.variables.values())
    if not of_version_2 or not zero:
        return data
    by_itself = all(name in zero for name, v in data.variables.items() if v.ndim == 1 and v.dtype.kind in "iuf")
    for name in zero:
        attrs = data.variables[name].attrs
        if by_itself or float(np.ravel(attrs.get("add_offset", 0.0))[0]) == 0.0:
            attrs[ZARR_FILL] = attrs.pop("_FillValue")
    return data


def _session(location: Path | str) -> Any:
    from echocast.io import store as stores

    with stores.errors(location):
        return stores.repository(location, create=False).readonly_session("main").store
