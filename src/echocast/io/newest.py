"""The newest frames of many files, without reading all of them.

Files whose names hold a time (year first, as ``20160928T1445``) are one series in the order of these times. Of the
others, those whose paths differ only in digits are a series in the order of these numbers. Names are believed only as
far as the files confirm them: see `echocast.io.reading.newest`.

    >>> [files for files, timed in series(["r/10.nc", "r/9.nc", "r/20160928_1445.nc"])]
    [['r/20160928_1445.nc'], ['r/9.nc', 'r/10.nc']]
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError, GridMismatch, UnreadableFile
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.stamps import by_pattern, time_in

log = logging.getLogger(__name__)

_MOST_PASSED_OVER = 10
"""More files than this, and than the frames that are wanted, are not passed over: something else is wrong."""
_DIGITS = re.compile(r"\d+")


class Search:
    """The search for the newest frames of some files: see `echocast.io.reading.newest`.

    Args:
        paths: the files.
        frames: how many frames are wanted.
        content: the fields of a file.
        strict: a file that would be passed over is an error.
        time_pattern: how names spell their time, if that was told.
        every: only frames that are a multiple of it before the newest one.
        at: only frames up to this time.
    """

    def __init__(
        self,
        paths: Sequence[Location],
        frames: int,
        content: Callable[[Location], Iterable[xr.DataArray]],
        *,
        strict: bool = False,
        time_pattern: str | None = None,
        every: np.timedelta64 | None = None,
        at: np.datetime64 | None = None,
    ) -> None:
        self.passed_over: dict[Location, str] = {}
        self._wish = Wish(every, at, time_pattern)
        self._series = series(paths, time_pattern)
        self._unread = dict.fromkeys(paths)
        self._content, self._strict, self._wanted = content, strict, frames
        self._groups: list[NewestFrames] = []
        self._first_error: DataError | None = None

    def found(self) -> tuple[xr.DataArray, list[Location]]:
        """The newest frames, and the file of each."""
        count = len(self._unread)
        for files, timed in self._series:
            if not self._is_in_order(files, timed):
                log.warning("%s: names of files do not tell which are newer, so all %d are read", files[0], count)
                for path in list(self._unread):
                    self._read(path)
                break
        if not self._groups and self._first_error is not None:
            raise self._first_error
        if not self._groups:
            raise UnreadableFile(f"there is no frame {self._wish}in what was given; give radar files")
        return self._main().field()

    def _is_in_order(self, files: list[Location], timed: bool) -> bool:
        """Read a series from its end as far as needed; whether its files are as old as their names tell."""
        last: np.datetime64 | None = None
        for path in reversed(files):
            if timed and not self._wish.may_be_in(path):
                del self._unread[path]
                continue
            if last is not None and self._largest().is_complete_after(last):
                if timed or (path == files[0] and path not in self._unread):
                    return True
                oldest = self._read(files[0])
                return oldest is None or bool(oldest <= last)
            time = self._read(path)
            if time is not None and last is not None and time > last:
                return False
            last = last if time is None else time
        return True

    def _read(self, path: Location) -> np.datetime64 | None:
        """Read a file; the time of its newest frame, or None if it is passed over."""
        del self._unread[path]
        frames, times = NewestFrames(self._wanted), []
        try:
            for field in self._wish.wanted_of(self._content(path), path):
                frames.add(field, path)
                times.append(field.time.values[-1])
        except DataError as bad:
            self._first_error = self._first_error or bad
            self.passed_over[path] = str(bad)
            if self._strict or len(self.passed_over) > _MOST_PASSED_OVER + self._wanted:
                raise self._first_error from None
            return None
        if not times:
            return None
        group = next((known for known in self._groups if known.is_alike(frames)), None)
        if group is None:
            self._groups.append(frames)
        else:
            group.take(frames)
        return np.datetime64(max(times), "ns")

    def _largest(self) -> "NewestFrames":
        return max(self._groups, key=lambda group: len(group.files))

    def _main(self) -> "NewestFrames":
        """The frames of the grid and the product that most files have; the others are passed over if they are few."""
        main = self._largest()
        others = [path for group in self._groups if group is not main for path in group.files]
        for group in (group for group in self._groups if group is not main):
            for path in group.files:
                try:
                    main.check_alike(group, path)
                except GridMismatch as bad:
                    if self._strict or 2 * len(others) >= len(main.files):
                        raise
                    self.passed_over[path] = str(bad)
        return main


_SLACK = np.timedelta64(1, "h")
"""How far the time in a name may be ahead of the times of the frames in the file."""


class Wish:
    """Which frames are wanted: those up to a time, and of these one in every so many minutes.

    Args:
        every: only frames that are a multiple of it before the newest one; None for all.
        at: only frames up to this time; None for all.
        time_pattern: how names spell their time, if that was told.
    """

    def __init__(self, every: np.timedelta64 | None, at: np.datetime64 | None, time_pattern: str | None) -> None:
        self._every, self._at, self._pattern = every, at, time_pattern
        self._newest: np.datetime64 | None = None
        self._newest_name: np.datetime64 | None = None

    def __str__(self) -> str:
        return "" if self._at is None else f"up to {fields.format_time(self._at)} UTC "

    def may_be_in(self, path: Location) -> bool:
        """Whether a file may hold a frame that is wanted, by the time in its name."""
        named = _named_time(locations.name(path), self._pattern)
        if named is None or (self._at is None and self._every is None):
            return True
        if self._at is not None and named > self._at + _SLACK:
            return False
        return self._newest_name is None or bool(self._is_in_step(np.array([self._newest_name - named]))[0])

    def wanted_of(self, fields_of_file: Iterable[xr.DataArray], path: Location) -> Iterable[xr.DataArray]:
        """The wanted frames of a file."""
        if self._at is None and self._every is None:
            return fields_of_file
        return self._wanted_of(list(fields_of_file), path)

    def _wanted_of(self, found: list[xr.DataArray], path: Location) -> Iterator[xr.DataArray]:
        early = [field[self._is_early(field.time.values)] for field in found]
        early = [field for field in early if field.sizes["time"]]
        if early and self._newest is None:
            self._newest = max(field.time.values[-1] for field in early)
            several = sum(field.sizes["time"] for field in early) > 1
            self._newest_name = None if several else _named_time(locations.name(path), self._pattern)
        for field in early:
            kept = field[self._is_in_step(self._newest - field.time.values)]
            if kept.sizes["time"]:
                yield kept

    def _is_early(self, times: np.ndarray) -> np.ndarray:
        return np.full(times.shape, True) if self._at is None else np.asarray(times <= self._at)

    def _is_in_step(self, ages: np.ndarray) -> np.ndarray:
        """Whether ages are multiples of the step, to within what clocks tremble."""
        if self._every is None:
            return np.full(ages.shape, True)
        off = ages % self._every
        return np.asarray(np.minimum(off, self._every - off) <= 2 * fields.tolerance(self._every))


def series(paths: Sequence[Location], time_pattern: str | None = None) -> list[tuple[list[Location], bool]]:
    """The files in their series, oldest first as far as names tell, and whether the names of a series hold times.

    Args:
        paths: the files.
        time_pattern: how names spell their time, in the signs of ``strptime``; by default it is found.
    """
    timed = {path: _named_time(locations.name(path), time_pattern) for path in paths}
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
        self.files: dict[Location, None] = {}
        """The files that frames came from, also those of which none is left."""

    def add(self, field: xr.DataArray, path: Location) -> None:
        """Keep what is among the newest of a file's frames.

        Raises:
            GridMismatch: it lies on another grid, or is of another product, than the file that was added first.
            DataError: another file holds a different frame of the same time.
        """
        self._first = self._first or (field[:1], path)
        self._check_alike(field, path)
        self.files[path] = None
        for number in range(max(0, field.sizes["time"] - self._most), field.sizes["time"]):
            frame = field[number : number + 1]
            time = frame.time.values[0]
            known, origin = self._kept.get(time, (frame, path))
            earlier, later = sorted((path, origin), key=str)
            if not np.array_equal(known.values, frame.values, equal_nan=True):
                raise DataError(
                    f"{later}: differs from {earlier} of the same time {str(time)[:19]}; remove one of them"
                )
            self._kept[time] = (known, earlier)
        for time in sorted(self._kept)[: -self._most]:
            del self._kept[time]

    def take(self, other: "NewestFrames") -> None:
        """Keep what is among the newest of other frames; raises as `add` does."""
        for frame, path in other._kept.values():
            self.add(frame, path)

    def is_alike(self, other: "NewestFrames") -> bool:
        """Whether other frames are of the same product on the same grid."""
        try:
            self.check_alike(other, "")
        except GridMismatch:
            return False
        return True

    def check_alike(self, other: "NewestFrames", path: Location) -> None:
        """Raise `GridMismatch`, which names `path`, unless other frames are of the same product on the same grid."""
        if other._first is not None:
            self._check_alike(other._first[0], path)

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

    def _check_alike(self, field: xr.DataArray, path: Location) -> None:
        if self._first is not None:
            try:
                fields.check_same_grid(self._first[0], field, str(path))
                fields.check_same_product(self._first[0], field, str(path))
            except GridMismatch as bad:
                raise GridMismatch(f"{bad}; compared with {self._first[1]}") from None


def _named_time(name: str, pattern: str | None) -> np.datetime64 | None:
    """The time that a name tells; None if it tells none or is not understood."""
    try:
        return by_pattern(name, pattern) if pattern else time_in(name)
    except UnreadableFile:
        return None


def _numbers(path: Location) -> tuple[int, ...]:
    return tuple(int(digits) for digits in _DIGITS.findall(str(path)))
