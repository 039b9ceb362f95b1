"""The newest frames of many files, without reading all of them.

Files whose names hold a time (year first, as ``20160928T1445``) are one series in the order of these times. Of the
others, those whose paths differ only in digits are a series in the order of these numbers. Names are believed only as
far as the files confirm them: see `echocast.io.reading.newest`.

    >>> [files for files, timed in series(["r/10.nc", "r/9.nc", "r/20160928_1445.nc"])]
    [['r/20160928_1445.nc'], ['r/9.nc', 'r/10.nc']]
"""

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError, GridMismatch, UnreadableFile
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.stamps import time_in

_DIGITS = re.compile(r"\d+")


def series(paths: Sequence[Location]) -> list[tuple[list[Location], bool]]:
    """The files in their series, oldest first as far as names tell, and whether the names of a series hold times."""
    timed = {path: time_in(locations.name(path)) for path in paths}
    untimed: dict[str, list[Location]] = {}
    for path in paths:
        if timed[path] is None:
            untimed.setdefault(_DIGITS.sub("0", str(path)), []).append(path)
    with_time = sorted((path for path in paths if timed[path] is not None), key=lambda path: (timed[path], str(path)))
    by_number = [sorted(files, key=lambda path: (_numbers(path), str(path))) for files in untimed.values()]
    return ([(with_time, True)] if with_time else []) + [(files, False) for files in by_number]


class NewestFrames:
    """The newest frames of what was added so far, at most `most`.

    Args:
        most: how many frames to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[np.datetime64, tuple[xr.DataArray, Location]] = {}
        self._first: tuple[xr.DataArray, Location] | None = None

    def add(self, field: xr.DataArray, path: Location) -> None:
        """Keep what is among the newest of a file's frames.

        Raises:
            GridMismatch: it lies on another grid than the file that was added first.
            DataError: another file holds a different frame of the same time.
        """
        self._check_grid(field, path)
        for number in range(max(0, field.sizes["time"] - self._most), field.sizes["time"]):
            frame = field[number : number + 1]
            time = frame.time.values[0]
            known, origin = self._kept.get(time, (frame, path))
            earlier, later = sorted((path, origin), key=str)
            if not np.array_equal(known.values, frame.values, equal_nan=True):
                raise DataError(f"{later}: differs from {earlier} of the same time {time}; remove one of them")
            self._kept[time] = (known, earlier)
        for time in sorted(self._kept)[: -self._most]:
            del self._kept[time]

    def is_complete_after(self, time: np.datetime64) -> bool:
        """Whether there are as many frames as wanted, and all of them are later than a time."""
        return len(self._kept) >= self._most and bool(min(self._kept) > time)

    def field(self) -> tuple[xr.DataArray, list[Location]]:
        """The frames as one field, and the file of each; raises `UnreadableFile` if there are none."""
        if not self._kept:
            raise UnreadableFile("there is no frame in what was given; give radar files")
        order = sorted(self._kept)
        frames = [self._kept[time][0] for time in order]
        joined = xr.concat(frames, dim="time", join="override", combine_attrs="override")
        return joined, [self._kept[time][1] for time in order]

    def _check_grid(self, field: xr.DataArray, path: Location) -> None:
        if self._first is None:
            self._first = (field[:1], path)
        try:
            fields.check_same_grid(self._first[0], field, str(path))
        except GridMismatch as bad:
            raise GridMismatch(f"{bad}; compared with {self._first[1]}") from None


def _numbers(path: Location) -> tuple[int, ...]:
    return tuple(int(digits) for digits in _DIGITS.findall(str(path)))
