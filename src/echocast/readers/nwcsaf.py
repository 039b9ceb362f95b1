"""EUMETSAT NWC SAF convective rain rate (CRR), NetCDF: rain by satellite on the geostationary grid.

``crr_intensity`` in mm/h, negative or unset where nothing is processed; the time is the nominal time of the product,
the grid that of its attributes. Another unit, axes that are not in metres, and a grid that does not begin where the
attributes say are refused.

Source: NWC SAF, product user manual for the precipitation products, CRR v4.0.
"""

from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import GridMismatch, WrongUnits
from echocast.readers import _hdf5
from echocast.readers._lookup import through_table

SUFFIXES = (".nc",)

_NAME = "crr_intensity"
_FAMILY = "NWC"


def recognises(head: bytes, path: Path) -> bool:
    """NetCDF 4 with the CRR intensity of an NWC product."""
    return _hdf5.looks(head, path, lambda file: _NAME in file and _FAMILY in _hdf5.text(file, "project", ""))


def read(path: Path) -> xr.DataArray:
    """The field of one file."""
    with h5py.File(path) as file:
        y, x = _axis(file, "ny"), _axis(file, "nx")
        crs = fields.known_crs(_hdf5.text(file, "gdal_projection"))
        time = np.datetime64(_hdf5.text(file, "nominal_product_time").rstrip("Z"), "ns")
        data = _hdf5.dataset(file, _NAME)
        raw = _hdf5.cells(data, (len(y), len(x)))
        _prove(file, data, y, x)
        gain, offset = _scaling(data)
        low, high = (float(limit) for limit in _hdf5.values(data, "valid_range")[:2])
        fill = _hdf5.number(data, "_FillValue", np.nan)
        source = f"NWC SAF CRR {_hdf5.text(file, 'satellite_identifier', '')}".strip()

    def decode(level: np.ndarray) -> np.ndarray:
        rate = (gain * level + offset).astype(np.float32)
        rate[(level == fill) | (level < low) | (level > high)] = np.nan
        return rate

    return fields.make(through_table(raw, decode)[None], time=[time], y=y, x=x, crs=crs, attrs={"source": source})


def _prove(file: h5py.File, data: h5py.Dataset, y: np.ndarray, x: np.ndarray) -> None:
    """Raise unless the unit is mm/h, the axes are metres, and the first cell lies where the attributes say."""
    units = _hdf5.text(data, "units", fields.UNITS)
    if fields.kind_of_unit(units) != "rate" or fields.to_rain_rate(np.ones(1), units)[0] != 1.0:
        raise WrongUnits(f"{_NAME} is in {units!r}; that of NWC SAF is in mm/h")
    for name, axis in (("nx", x), ("ny", y)):
        unit = _hdf5.text(_hdf5.dataset(file, name), "units", "m")
        if unit not in ("m", "meter", "metre", "meters", "metres"):
            raise GridMismatch(f"{name} is in {unit!r}; that of NWC SAF is in metres")
        said = f"gdal_{name[1]}geo_up_left"
        corner = _hdf5.number(file, said, np.nan)
        if abs(axis[0] - corner) > abs(axis[1] - axis[0]):
            raise GridMismatch(f"{name} begins at {axis[0]:g} m, but {said} says {corner:g} m")


def _axis(file: h5py.File, name: str) -> np.ndarray:
    axis = _hdf5.dataset(file, name)
    if axis.ndim != 1 or axis.size > _hdf5.MOST_ACROSS or axis.dtype.kind not in "iuf":
        raise ValueError(f"{name} has shape {axis.shape}")
    gain, offset = _scaling(axis)
    return np.asarray(gain * np.asarray(axis[...], np.float64) + offset)


def _scaling(data: h5py.Dataset) -> tuple[float, float]:
    return _hdf5.number(data, "scale_factor", 1.0), _hdf5.number(data, "add_offset", 0.0)
