"""EUMETSAT NWC SAF convective rain rate (CRR), NetCDF: rain by satellite on the geostationary grid.

``crr_intensity`` in mm/h, negative or unset where nothing is processed; the time is the nominal time of the product,
the grid that of its attributes.

Source: NWC SAF, product user manual for the precipitation products, CRR v4.0.
"""

from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.io.readers import _hdf5
from echocast.io.readers._lookup import through_table

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
        gain, offset = _scaling(data)
        low, high = (float(limit) for limit in _hdf5.values(data, "valid_range")[:2])
        fill = _hdf5.number(data, "_FillValue", np.nan)
        source = f"NWC SAF CRR {_hdf5.text(file, 'satellite_identifier', '')}".strip()

    def decode(level: np.ndarray) -> np.ndarray:
        rate = (gain * level + offset).astype(np.float32)
        rate[(level == fill) | (level < low) | (level > high)] = np.nan
        return rate

    return fields.make(through_table(raw, decode)[None], time=[time], y=y, x=x, crs=crs, attrs={"source": source})


def _axis(file: h5py.File, name: str) -> np.ndarray:
    axis = _hdf5.dataset(file, name)
    if axis.ndim != 1 or axis.size > _hdf5.MOST_ACROSS or axis.dtype.kind not in "iuf":
        raise ValueError(f"{name} has shape {axis.shape}")
    gain, offset = _scaling(axis)
    return np.asarray(gain * np.asarray(axis[...], np.float64) + offset)


def _scaling(data: h5py.Dataset) -> tuple[float, float]:
    return _hdf5.number(data, "scale_factor", 1.0), _hdf5.number(data, "add_offset", 0.0)
