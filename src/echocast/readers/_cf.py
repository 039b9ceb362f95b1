"""What readers of CF data share: an xarray dataset becomes a field, whichever file or store it came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.readers import _cf_choice, _cf_numbers, _cf_place, _cf_time
from echocast.readers._cf_choice import kind, text

_MOST_CELLS = 2**29
_NOISE_MM_H, _MOST_MM_H = -0.5, 1e4
_DBZ = (-70.0, 95.0)
_AN_HOUR = 3600.0


@dataclass(frozen=True)
class Selection:
    """What to read of a dataset, and what it does not say itself: see `echocast.io.reading.ReadOptions`."""

    variable: str | None = None
    units: str | None = None
    zr: fields.ZR | None = None
    interval: float | None = None
    time_pattern: str | None = None
    missing_value: tuple[float, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The rain of a dataset, not yet read: where and when it is.

    Args:
        name: the variable.
        numbers: it, not decoded, without dims of one element that are neither time, y nor x.
        dims: its time (None if it has none), y and x.
        times: of its frames, increasing: the moment of a rate, the end of the interval of an amount.
        order: which frame of the variable has each of these times.
        seconds: the interval of each, if it is an amount.
        units: its unit.
        grid: coordinates of y and x in the unit of the projection, and the projection.
    """

    name: str
    numbers: xr.Variable
    dims: tuple[str | None, str, str]
    times: np.ndarray
    order: Sequence[int] | slice
    seconds: np.ndarray | None
    units: str
    grid: tuple[np.ndarray, np.ndarray, pyproj.CRS]

    @property
    def cells(self) -> int:
        """How many cells a frame has."""
        return int(self.grid[0].size * self.grid[1].size)

    def read(self, frames: slice) -> np.ndarray:
        """The numbers (time, y, x) of some frames."""
        time, y, x = self.dims
        if time is None:
            return np.asarray(self.numbers.transpose(y, x).values)[None]
        which = frames if isinstance(self.order, slice) else self.order[frames]
        part = xr.Variable(self.numbers.dims, self.numbers.isel({time: which}).values)
        return np.asarray(part.transpose(time, y, x).values)


def field(
    data: xr.Dataset,
    source: str,
    selection: Selection = Selection(),
    frames: slice = slice(None),
    found: Layout | None = None,
) -> xr.DataArray:
    """The field of a dataset.

    Args:
        data: as xarray opens it, not decoded.
        source: the name of the file, and where it comes from if it does not say so itself.
        selection: see `Selection`.
        frames: which of its times.
        found: its `layout`, if that is known.

    Raises:
        WrongUnits: the variable's unit is not known, or not the one asked for.
        UnreadableFile: it holds no rain, or does not say where, when or how much.
    """
    found = found or layout(data, selection, source)
    count = len(found.times[frames])
    if count * found.cells > _MOST_CELLS:
        raise UnreadableFile(f"{found.name!r} has {count} x {found.cells} cells, more than one file may; split it")
    relation = selection.zr or fields.MARSHALL_PALMER
    rate = _rates(found, frames, relation, _cf_numbers.packing(found.numbers, selection.missing_value))
    attrs = {"source": text(data.attrs, "source") or text(data.attrs, "title") or source}
    if kind(found.units) == "reflectivity":
        attrs["zr"] = str(relation)
    y, x, crs = found.grid
    return fields.make(rate, time=found.times[frames], y=y, x=x, crs=crs, attrs=attrs)


def layout(data: xr.Dataset, selection: Selection = Selection(), source: str = "") -> Layout:
    """Where, when and in which unit the rain of a dataset is; raises as `field` does."""
    name = _cf_choice.variable(data, selection.variable, selection.units)
    whole = data.variables[name]
    time = _cf_time.name_of_time(data, whole)
    along = data.variables[time].dims[0] if time and data.variables[time].ndim else None
    along = str(along) if along in whole.dims else None
    _cf_time.refuse_forecast(data, whole, None, np.empty(0, "datetime64[ns]"))
    y, x = _cf_place.axes(data, whole, name, along)
    other = [d for d in whole.dims if d not in (along, y, x)]
    if any(whole.sizes[d] != 1 for d in other):
        raise UnreadableFile(f"{name!r} has dims {whole.dims}; it needs time, y and x")
    numbers = whole.isel(dict.fromkeys(other, 0))
    times = _times(data, time, along, selection, source)
    count = numbers.sizes[along] if along else 1
    if len(times) != count:
        raise UnreadableFile(f"tells {len(times)} times for {count} frames of {name!r}")
    _cf_time.refuse_forecast(data, whole, time, times)
    units = _units(name, numbers, selection)
    grid = _cf_place.grid(data, numbers, y, x)
    times, seconds = _ended(data, numbers, (name, units, time), times, selection)
    order = _cf_time.in_order(times)
    return Layout(
        name, numbers, (along, y, x), times[order], order, None if seconds is None else seconds[order], units, grid
    )


