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
from echocast.io.readers import _hdf5
from echocast.io.readers._lookup import through_table

SUFFIXES = (".h5", ".hdf5")

_FORMULA = re.compile(r"GEO\s*=\s*([-+\d.eE]+)\s*\*\s*PV\s*([-+]\s*[\d.eE+-]+)?")
_MOST_KILOMETRES = 10_000


def recognises(head: bytes, path: Path) -> bool:
    """HDF5 with KNMI's groups ``overview``, ``geographic`` and ``image1``."""
    return _hdf5.looks(head, path, lambda file: all(name in file for name in ("overview", "geographic", "image1")))


def read(path: Path) -> xr.DataArray:
    """The field of one file."""
    with h5py.File(path) as file:
        overview = _hdf5.group(file, "overview")
        start, end = (_time(overview, name) for name in ("product_datetime_start", "product_datetime_end"))
        crs, y, x = _grid(_hdf5.group(file, "geographic"))
        interval_s = float((end - start) / np.timedelta64(1, "s"))
        rate = _rate(_hdf5.group(file, "image1"), (len(y), len(x)), interval_s)[None]
        source = f"KNMI {_hdf5.text(overview, 'product_group_name')}"
    return fields.make(rate, time=[end], y=y, x=x, crs=crs, attrs={"source": source})


def _rate(image: h5py.Group, shape: tuple[int, int], interval_s: float) -> np.ndarray:
    """mm/h, NaN where the radar does not see."""
    calibration = _hdf5.group(image, "calibration")
    name = _hdf5.text(image, "image_geo_parameter")
    if "MM" not in name.upper():
        raise ValueError(f"image1 holds {name}, not an amount of rain in mm")
    raw = _hdf5.cells(_hdf5.dataset(image, "image_data"), shape)
    written = _hdf5.text(calibration, "calibration_formulas")
    formula = _FORMULA.fullmatch(written.strip())
    if formula is None:
        raise ValueError(f"formula {written!r} is not of the form GEO=a*PV+b")
    gain, offset = float(formula[1]), float((formula[2] or "0").replace(" ", ""))
    missing = np.concatenate(
        [_hdf5.values(calibration, n) for n in ("calibration_missing_data", "calibration_out_of_image")]
    )

    def decode(level: np.ndarray) -> np.ndarray:
        amount = np.where(np.isin(level, missing), np.nan, gain * level + offset)
        return fields.to_rain_rate(amount, "mm", interval_s=interval_s)

    return through_table(raw, decode)


def _grid(geographic: h5py.Group) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    """Projection in metres and cell centres; the file's own are in kilometres."""
    if not _hdf5.text(geographic, "geo_dim_pixel").upper().startswith("KM"):
        raise ValueError(f"pixels in {_hdf5.text(geographic, 'geo_dim_pixel')}, not km")
    crs = _crs_in_metres(_hdf5.text(_hdf5.group(geographic, "map_projection"), "projection_proj4_params"))
    number = {name: _hdf5.number(geographic, f"geo_{name}") for name in ("number_columns", "number_rows")}
    if max(number.values()) > _MOST_KILOMETRES:
        raise ValueError(f"a grid of {number} cells")
    x = _centres(geographic, "column", number["number_columns"], _hdf5.number(geographic, "geo_pixel_size_x"))
    y = _centres(geographic, "row", number["number_rows"], _hdf5.number(geographic, "geo_pixel_size_y"))
    return crs, y, x


def _centres(geographic: h5py.Group, axis: str, count: float, size_km: float) -> np.ndarray:
    offset = _hdf5.number(geographic, f"geo_{axis}_offset")
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
    return np.datetime64(datetime.strptime(_hdf5.text(group, name), "%d-%b-%Y;%H:%M:%S.%f"), "ns")
