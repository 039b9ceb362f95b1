"""Times of frames: the clock that they are on, and how they are written for people.

Clocks tremble: scans begin a second early or late, and times kept as days in floating point are off by nanoseconds.
`clock` finds the clock of such times; `tolerance` says for the whole package how far from it a frame may lie.

>>> times = np.datetime64("2016-09-28T12:00:00", "ns") + np.array([0, 301, 599, 900], "timedelta64[s]")
>>> float(time_step(times) / np.timedelta64(1, "m")), clock(times).positions(times).tolist()
(5.0, [0, 1, 2, 3])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from echocast.errors import DataError

TOLERANCE = np.timedelta64(5, "s").astype("timedelta64[ns]")
"""A frame that lies so far from its clock, or a tenth of the time step if that is less, is still on it."""

NO_TIME = np.datetime64("1970-01-01", "ns")
"""The time of a field that has none, such as the height of the ground."""

_ROUND = tuple(np.timedelta64(n, "ns") for n in (60 * 10**9, 10**9, 10**6, 10**3))


def tolerance(step: np.timedelta64) -> np.timedelta64:
    """How far from a clock of this time step a frame may lie and still be on it."""
    return np.timedelta64(min(TOLERANCE, step.astype("timedelta64[ns]") // 10), "ns")


@dataclass(frozen=True)
class Clock:
    """Regular times: a start and a step."""

    start: np.datetime64
    step: np.timedelta64

    def positions(self, times: Any) -> np.ndarray:
        """For each time the number of whole steps from the start, to the nearest; it may be negative."""
        away = (np.asarray(times, "datetime64[ns]") - self.start).astype(np.int64)
        step = int(self.step.astype("timedelta64[ns]").astype(np.int64))
        return np.asarray((away + step // 2) // step)

    def nearest(self, times: Any) -> np.ndarray:
        """For each time the nearest one of the clock."""
        return np.asarray(self.start + self.positions(times) * self.step, "datetime64[ns]")

    def has(self, times: Any) -> np.ndarray:
        """For each time whether it is on the clock: within `tolerance`."""
        values = np.asarray(times, "datetime64[ns]")
        return np.asarray(np.abs(values - self.nearest(values)) <= tolerance(self.step))


def clock(times: Sequence[np.datetime64] | np.ndarray) -> Clock:
    """The clock of some times, which starts at the first; raises `DataError` for fewer than two.

    Its step is the median of the differences between neighbours, rounded to seconds (to less where they are shorter
    than 10 s, not at all below a second: frames of a video), or to minutes where that is within `tolerance`. Where more
    of the times lie on a clock with the most common difference (many are missing), or with the median as it is, that is
    the step. The start is such that half of the times are before their place on the clock and half behind.
    """
    values = np.asarray(times, "datetime64[ns]")
    if values.size < 2:
        raise DataError(f"{values.size} time gives no time step; at least two are needed")
    found = [_from(values, step) for step in dict.fromkeys(_steps(np.diff(values).astype(np.int64)))]
    return max(found, key=lambda one: int(one.has(values).sum()))


def time_step(times: Sequence[np.datetime64] | np.ndarray) -> np.timedelta64:
    """The time step of the `clock` of some times; raises `DataError` for fewer than two."""
    return clock(times).step


def follows(times: Sequence[np.datetime64] | np.ndarray, step: np.timedelta64) -> np.ndarray:
    """For each time but the first whether it comes one time step after the one before.

    Both may lie within `tolerance` of their clock, so the difference may be off by twice that.
    """
    differences = np.diff(np.asarray(times, "datetime64[ns]"))
    return np.asarray(np.abs(differences - step) <= 2 * tolerance(step))


def format_time(time: Any) -> str:
    """A time (UTC) to the minute, as people read it: ``2016-09-28 14:45``."""
    return str(np.asarray(time, "datetime64[m]")).replace("T", " ")


def _steps(differences: np.ndarray) -> list[int]:
    """What the time step may be, in nanoseconds, the likeliest first."""
    exact = int(np.partition(differences, (differences.size - 1) // 2)[(differences.size - 1) // 2])
    units = [int(unit.astype(np.int64)) for unit in _ROUND]
    common, counts = np.unique(differences, return_counts=True)
    if exact < units[1]:
        return [max(exact, 1), max(int(common[counts.argmax()]), 1)]
    unit = next((unit for unit in units[1:] if 10 * unit <= exact), 1)
    rounded = np.maximum((differences + unit // 2) // unit, 1) * unit
    median = int(np.partition(rounded, (rounded.size - 1) // 2)[(rounded.size - 1) // 2])
    common, counts = np.unique(rounded, return_counts=True)
    minutes = (median + units[0] // 2) // units[0] * units[0]
    near = minutes > 0 and abs(minutes - median) <= int(tolerance(np.timedelta64(median, "ns")).astype(np.int64))
    return [*([minutes] if near else []), median, int(common[counts.argmax()]), max(exact, 1)]


def _from(times: np.ndarray, step: int) -> Clock:
    """The clock of a step (ns) that half of the times are before and half behind, in whole units."""
    rough = Clock(times[0], np.timedelta64(step, "ns"))
    off = np.sort((times - rough.nearest(times)).astype(np.int64))
    start = int(times[0].astype(np.int64)) + int(off[(off.size - 1) // 2])
    unit = next((int(unit.astype(np.int64)) for unit in _ROUND[1:] if 10 * unit.astype(np.int64) <= step), 1)
    return Clock(np.datetime64((start + unit // 2) // unit * unit, "ns"), rough.step)