def _times(data: xr.Dataset, time: str | None, along: str | None, selection: Selection, source: str) -> np.ndarray:
    if selection.time_pattern is not None:
        return np.array([_cf_time.by_pattern(source, selection.time_pattern)])
    if time is None:
        raise UnreadableFile(
            "has no time: no variable in seconds (or another unit) since a date; if the name of the file holds the"
            " time, give --time-pattern"
        )
    times = _cf_time.moments(data.variables[time], time)
    return times if along else times[:1]


def _units(name: str, numbers: xr.Variable, selection: Selection) -> str:
    """The unit of the file, or the one asked for where the file says none that is known."""
    own, asked = text(numbers.attrs, "units"), selection.units
    said = kind(own)
    if asked is None or said is None:
        try:
            fields.kind_of_unit(asked or own)
        except WrongUnits as bad:
            raise WrongUnits(f"{name!r}: {bad}; --units says what the file does not") from bad
        return asked or own
    if (said, _factor(own)) != (kind(asked), _factor(asked)):
        raise WrongUnits(f"{name!r} says itself that it is in {own!r}, which --units {asked} contradicts; leave it out")
    return own


def _ended(
    data: xr.Dataset, numbers: xr.Variable, about: tuple[str, str, str | None], times: np.ndarray, selection: Selection
) -> tuple[np.ndarray, np.ndarray | None]:
    """The times at the end of each interval, and the seconds of each if the variable is an amount."""
    name, units, time = about
    if kind(units) != "amount":
        if selection.interval is not None:
            raise UnreadableFile(f"{name!r} is in {units!r}, which needs no interval; leave --interval out")
        return _cf_time.ends(data, numbers, time, times), None
    ended, seconds, said = _cf_time.spans(data, name, time, times, selection.interval)
    if seconds is None:
        raise WrongUnits(
            f"{name!r} is an amount in {units!r} and does not say in which time it fell: give --interval MINUTES"
        )
    if not said:
        _refuse_running_sum(name, numbers, times)
    return ended, seconds


def _refuse_running_sum(name: str, numbers: xr.Variable, times: np.ndarray) -> None:
    looked_at = numbers
    if numbers.ndim == 3 and len(times) > 2:  # a few frames tell it
        time = next(d for d in numbers.dims if numbers.sizes[d] == len(times))
        order = np.argsort(times, kind="stable")[: _cf_time._MOST_LOOKED_AT]
        looked_at = numbers.isel({time: np.sort(order)}).transpose(time, ...)
    how = _cf_numbers.packing(numbers)
    amounts = how.values(_cf_numbers.as_meant(np.asarray(looked_at.values), how.kind), 0.0)
    words = f"{text(numbers.attrs, 'long_name')} {text(numbers.attrs, 'comment')} {text(numbers.attrs, 'description')}"
    if _cf_time.is_running_sum(np.atleast_3d(amounts) if amounts.ndim < 3 else amounts, words):
        raise UnreadableFile(
            f"{name!r} is a running sum: it never falls from one time to the next; take the differences first, or say"
            " with --interval in which time each amount fell"
        )


def _rates(found: Layout, frames: slice, relation: fields.ZR, how: _cf_numbers.Packing) -> np.ndarray:
    """The rain rates (mm/h) of some frames."""
    raw = found.read(frames)
    seconds = None if found.seconds is None else found.seconds[frames]
    if seconds is None or (seconds == seconds[:1]).all():
        return _rate(raw, found, None if seconds is None else float(seconds[0]), relation, how)
    return np.concatenate([_rate(raw[n : n + 1], found, float(s), relation, how) for n, s in enumerate(seconds)])


def _rate(
    raw: np.ndarray, found: Layout, interval_s: float | None, relation: fields.ZR, how: _cf_numbers.Packing
) -> np.ndarray:
    possible = _possible(found.units, interval_s)
    values, index = _cf_numbers.decoded(raw, how, possible, found.name)
    rate = fields.to_rain_rate(np.asarray(values, np.float32), found.units, zr=relation, interval_s=interval_s)
    return rate if index is None else np.asarray(rate[index])


def _possible(units: str, interval_s: float | None) -> _cf_numbers.Possible:
    if kind(units) == "reflectivity":
        return _cf_numbers.Possible(*_DBZ, impossible=_DBZ[1], no_echo=-np.inf, units=units)
    factor, hours = _factor(units), (interval_s or _AN_HOUR) / _AN_HOUR
    return _cf_numbers.Possible(
        _NOISE_MM_H / factor, fields.MAX_RATE * hours / factor, _MOST_MM_H * hours / factor, no_echo=0.0, units=units
    )


def _factor(units: str) -> float:
    """By what values in a unit are multiplied to be mm/h, or mm in an hour."""
    one: Any = fields.to_rain_rate(np.ones(1), units, interval_s=_AN_HOUR)
    return float(one[0])


def stretches(count: int, cells: int, most_bytes: int) -> Sequence[slice]:
    """Slices of time that hold at most `most_bytes` of float32, at least one frame each."""
    size = max(1, most_bytes // max(1, 4 * cells))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
