"""KNMI HDF5: accumulated rain of the Netherlands on a polar stereographic grid.

Calibration, missing values, projection, offsets and the accumulation interval are read from the file; the amount (mm)
is divided by its interval. The time is the interval's end.

Source: KNMI HDF5 data format specification 3.5.
"""

import re
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.readers._lookup import through_table

SUFFIXES = (".h5", ".hdf5")

_FORMULA = re.compile(r"GEO\s*=\s*([-+\d.eE]+)\s*\*\s*PV\s*([-+]\s*[\d.eE+-]+)?")
_MOST_CELLS = 2**28
_MOST_KILOMETRES = 10_000


def recognises(head: bytes, path: Path) -> bool:
    """HDF5 with KNMI's groups ``overview``, ``geographic`` and ``image1``."""
    if head[:8] != b"\x89HDF\r\n\x1a\n":
        return False
    try:
        with h5py.File(path) as file:
            return all(name in file for name in ("overview", "geographic", "image1"))
    except (OSError, RuntimeError, KeyError):
        return False


def read(path: Path) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it is not whole or holds no amount of rain."""
    try:
        with h5py.File(path) as file:
            return _field(file)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError, OverflowError) as bad:
        why = " ".join(str(bad).split())[:200]
        raise UnreadableFile(f"{path}: cannot be read as KNMI's HDF5 ({why}); is it whole? fetch it again") from bad


def _field(file: h5py.File) -> xr.DataArray:
    start, end = (_time(file["overview"], name) for name in ("product_datetime_start", "product_datetime_end"))
    crs, y, x = _grid(file["geographic"])
    interval_s = float((end - start) / np.timedelta64(1, "s"))
    rate = _rate(file["image1"], (len(y), len(x)), interval_s)[None]
    source = f"KNMI {_text(file['overview'], 'product_group_name')}"
    return fields.make(rate, time=[end], y=y, x=x, crs=crs, attrs={"source": source})


def _rate(image: h5py.Group, shape: tuple[int, int], interval_s: float) -> np.ndarray:
    """mm/h, NaN where the radar does not see."""
    calibration = image["calibration"]
    name = _text(image, "image_geo_parameter")
    if "MM" not in name.upper():
        raise ValueError(f"image1 holds {name}, not an amount of rain in mm")
    values = image["image_data"]
    if values.shape != shape or values.size > _MOST_CELLS:
        raise ValueError(f"image_data is {values.shape}, its header says {shape}")
    formula = _FORMULA.fullmatch(_text(calibration, "calibration_formulas").strip())
    if formula is None:
        raise ValueError(f"formula {_text(calibration, 'calibration_formulas')!r} is not of the form GEO=a*PV+b")
    raw = values[:]
    gain, offset = float(formula[1]), float((formula[2] or "0").replace(" ", ""))
    said = [calibration.attrs[n] for n in ("calibration_missing_data", "calibration_out_of_image")]
    missing = np.concatenate([np.atleast_1d(number) for number in said])

    def decode(level: np.ndarray) -> np.ndarray:
        amount = np.where(np.isin(level, missing), np.nan, gain * level + offset)
        return fields.to_rain_rate(amount, "mm", interval_s=interval_s)

    return through_table(raw, decode)


def _grid(geographic: h5py.Group) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    """Projection in metres and cell centres; the file's own are in kilometres."""
    if not _text(geographic, "geo_dim_pixel").upper().startswith("KM"):
        raise ValueError(f"pixels in {_text(geographic, 'geo_dim_pixel')}, not km")
    crs = _crs_in_metres(_text(geographic["map_projection"], "projection_proj4_params"))
    number = {name: _number(geographic, f"geo_{name}") for name in ("number_columns", "number_rows")}
    if max(number.values()) > _MOST_KILOMETRES:
        raise ValueError(f"a grid of {number} cells")
    x = _centres(geographic, "column", number["number_columns"], _number(geographic, "geo_pixel_size_x"))
    y = _centres(geographic, "row", number["number_rows"], _number(geographic, "geo_pixel_size_y"))
    return crs, y, x


def _centres(geographic: h5py.Group, axis: str, count: float, size_km: float) -> np.ndarray:
    offset = _number(geographic, f"geo_{axis}_offset")
    return np.asarray((offset + np.arange(int(count)) + 0.5) * size_km * 1000.0)


def _crs_in_metres(proj4: str) -> pyproj.CRS:
    """Earth's radii in kilometres, as KNMI writes them, become metres."""
    words = []
    for word in proj4.split():
        name, _, value = word.partition("=")
        in_km = name in ("+a", "+b") and float(value) < 1e5
        words.append(f"{name}={float(value) * 1000.0:.3f}" if in_km else word)
    return fields.known_crs(" ".join(words))


def _time(group: h5py.Group, name: str) -> np.datetime64:
    return np.datetime64(datetime.strptime(_text(group, name), "%d-%b-%Y;%H:%M:%S.%f"), "ns")


def _text(group: h5py.Group, name: str) -> str:
    value = np.atleast_1d(group.attrs[name])[0]
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _number(group: h5py.Group, name: str) -> float:
    return float(np.atleast_1d(group.attrs[name])[0])
