"""ODIM_H5 composites (OPERA, DWD, SMHI, ...): DBZH, TH, RATE or ACRR on any projection, one or many times a file.

Gain, offset, nodata and undetect are the file's own; undetect is dry, nodata is no coverage. RATE is taken before ACRR
before reflectivity; `variable` names another quantity, or one dataset of several (``dataset2/data1``). Reflectivity
becomes rain by the file's own Z-R relation (how/zr_a, how/zr_b) where it has one, else by Marshall and Palmer's. An
amount is divided by the interval between its start and end, and its time is the end; all else has the nominal time of
the composite, or of its dataset where a file holds several times. Any corner places the grid; where there are several
they must agree with the size of the cells. QIND, as a dataset or as quality of the data, masks cells under
`min_quality`.

Source: EUMETNET OPERA weather radar information model ODIM_H5 2.4 (Michelson et al. 2021).
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile, WrongUnits
from echocast.readers import _hdf5
from echocast.readers._lookup import through_table
from echocast.readers._odim_data import decoder
from echocast.readers._odim_grid import Grid
from echocast.readers._odim_times import stamp

log = logging.getLogger(__name__)

SUFFIXES = (".h5", ".hdf", ".hdf5")

_UNITS = {"RATE": "mm h-1", "ACRR": "mm", "DBZH": "dBZ", "DBZV": "dBZ", "DBZ": "dBZ", "TH": "dBZ", "TV": "dBZ"}
_SECOND = np.timedelta64(1, "s")
_LATE = np.timedelta64(20, "m")
"""Scans may end so much after the nominal time of their composite; what is later is told, as it may be a forecast."""


@dataclass(frozen=True)
class _Layer:
    """One data group: what it holds and the groups that describe it, nearest first."""

    name: str
    quantity: str
    group: h5py.Group
    above: tuple[h5py.Group, ...]

    def has(self, kind: str, name: str) -> bool:
        return self._nearest(kind, name) is not None

    def number(self, kind: str, name: str, default: float) -> float:
        found = self._nearest(kind, name)
        return default if found is None else _hdf5.number(found, name)

    def text(self, kind: str, name: str) -> str:
        found = self._nearest(kind, name)
        return "" if found is None else _hdf5.text(found, name)

    def stamp(self, date: str, time: str) -> np.datetime64:
        """A moment from its two attributes."""
        found = self._nearest("what", time)
        is_text = found is None or _hdf5.values(found, time).dtype.kind not in "iuf"
        return stamp(self.text("what", date), self.text("what", time), is_text=is_text)

    def grid(self) -> Grid:
        """The grid that its nearest ``where`` describes."""
        return Grid(lambda name, default: self.number("where", name, default), self.text("where", "projdef"))

    def _nearest(self, kind: str, name: str) -> h5py.Group | None:
        """The nearest what, where or how group that has an attribute."""
        for group in (self.group, *self.above):
            if kind in group and name in group[kind].attrs:
                return group[kind]
        return None


@dataclass(frozen=True)
class _Options:
    """How to decode: see `echocast.io.reading.ReadOptions`."""

    zr: fields.ZR | None
    min_quality: float | None
    interval: float | None
    missing_value: tuple[float, ...]


def recognises(head: bytes, path: Path) -> bool:
    """HDF5 that names ODIM_H5 as its convention, or has a root group ``what`` with an object."""
    return _hdf5.looks(head, path, lambda file: "ODIM" in _hdf5.text(file, "Conventions", "") or _odd(file))


def read(
    path: Path,
    *,
    variable: str | None = None,
    zr: fields.ZR | None = None,
    min_quality: float | None = None,
    interval: float | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file."""
    options = _Options(zr, min_quality, interval, missing_value)
    with h5py.File(path) as file:
        what = _hdf5.group(file, "what")
        kind = _hdf5.text(what, "object")
        if kind not in ("COMP", "IMAGE"):
            raise UnreadableFile(f"is a {kind} of ODIM_H5, not a composite on a grid; make a composite of it first")
        layers = _layers(file)
        chosen = _chosen(layers, variable)
        grid = _one_grid(chosen)
        frames = [(_time(layer, alone=len(chosen) == 1), _rate(layer, layers, grid, options)) for layer in chosen]
        frames.sort(key=lambda frame: frame[0])
        _tell_forecast(chosen[0], frames[-1][0], path)
        attrs = {"source": f"{_hdf5.text(what, 'source', 'unknown')} {chosen[0].quantity}".strip()}
        attrs["product"] = " ".join(filter(None, (chosen[0].quantity, chosen[0].text("what", "product"))))
        if _UNITS[chosen[0].quantity] == "dBZ":
            attrs["zr"] = str(_relation(chosen[0], zr))
    rates, times = np.stack([rate for _, rate in frames]), [time for time, _ in frames]
    return fields.make(rates, time=times, y=grid.y, x=grid.x, crs=grid.crs, attrs=attrs)


