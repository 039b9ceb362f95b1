"""A forecast written as a Zarr store (version 2, consolidated, CF), and read back from one.

It holds the same variables as the NetCDF file of `echocast.io.forecast_file`, in chunks of one lead time each.

    >>> to_zarr(forecast, Path("forecast.zarr"))  # doctest: +SKIP
    >>> xr.open_zarr("forecast.zarr")["rainfall_rate"].dims  # doctest: +SKIP
    ('lead', 'y', 'x')
"""

import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from echocast import fields
from echocast.errors import DataError
from echocast.io.forecast_file import dataset
from echocast.io.forecast_leads import Leads

_MAX_SIDE = 1024
"""Cells along the side of a chunk."""


def to_zarr(
    forecast: xr.DataArray,
    path: str | Path,
    *,
    products: xr.Dataset | None = None,
    command: str = "echocast.io.forecast_zarr.to_zarr",
    leads: Leads | None = None,
) -> None:
    """Write a forecast as a Zarr store; the folder appears whole or not at all, and replaces an older forecast.

    Args:
        forecast: a field with leads, of any quantity, with or without members and channels.
        path: the folder to write, or the forecast to replace.
        products: variables to stand beside it, as `echocast.io.forecast_file.to_netcdf` takes them.
        command: what the history says made it.
        leads: the values of the variables that it names, lead by lead; `forecast` and `products` then hold none.

    Raises:
        DataError: something else is there, there is no folder for it, or it cannot be written.
    """
    path = Path(path)
    if path.exists() and not is_forecast(path):
        raise DataError(f"{path}: is there and is no forecast; give another name, or remove it")
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; make it first")
    data = dataset(fields.check(forecast), products, command)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial.zarr")
    try:
        _write(data, partial, leads)
        _replace(path, partial)
    except OSError as bad:
        raise DataError(f"{path}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(data: xr.Dataset, folder: Path, leads: Leads | None) -> None:
    """All variables; those that come lead by lead after the others."""
    late = {} if leads is None else {name: data[name].variable for name in leads.names}
    whole = data.drop_vars(late).assign_coords({name: data[name] for name in data.coords})
    whole.to_zarr(folder, mode="w", zarr_format=2, consolidated=leads is None, encoding=_encoding(whole))
    if leads is None:
        return
    group = zarr.open_group(folder, mode="r+", zarr_format=2)
    arrays: dict[str, Any] = {
        name: group.create_array(
            name,
            shape=variable.shape,
            dtype=np.float32,
            chunks=_chunks(variable),
            fill_value=np.nan,
            attributes=dict(variable.attrs) | {"_ARRAY_DIMENSIONS": list(variable.dims)},
        )
        for name, variable in late.items()
    }
    for number, frames in leads.counted(late):
        for name, values in frames.items():
            arrays[name][(*[slice(None)] * late[name].dims.index("lead"), number)] = values
    zarr.consolidate_metadata(folder, zarr_format=2)


def is_forecast(path: Path) -> bool:
    """Whether a folder is a Zarr store with a forecast."""
    return (path / ".zattrs").is_file() and (path / "forecast_reference_time").is_dir()


def _encoding(data: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Chunks of one member and lead time; NaN is what is not known, and coordinates have no missing value."""
    found: dict[str, dict[str, Any]] = {}
    for name, variable in data.variables.items():
        if variable.dims[-2:] == ("y", "x"):
            found[str(name)] = {"chunks": _chunks(variable), "_FillValue": np.float32(np.nan)}
        else:
            found[str(name)] = {"_FillValue": None}
    return found


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """One member and lead time, and no more than `_MAX_SIDE` cells along a side."""
    return (*(1 for _ in variable.shape[:-2]), *(min(n, _MAX_SIDE) for n in variable.shape[-2:]))


def _replace(path: Path, partial: Path) -> None:
    old = partial.with_name(f"{partial.name}.old")
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)
