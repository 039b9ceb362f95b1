"""GRIB 1 and 2, plain or gzip: NOAA MRMS, rain rates, amounts and reflectivity of radars and models, on a plain grid.

One message is one frame; several of one parameter become several times. What is rain is in a list; the best of it in
a file is taken, and `variable` names another, or a level or a member where a file holds several. An amount is divided
by its own interval and has its end as its time; running sums since the start of a forecast are differenced. MRMS' own
parameters (discipline 209), which carry no unit that decoders know, are known by number, and so are their special
numbers: -3 and -1 are missing, in reflectivity -999 is no coverage and -99 no echo. Grids of degrees in any scanning
mode, Lambert, polar stereographic and Mercator. Needs ecCodes (extra ``grib``).

Source: WMO manual on codes I.2; NOAA MRMS GRIB2 tables (nssl.noaa.gov/projects/mrms/operational/tables.php).
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile, WrongUnits
from echocast.readers import _eccodes, _packed
from echocast.readers._eccodes import MISSING, Message
from echocast.readers._grib_grid import Grid, grid
from echocast.readers._grib_parameters import RAIN, Parameter, parameter
from echocast.readers._grib_times import Interval, interval

SUFFIXES = (".grib2", ".grb2", ".grib", ".grib2.gz", ".grb")
GZIP = True

_MOST_BYTES = 2**30
_STRETCH = 2**17
_MOST_LISTED = 12
_NO_COVERAGE_BELOW, _NO_DBZ_BELOW = -0.5, -100.0
_RESIDUE, _RESIDUE_SHARE = 0.1, 0.01
"""Packing makes numbers a little below zero of dry cells: at most so many mm/h (or mm), and so much of the highest."""


@dataclass(frozen=True)
class _Frame:
    """The numbers of one message, in its unit, and what it says about them."""

    label: str
    what: Parameter
    when: Interval
    grid: Grid
    values: np.ndarray


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """GRIB's magic word."""
    return head[:4] == b"GRIB"


