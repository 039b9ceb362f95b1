"""Météo-France MeteoNet: 5-minute rain amounts in an .npz, its coordinates in a file of their own beside it.

``rainfall_NW_2016_08.3.npz`` holds hundredths of a millimetre per 5 minutes, -1 where nothing is observed;
``radar_coords_NW.npz`` in the same folder, or the one above, holds latitude and longitude. The times are a pickled
array: its opcodes are read for the dates that they spell, and nothing is ever unpickled.

Source: Larvor et al. 2020, MeteoNet, https://meteofrance.github.io/meteonet.
"""

import pickletools
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.damage import as_value_error
from echocast.readers._lookup import check_undeclared

SUFFIXES = (".npz",)
COMPANIONS = ("radar_coords_*.npz",)
"""Files that lie beside the data and are read with them; a folder's listing passes them over."""

_ZONE = re.compile(r"_(NW|SE)_")
_MISSING = -1
_INTERVAL_S = 300.0
_HUNDREDTHS = "0.01 mm"
_DATE_BYTES = 10
_MOST_BYTES = 2**31


def recognises(head: bytes, path: Path) -> bool:
    """A zip with the arrays ``data`` and ``dates``."""
    if head[:4] != b"PK\x03\x04":
        return False
    with _zip(path) as packed:
        return {"data.npy", "dates.npy"} <= set(packed.namelist())


def read(path: Path, *, missing_value: tuple[float, ...] = ()) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if its coordinates are not found.

    Args:
        path: the file.
        missing_value: more numbers that mean "not observed".
    """
    with _zip(path) as packed:
        amount, dates = _array(packed, "data.npy"), _dates(packed)
    if amount.ndim != 3 or amount.dtype.kind not in "iuf" or len(dates) != len(amount):
        raise ValueError(f"{len(dates)} dates for data of {amount.dtype} and shape {amount.shape}")
    y, x = _axes(_coordinates(path), amount.shape[1:])
    unknown = np.isin(amount, [*_missing(amount.dtype), *missing_value]) | ~np.isfinite(amount)
    declared = (_MISSING, *missing_value)
    check_undeclared(amount, unknown, 0.01, 0.0, "mm", declared)
    values = np.where(unknown, np.nan, amount.astype(np.float32))
    order = np.argsort(dates, kind="stable")
    rate = fields.to_rain_rate(values[order], _HUNDREDTHS, interval_s=_INTERVAL_S)
    attrs = {"source": "Météo-France MeteoNet rainfall"}
    return fields.make(rate, time=dates[order], y=y, x=x, crs="EPSG:4326", attrs=attrs)


def _missing(kind: np.dtype) -> tuple[int, ...]:
    """-1, and of unsigned numbers what -1 becomes among them."""
    return (_MISSING, int(np.iinfo(kind).max)) if kind.kind == "u" else (_MISSING,)


def _array(packed: zipfile.ZipFile, name: str) -> np.ndarray:
    if packed.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(f"{name} unpacks to {packed.getinfo(name).file_size:,} bytes")
    with _opened(packed, name) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _zip(path: Path) -> zipfile.ZipFile:
    with as_value_error(NotImplementedError):  # an unknown version
        return zipfile.ZipFile(path)


def _opened(packed: zipfile.ZipFile, name: str) -> Any:
    with as_value_error(NotImplementedError):  # an unknown way of compression
        return packed.open(name)


def _dates(packed: zipfile.ZipFile) -> np.ndarray:
    """The datetimes that a pickled array spells, found in its opcodes: ten bytes each."""
    with _opened(packed, "dates.npy") as stream:
        content = stream.read(2**24)
    start = content.find(b"\n") + 1
    if content[:6] != b"\x93NUMPY" or not start:
        raise ValueError("dates.npy is no NumPy array")
    spelled = [arg for code, arg, _ in pickletools.genops(content[start:]) if code.name == "SHORT_BINBYTES"]
    return np.array([_date(b) for b in spelled if isinstance(b, bytes) and len(b) == _DATE_BYTES], "datetime64[ns]")


def _date(b: bytes) -> np.datetime64:
    return np.datetime64(datetime(b[0] * 256 + b[1], b[2], b[3], b[4], b[5], b[6]), "ns")


def _coordinates(path: Path) -> Path:
    zone = _ZONE.search(path.name)
    name = f"radar_coords_{zone[1]}.npz" if zone else "radar_coords_*.npz"
    for folder in (path.parent, path.parent.parent):
        found = sorted(folder.glob(name))
        if len(found) == 1:
            return found[0]
    raise UnreadableFile(f"its coordinates, {name}, must lie beside it or one folder above; fetch them too")


def _axes(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    with _zip(path) as packed:
        lats, lons = _array(packed, "lats.npy"), _array(packed, "lons.npy")
    if lats.shape != shape or lons.shape != shape:
        raise ValueError(f"{path.name} has coordinates of shape {lats.shape}, the data {shape}")
    y, x = lats.mean(axis=1), lons.mean(axis=0)
    if np.abs(lats - y[:, None]).max() > 1e-3 or np.abs(lons - x[None]).max() > 1e-3:
        raise ValueError(f"{path.name} is no grid of latitude and longitude")
    return np.linspace(y[0], y[-1], len(y)), np.linspace(x[0], x[-1], len(x))