def _odd(file: h5py.File) -> bool:
    return "what" in file and "object" in file["what"].attrs and "dataset1" in file


def _layers(file: h5py.File) -> list[_Layer]:
    found = []
    for dataset in _hdf5.numbered(file, "dataset"):
        group = _hdf5.group(file, dataset)
        for data in _hdf5.numbered(group, "data"):
            layer = _Layer(f"{dataset}/{data}", "", _hdf5.group(group, data), (group, file))
            found.append(replace(layer, quantity=layer.text("what", "quantity")))
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


def _one_grid(chosen: list[_Layer]) -> Grid:
    first, *others = (layer.grid() for layer in chosen)
    for layer, grid in zip(chosen[1:], others, strict=True):
        if not grid.is_same(first):
            raise GridMismatch(
                f"{layer.name} lies on another grid than {chosen[0].name}; name one with --variable, such as"
                f" --variable {layer.name}"
            )
    return first


def _rate(layer: _Layer, layers: list[_Layer], grid: Grid, options: _Options) -> np.ndarray:
    raw = _hdf5.cells(_hdf5.dataset(layer.group, "data"), grid.shape)
    units, relation, interval_s = _UNITS[layer.quantity], _relation(layer, options.zr), _interval_s(layer, options)
    dry = -32.0 if units == "dBZ" else 0.0
    numbers = {
        n: layer.number("what", n, 0.0) for n in ("gain", "offset", "nodata", "undetect") if layer.has("what", n)
    }
    values = decoder(raw, numbers, dry, options.missing_value)

    def decode(level: np.ndarray) -> np.ndarray:
        return fields.to_rain_rate(values(level), units, zr=relation, interval_s=interval_s)

    rate = through_table(raw, decode)
    if options.min_quality is not None:
        rate[_quality(layer, layers, grid.shape) < options.min_quality] = np.nan
    return np.asarray(grid.laid_out(rate), np.float32)


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
    if layer.has("what", "enddate") and (layer.quantity == "ACRR" or not alone):
        return layer.stamp("enddate", "endtime")
    return layer.stamp("date", "time")


def _interval_s(layer: _Layer, options: _Options) -> float | None:
    """Seconds of an amount, from its start to its end, or as asked for where the file does not say it."""
    if layer.quantity != "ACRR":
        return None
    asked = 60.0 * options.interval if options.interval else None
    if not (layer.has("what", "startdate") and layer.has("what", "enddate")):
        if asked is None:
            raise WrongUnits("holds an amount (ACRR) without its start and end; give its minutes with --interval")
        return asked
    seconds = float((layer.stamp("enddate", "endtime") - layer.stamp("startdate", "starttime")) / _SECOND)
    if not seconds > 0 and asked is None:
        raise WrongUnits(f"holds an amount (ACRR) of {seconds / 60:g} min by its start and end; give --interval")
    if seconds > 0 and asked not in (None, seconds):
        raise WrongUnits(
            f"holds an amount (ACRR) of {seconds / 60:g} min by its start and end, not {options.interval:g}"
        )
    return seconds if seconds > 0 else asked


def _tell_forecast(layer: _Layer, last: np.datetime64, path: Path) -> None:
    """Tell of a frame that ends after the file was made."""
    if last - layer.stamp("date", "time") > _LATE:
        log.warning("%s: its last frame (%s) is later than the file says it is; is it a forecast?", path, last)
