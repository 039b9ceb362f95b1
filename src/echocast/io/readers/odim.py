"""ODIM_H5 composites (OPERA, DWD, SMHI, ...): DBZH, TH, RATE or ACRR on any projection, one or many times a file.

Gain, offset, nodata and undetect are the file's own; undetect is dry, nodata is no coverage. RATE is taken before ACRR
before reflectivity; `variable` names another quantity, or one dataset of several (``dataset2/data1``). Reflectivity
becomes rain by the file's own Z-R relation (how/zr_a, how/zr_b) where it has one, else by Marshall and Palmer's. An
amount is divided by the interval between its start and end, and its time is the end; all else has the nominal time of
the composite, or of its dataset where a file holds several times. QIND, as a dataset or as quality of the data,
masks cells under `min_quality`.

Source: EUMETNET OPERA weather radar information model ODIM_H5 2.4 (Michelson et al. 2021).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.readers import _hdf5
from echocast.io.readers._lookup import through_table

SUFFIXES = (".h5", ".hdf", ".hdf5")

_UNITS = {"RATE": "mm h-1", "ACRR": "mm", "DBZH": "dBZ", "DBZV": "dBZ", "DBZ": "dBZ", "TH": "dBZ", "TV": "dBZ"}
_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class _Layer:
    """One data group: what it holds and the groups that describe it, nearest first."""

    name: str
    quantity: str
    group: h5py.Group
    above: tuple[h5py.Group, ...]

    def number(self, kind: str, name: str, default: float) -> float:
        found = self._nearest(kind, name)
        return default if found is None else _hdf5.number(found, name)

    def text(self, kind: str, name: str) -> str:
        found = self._nearest(kind, name)
        return "" if found is None else _hdf5.text(found, name)

    def _nearest(self, kind: str, name: str) -> h5py.Group | None:
        """The nearest what, where or how group that has an attribute."""
        for group in (self.group, *self.above):
            if kind in group and name in group[kind].attrs:
                return group[kind]
        return None


def recognises(head: bytes, path: Path) -> bool:
    """HDF5 that names ODIM_H5 as its convention, or has a root group ``what`` with an object."""
    return _hdf5.looks(head, path, lambda file: "ODIM" in _hdf5.text(file, "Conventions", "") or _odd(file))


def read(
    path: Path, *, variable: str | None = None, zr: fields.ZR | None = None, min_quality: float | None = None
) -> xr.DataArray:
    """The field of one file."""
    with h5py.File(path) as file:
        what = _hdf5.group(file, "what")
        kind = _hdf5.text(what, "object")
        if kind not in ("COMP", "IMAGE"):
            raise UnreadableFile(f"is a {kind} of ODIM_H5, not a composite on a grid; make a composite of it first")
        layers = _layers(file)
        chosen = _chosen(layers, variable)
        crs, y, x = _grid(chosen[0])
        frames = [
            (_time(layer, alone=len(chosen) == 1), _rate(layer, layers, (len(y), len(x)), zr, min_quality))
            for layer in chosen
        ]
        frames.sort(key=lambda frame: frame[0])
        attrs = {"source": f"{_hdf5.text(what, 'source', 'unknown')} {chosen[0].quantity}".strip()}
        attrs["product"] = " ".join(filter(None, (chosen[0].quantity, chosen[0].text("what", "product"))))
        if _UNITS[chosen[0].quantity] == "dBZ":
            attrs["zr"] = str(_relation(chosen[0], zr))
    return fields.make(
        np.stack([rate for _, rate in frames]), time=[time for time, _ in frames], y=y, x=x, crs=crs, attrs=attrs
    )


def _odd(file: h5py.File) -> bool:
    return "what" in file and "object" in file["what"].attrs and "dataset1" in file


def _layers(file: h5py.File) -> list[_Layer]:
    found = []
    for dataset in _hdf5.numbered(file, "dataset"):
        group = _hdf5.group(file, dataset)
        for data in _hdf5.numbered(group, "data"):
            above = (group, file)
            layer = _Layer(f"{dataset}/{data}", "", _hdf5.group(group, data), above)
            found.append(_Layer(layer.name, layer.text("what", "quantity"), layer.group, above))
    return found


def _chosen(layers: list[_Layer], variable: str | None) -> list[_Layer]:
    listed = ", ".join(f"{layer.name} {layer.quantity}" for layer in layers) or "no data"
    if variable:
        chosen = [layer for layer in layers if variable in (layer.name, layer.quantity)]
        if not chosen:
            raise UnreadableFile(f"holds no {variable!r}; it holds {listed}")
    else:
        there = [quantity for quantity in _UNITS if any(layer.quantity == quantity for layer in layers)]
        chosen = [layer for layer in layers if there and layer.quantity == there[0]]
    if not chosen or any(layer.quantity not in _UNITS for layer in chosen):
        raise UnreadableFile(f"holds no rain ({', '.join(_UNITS)}); it holds {listed}")
    if len(chosen) > 1 and len({_time(layer, alone=False) for layer in chosen}) < len(chosen):
        raise UnreadableFile(
            f"holds {chosen[0].quantity} more than once for the same time ({listed}); name one as the variable"
        )
    return chosen


def _rate(
    layer: _Layer, layers: list[_Layer], shape: tuple[int, int], zr: fields.ZR | None, min_quality: float | None
) -> np.ndarray:
    raw = _hdf5.cells(_hdf5.dataset(layer.group, "data"), shape)
    gain, offset = layer.number("what", "gain", 1.0), layer.number("what", "offset", 0.0)
    nodata, undetect = (layer.number("what", name, np.nan) for name in ("nodata", "undetect"))
    units, relation, interval_s = _UNITS[layer.quantity], _relation(layer, zr), _interval_s(layer)

    def decode(level: np.ndarray) -> np.ndarray:
        plain = (gain, offset) == (1.0, 0.0)
        values = level.astype(np.float32) if plain else (gain * level + offset).astype(np.float32)
        values[level == undetect] = -32.0 if units == "dBZ" else 0.0
        values[(level == nodata) | ~np.isfinite(values)] = np.nan
        return fields.to_rain_rate(values, units, zr=relation, interval_s=interval_s)

    rate = through_table(raw, decode)
    if min_quality is not None:
        rate[_quality(layer, layers, shape) < min_quality] = np.nan
    return np.asarray(rate, np.float32)


def _quality(layer: _Layer, layers: list[_Layer], shape: tuple[int, int]) -> np.ndarray:
    """QIND between 0 and 1: of the data itself, else a dataset of the same file and time."""
    for name in _hdf5.numbered(layer.group, "quality")[:1]:
        return _scaled(_Layer(name, "QIND", _hdf5.group(layer.group, name), ()), shape)
    for other in layers:
        if other.quantity == "QIND" and _time(other, alone=False) == _time(layer, alone=False):
            return _scaled(other, shape)
    raise UnreadableFile("has no quality index (QIND); leave --min-quality away")


def _scaled(layer: _Layer, shape: tuple[int, int]) -> np.ndarray:
    raw = _hdf5.cells(_hdf5.dataset(layer.group, "data"), shape)
    values = layer.number("what", "gain", 1.0) * raw + layer.number("what", "offset", 0.0)
    return np.where(raw == layer.number("what", "nodata", np.nan), 0.0, values)


def _relation(layer: _Layer, asked: fields.ZR | None) -> fields.ZR:
    a, b = layer.number("how", "zr_a", 0.0), layer.number("how", "zr_b", 0.0)
    return asked or (fields.ZR(a, b, "the file's own") if a > 0 and b > 0 else fields.MARSHALL_PALMER)


def _time(layer: _Layer, *, alone: bool) -> np.datetime64:
    """The end of an amount; of all else the composite's nominal time, or the dataset's own where there are several."""
    if layer.quantity != "ACRR" and (alone or not layer.text("what", "enddate")):
        return _stamp(layer, "date", "time")
    return _stamp(layer, "enddate", "endtime")


def _interval_s(layer: _Layer) -> float | None:
    if layer.quantity != "ACRR":
        return None
    return float((_stamp(layer, "enddate", "endtime") - _stamp(layer, "startdate", "starttime")) / _SECOND)


def _stamp(layer: _Layer, date: str, time: str) -> np.datetime64:
    text = layer.text("what", date) + layer.text("what", time)
    return np.datetime64(datetime.strptime(text, "%Y%m%d%H%M%S"), "ns")


def _grid(layer: _Layer) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    """Projection and cell centres, y from north to south, from the upper left corner."""
    crs = fields.known_crs(layer.text("where", "projdef"))
    columns, rows = (int(layer.number("where", n, 0)) for n in ("xsize", "ysize"))
    width, height = (layer.number("where", n, 0.0) for n in ("xscale", "yscale"))
    if min(columns, rows) < 1 or max(columns, rows) > _hdf5.MOST_ACROSS or not (width > 0 and height > 0):
        raise ValueError(f"a grid of {columns} x {rows} cells of {width:g} x {height:g}")
    left, top = fields.corner(crs, layer.number("where", "UL_lon", np.nan), layer.number("where", "UL_lat", np.nan))
    return crs, top - (np.arange(rows) + 0.5) * height, left + (np.arange(columns) + 0.5) * width