def read(
    path: Path,
    *,
    variable: str | None = None,
    units: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file; raises `MissingDependency` without ecCodes."""
    codes, relation = _eccodes.library(), zr or fields.MARSHALL_PALMER
    content = _packed.content(path, _MOST_BYTES)
    name = _wanted([_label(m, parameter(m, units)) for m in _eccodes.messages(content, codes)], variable)
    frames = [
        _frame(message, units, missing_value)
        for message in _eccodes.messages(content, codes)
        if _is_named(_label(message, parameter(message, units)), name)
    ]
    frames.sort(key=lambda frame: (frame.when.end, frame.label))
    _check_one_each(frames)
    what, where = frames[0].what, frames[0].grid
    rates = [_rate(frame, before, interval, relation) for frame, before in zip(frames, _before(frames), strict=True)]
    attrs = {"source": f"GRIB {what.name}", "product": what.name}
    attrs |= {"zr": str(relation)} if what.kind == "reflectivity" else {}
    times = [frame.when.end for frame in frames]
    return fields.make(np.stack(rates), time=times, y=where.y, x=where.x, crs=where.crs, attrs=attrs)


def _label(message: Message, what: Parameter) -> str:
    """Name, level and member of a message, as it is named in errors and by `variable`."""
    level = f"{message.text('typeOfLevel')} {message.text('level')}" if message.has("level") else ""
    member = "perturbationNumber" if message.whole("edition") == 2 else "number"
    is_member = message.has(member) and (message.whole("edition") == 2 or message.whole(member) > 0)
    label = f"{what.name} {level}".strip() + (f" member {message.whole(member)}" if is_member else "")
    return label if what.is_rain else f"({label})"


def _is_named(label: str, name: str) -> bool:
    return f"{label.strip('()')} ".startswith(f"{name} ")


def _wanted(labels: list[str], variable: str | None) -> str:
    """The name to take: the one asked for, else of what is rain the first of the list."""
    different = list(dict.fromkeys(labels))
    listed = ", ".join(different[:_MOST_LISTED]) + (", ..." if len(different) > _MOST_LISTED else "")
    if variable is not None:
        if not any(_is_named(label, variable) for label in labels):
            raise UnreadableFile(f"holds no {variable!r}; it holds {listed}")
        return variable
    rain = [label for label in labels if not label.startswith("(")]
    if not rain:
        raise UnreadableFile(
            f"holds no rain that is known as such, but {listed}; name it with --variable if it is rain"
        )
    names = [" ".join(label.split()[:2]) if label.startswith("MRMS") else label.split()[0] for label in rain]
    return min(names, key=lambda name: RAIN.index(name.lower()) if name.lower() in RAIN else -1)


def _frame(message: Message, units: str | None, missing_value: tuple[float, ...]) -> _Frame:
    what, when, where = parameter(message, units), interval(message), grid(message)
    if not what.kind:
        raise WrongUnits(
            f"{what.name} is in {what.units or 'a unit that nobody knows'!r}, which is none of rain; give --units if"
            " the file does not tell it, or name another with --variable"
        )
    if not what.mrms and (when.is_mean if what.kind == "amount" else _is_sum(when)):
        raise UnreadableFile(
            f"{what.name} in {what.units} is a {'mean' if when.is_mean else 'sum'} over {when.seconds / 60:g} min,"
            " which is no rain"
        )
    values = _marked(message.values(where.size), what, missing_value)
    return _Frame(_label(message, what).strip("()"), what, when, where, where.laid_out(values))


def _is_sum(when: Interval) -> bool:
    return when.seconds > 0 and not when.is_mean


def _marked(found: np.ndarray, what: Parameter, missing_value: tuple[float, ...]) -> np.ndarray:
    """The numbers with NaN where nothing is observed."""
    special = (MISSING, *missing_value)
    least = -np.inf
    if what.mrms:
        least = _NO_DBZ_BELOW if what.kind == "reflectivity" else _NO_COVERAGE_BELOW
    values = np.empty(found.shape, np.float32)
    for start in range(0, found.size, _STRETCH):  # parts that stay in the processor's cache
        part, into = found[start : start + _STRETCH], values[start : start + _STRETCH]
        into[:] = part
        into[part < least] = np.nan
        for number in special:
            into[part == number] = np.nan
    return values


def _check_one_each(frames: list[_Frame]) -> None:
    """One frame for each time, all on one grid and of one kind."""
    for frame, later in pairwise(frames):
        if frame.when.end == later.when.end:
            labels = dict.fromkeys(f.label for f in frames if f.when.end == frame.when.end)
            raise UnreadableFile(
                f"holds several messages for {frame.when.end.astype('datetime64[s]')}: {', '.join(labels)}"
                f" ({' and '.join(f'{f.when.seconds / 60:g} min' for f in (frame, later))}); name one with --variable,"
                f" such as --variable {later.label!r}, or split the file"
            )
        if not frame.grid.is_same(later.grid):
            raise GridMismatch(
                f"holds two grids: {frame.label} of {frame.grid} and {later.label} of {later.grid}; name one with"
                " --variable or split the file"
            )


def _before(frames: list[_Frame]) -> list[_Frame | None]:
    """For each frame the last one that summed up from the same start: from it on is new."""
    latest: dict[np.datetime64, _Frame] = {}
    found = []
    for frame in frames:
        is_sum = frame.what.kind == "amount" and _is_sum(frame.when)
        found.append(latest.get(frame.when.start) if is_sum else None)
        latest[frame.when.start] = frame
    return found


def _rate(frame: _Frame, before: _Frame | None, interval: float | None, relation: fields.ZR) -> np.ndarray:
    """mm/h, (y, x)."""
    what, values = frame.what, frame.values if before is None else _new(frame, before)
    seconds = _seconds(frame, before, interval) if what.kind == "amount" else None
    if what.kind == "reflectivity":
        _check_dbz(values)
    rate = fields.to_rain_rate(values, what.units, zr=relation, interval_s=seconds)
    return _without_residue(rate)


def _new(frame: _Frame, before: _Frame) -> np.ndarray:
    """What a running sum gained since an earlier one; a model's interpolation lets single cells lose a little."""
    gained = frame.values - before.values
    lost, highest = -float(np.fmin.reduce(gained, axis=None)), float(np.fmax.reduce(frame.values, axis=None))
    if lost > _RESIDUE + _RESIDUE_SHARE * highest:
        raise UnreadableFile(
            f"{frame.label} loses up to {lost:g} {frame.what.units} from {before.when.end} to {frame.when.end}, though"
            " both are sums from the same start; split the file if they are not"
        )
    return np.asarray(np.maximum(gained, np.float32(0.0)))


def _seconds(frame: _Frame, before: _Frame | None, interval: float | None) -> float:
    hours = frame.what.hours
    own = 3600.0 * hours if hours else frame.when.seconds
    if own and interval and abs(own - 60.0 * interval) > 0.5:
        raise WrongUnits(
            f"{frame.label} is an amount of {own / 60:g} min by the file, not of {interval:g}: no --interval"
        )
    if before is not None:
        return float((frame.when.end - before.when.end) / np.timedelta64(1, "s"))
    if not own and not interval:
        raise WrongUnits(
            f"{frame.label} in {frame.what.units} is an amount whose interval the file does not tell; give its minutes"
            " with --interval"
        )
    return own or 60.0 * (interval or 0.0)


def _check_dbz(values: np.ndarray) -> None:
    low = values[values < _NO_DBZ_BELOW]
    if low.size:
        raise UnreadableFile(
            f"{low.size} cells hold {low.min():g} dBZ, which is no reflectivity; give --missing-value {low.min():g} if"
            " they were not observed"
        )


def _without_residue(rate: np.ndarray) -> np.ndarray:
    """Numbers a little below zero become it; raises `UnreadableFile` for lower ones."""
    least = np.fmin.reduce(rate, axis=None)
    if not least < 0:
        return rate
    if least < -(_RESIDUE + _RESIDUE_SHARE * max(0.0, float(np.fmax.reduce(rate, axis=None)))):
        raise UnreadableFile(
            f"a cell holds {least:g} mm/h, but rain is not negative; give --missing-value if that number of the file"
            " means 'not observed'"
        )
    return np.asarray(np.maximum(rate, np.float32(0.0)))
