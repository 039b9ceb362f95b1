"""The messages of a file of GRIB as frames: which are meant, their numbers, and what a running sum gained.

Source: WMO manual on codes I.2.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile, WrongUnits
from echocast.fields import sums
from echocast.readers import _eccodes
from echocast.readers._eccodes import MISSING, Message
from echocast.readers._grib_grid import Grid, grid
from echocast.readers._grib_parameters import RAIN, Parameter, parameter
from echocast.readers._grib_times import Interval, interval, run_began

_STRETCH = 2**17
_MOST_LISTED = 12
_NO_COVERAGE_BELOW, _NO_DBZ_BELOW = -0.5, -100.0
_RESIDUE, _RESIDUE_SHARE = 0.1, 0.01
"""Packing makes numbers a little below zero of dry cells: at most so many mm/h (or mm), and so much of the highest."""


@dataclass(frozen=True)
class Frame:
    """The numbers of one message, in its unit, and what it says about them."""

    label: str
    what: Parameter
    when: Interval
    began: np.datetime64
    """When the run of the model began."""
    grid: Grid
    values: np.ndarray
    member: int | None = None

    @property
    def level(self) -> str:
        """The kind of its level and its number, such as ``heightAboveGround 2``."""
        return " ".join(self.label.split(" member ")[0].split()[-2:]) if " " in self.label else ""


def frames(
    content: bytes, variable: str | None, units: str | None, missing_value: tuple[float, ...] = ()
) -> list[Frame]:
    """The frames of the parameter that is meant, in the order of their ends.

    Args:
        content: of the file.
        variable: a name, with level and member where there are several; None for rain.
        units: of a parameter whose unit nobody knows.
        missing_value: numbers that mean "not observed".
    """
    codes = _eccodes.library()
    name = _wanted([_label(m, parameter(m, units)) for m in _eccodes.messages(content, codes)], variable)
    found = [
        _frame(message, units, missing_value)
        for message in _eccodes.messages(content, codes)
        if _is_named(_label(message, parameter(message, units)), name)
    ]
    return sorted(found, key=lambda one: (one.when.end, one.label))


def held(content: bytes) -> list[str]:
    """The names of the parameters that a file holds."""
    codes = _eccodes.library()
    return list(dict.fromkeys(parameter(message, None).name for message in _eccodes.messages(content, codes)))


def _label(message: Message, what: Parameter) -> str:
    """Name, level and member of a message, as it is named in errors and by `variable`."""
    level = f"{message.text('typeOfLevel')} {message.text('level')}" if message.has("level") else ""
    number = _member(message)
    made = f"{what.name} {level}".strip() + (f" member {number}" if number is not None else "")
    return made if what.is_rain else f"({made})"


def _member(message: Message) -> int | None:
    """The number of its member; None if it is of no ensemble, or of the control run of edition 1."""
    key = "perturbationNumber" if message.whole("edition") == 2 else "number"
    is_member = message.has(key) and (message.whole("edition") == 2 or message.whole(key) > 0)
    return message.whole(key) if is_member else None


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


def _frame(message: Message, units: str | None, missing_value: tuple[float, ...]) -> Frame:
    """The numbers of a message, of rain or of another quantity that is known."""
    what, when, where = parameter(message, units), interval(message), grid(message)
    if what.quantity is None:
        _check_rain(what, when)
    values = _marked(message.values(where.size), what, missing_value)
    return Frame(
        _label(message, what).strip("()"),
        what,
        when,
        run_began(message),
        where,
        where.laid_out(values),
        _member(message),
    )


def _check_rain(what: Parameter, when: Interval) -> None:
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


def of_shortest_interval(frames: list[Frame]) -> list[Frame]:
    """Of several messages of one parameter and level for one time only that of the shortest interval.

    Some models write an amount since the start of the run and one of the last hours, and rates at the moment and their
    mean: an interval goes before a moment. The same message twice counts once.
    """
    chosen: dict[tuple[np.datetime64, str], list[Frame]] = {}
    for frame in frames:
        same = chosen.setdefault((frame.when.end, frame.label), [frame])
        order = _length(frame) - _length(same[0])
        if order < 0:
            same[:] = [frame]
        elif order == 0 and not any(np.array_equal(frame.values, one.values, equal_nan=True) for one in same):
            same.append(frame)
    return [frame for same in chosen.values() for frame in same]


def _length(frame: Frame) -> float:
    return frame.when.seconds or 1e12


def check_one_each(frames: list[Frame]) -> None:
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


def before(frames: list[Frame]) -> list[Frame | None]:
    """For each frame the last one that summed up from the same start, with the highest reached: from it on is new."""
    latest: dict[np.datetime64, Frame] = {}
    found: list[Frame | None] = []
    for frame in frames:
        is_sum = frame.what.kind == "amount" and frame.what.quantity is None and _is_sum(frame.when)
        last = latest.get(frame.when.start) if is_sum else None
        found.append(last)
        if is_sum:
            reached = frame.values if last is None else sums.highest(last.values, frame.values)
            latest[frame.when.start] = replace(frame, values=reached)
    return found


def values(
    frame: Frame, before: Frame | None, interval: float | None = None, relation: fields.ZR = fields.MARSHALL_PALMER
) -> np.ndarray:
    """The numbers (y, x) in the unit of their quantity: mm/h of rain."""
    if frame.what.quantity is not None:
        return np.asarray(frame.values * np.float32(frame.what.factor))
    return _rate(frame, before, interval, relation)


def _rate(frame: Frame, before: Frame | None, interval: float | None, relation: fields.ZR) -> np.ndarray:
    """mm/h, (y, x)."""
    what, values = frame.what, frame.values if before is None else _gained(frame, before)
    seconds = _seconds(frame, before, interval) if what.kind == "amount" else None
    if what.kind == "reflectivity":
        _check_dbz(values)
    rate = fields.to_rain_rate(values, what.units, zr=relation, interval_s=seconds)
    return _without_residue(rate)


def is_start_of_sum(frame: Frame) -> bool:
    """Whether it is the amount of no time that some models write for the start of a run."""
    return (
        frame.what.kind == "amount"
        and frame.what.quantity is None
        and frame.when.seconds == 0
        and (frame.when.end == frame.began and not np.nanmax(frame.values, initial=0.0) > 0)
    )


def start(frame: Frame, before: Frame | None) -> np.datetime64:
    """From when on its numbers hold, as `values` gives them: until the end of its interval."""
    return frame.when.start if before is None else before.when.end


def _gained(frame: Frame, before: Frame) -> np.ndarray:
    """What a running sum gained since an earlier one."""
    about, times = (frame.label, frame.what.units), (before.when.end, frame.when.end)
    return sums.gained(before.values, frame.values, about, times)


def _seconds(frame: Frame, before: Frame | None, interval: float | None) -> float:
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
