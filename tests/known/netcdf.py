"""CF-NetCDF, classic by SciPy or 4 by h5py: compressed or not, attributes as text or bytes, scalars or rows."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import netcdf_file
from tests.known import Known, _cf


def write(folder: Path, drawn: np.random.Generator) -> Known:
    made = _cf.dataset(drawn)
    path = folder / f"rain{drawn.integers(100)}.nc"
    classic = all(a.dtype.str[1:] not in ("u1", "u2", "i8") for _, a, _ in made.variables.values())
    if classic and drawn.random() < 0.5:
        _classic(path, made)
    else:
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if drawn.integers(2) else {}
        to_hdf5(path, made.variables, made.attrs, packed=packed, as_bytes=bool(drawn.integers(2)))
    return Known(path, made.times, made.cells, made.shape, _cf.options(made), made.refused, made.tolerance)


def to_hdf5(
    path: Path,
    variables: dict[str, _cf.Variable],
    attrs: dict[str, Any],
    *,
    packed: dict[str, Any] | None = None,
    as_bytes: bool = False,
) -> Path:
    """Write NetCDF 4 by h5py: variables by name as dims, array and attributes."""
    sizes = _sizes(variables)
    with h5py.File(path, "w") as file:
        file.attrs["_NCProperties"] = "version=2"
        file.attrs.update(attrs)
        for name, (dims, array, about) in variables.items():
            item = file.create_dataset(name, data=array, **((packed or {}) if np.ndim(array) > 1 else {}))
            for key, value in about.items():
                item.attrs[key] = np.bytes_(value) if as_bytes and isinstance(value, str) else value
            if dims == (name,):
                item.make_scale(name)
        for d in sizes:
            if d not in file:
                file[d] = np.zeros(sizes[d], "f4")
                file[d].make_scale(f"This is a netCDF dimension but not a netCDF variable.{sizes[d]:10d}")
        for name, (dims, _, _) in variables.items():
            for axis, d in enumerate(dims):
                if d != name:
                    file[name].dims[axis].attach_scale(file[d])
    return path


def _sizes(variables: dict[str, _cf.Variable]) -> dict[str, int]:
    return {d: n for dims, a, _ in variables.values() for d, n in zip(dims, np.shape(a), strict=True)}


def _classic(path: Path, made: _cf.Drawn) -> None:
    with netcdf_file(path, "w") as file:
        for name, size in _sizes(made.variables).items():
            file.createDimension(name, size)
        for name, (dims, array, attrs) in made.variables.items():
            variable = file.createVariable(name, array.dtype, dims)
            variable[...] = array
            for key, value in attrs.items():
                setattr(variable, key, value)
        for key, value in made.attrs.items():
            setattr(file, key, value)
