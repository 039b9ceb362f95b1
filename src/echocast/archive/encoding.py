"""Files read, transformed and encoded for the store: in this process, or in several where that is quicker.

The palette grows from file to file. A worker is handed what is known so far together with each file, and hands back the
palette that its indices refer to, so workers keep nothing between files. The store merges the palettes
(`echocast.archive.transaction`), so its content does not depend on who read what.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from echocast.archive import transforms as transforming
from echocast.archive.transforms import Transform
from echocast.errors import DataError, UnreadableFile
from echocast.io import reading
from echocast.io.location import Location
from echocast.io.palette import EncodedFrames, Palette, encode_field
from echocast.io.reading import ReadOptions
from echocast.parallel import Workers, parallel_map
from echocast.readers import zarr as zarr_reader

_MIN_SECONDS = 5.0
"""Seconds of reading that are worth the start of processes."""

Encoded = tuple[int, Location, EncodedFrames | DataError]
"""The number of a file, the file, and some of its frames or what is wrong with it."""


@dataclass(frozen=True)
class _Task:
    """A file to be encoded by a worker, and the palette of the files before it."""

    number: int
    location: Location
    palette: np.ndarray

    def __str__(self) -> str:
        return str(self.location)


def encoded_files(
    locations: Sequence[Location], options: ReadOptions, transforms: tuple[Transform, ...], workers: Workers
) -> Iterator[Encoded]:
    """The transformed and encoded fields of many files in their order, each with its number and location.

    In place of the fields of a file that cannot be read comes the error, after those that could be.

    Raises:
        UnreadableFile: reading a file killed its process.
        DataError: the Dask scheduler does not answer.
    """
    palette = Palette()
    for is_store, group in groupby(enumerate(locations), key=lambda item: _is_store(item[1])):
        rest, pace = deque(group), _Pace()
        # A Zarr store may be larger than memory: it is read here, a part at a time.
        while rest and (is_store or not _use_workers(workers, pace.seconds_for(len(rest)))):
            number, location = rest.popleft()
            for frames in _encoded(location, options, transforms, palette):
                yield number, location, frames
            pace.file_is_done()
        if rest:
            yield from _encoded_by_workers(rest, options, transforms, palette, workers)


def _encoded_by_workers(
    files: Iterable[tuple[int, Location]],
    options: ReadOptions,
    transforms: tuple[Transform, ...],
    palette: Palette,
    workers: Workers,
) -> Iterator[Encoded]:
    known = palette.values

    def tasks() -> Iterator[_Task]:  # asked for one task at a time, so that later ones know more of the palette
        for number, location in files:
            yield _Task(number, location, known)

    work = partial(_encode_task, options=options, transforms=transforms)
    for task, encoded in parallel_map(work, tasks(), workers, error=UnreadableFile):
        for frames in encoded:
            if isinstance(frames, EncodedFrames) and frames.indices is not None:
                known = frames.palette
            yield task.number, task.location, frames


def _encode_task(
    task: _Task, options: ReadOptions, transforms: tuple[Transform, ...]
) -> list[EncodedFrames | DataError]:
    return list(_encoded(task.location, options, transforms, Palette(task.palette)))


def _encoded(
    location: Location, options: ReadOptions, transforms: tuple[Transform, ...], palette: Palette
) -> Iterator[EncodedFrames | DataError]:
    fields = reading.pieces(location, options)
    while True:
        try:
            field = next(fields, None)
        except DataError as bad:
            yield bad
            return
        if field is None:
            return
        yield encode_field(transforming.apply(field, transforms), palette)


def _is_store(location: Location) -> bool:
    return str(location).endswith("/") or (isinstance(location, Path) and zarr_reader.recognises(b"", location))


class _Pace:
    """How long files take, from the second on: the first one also pays for what is imported and compiled."""

    def __init__(self) -> None:
        self._done, self._begun, self._now = 0, 0.0, 0.0

    def file_is_done(self) -> None:
        self._now = time.monotonic()
        self._begun = self._begun or self._now
        self._done += 1

    def seconds_for(self, files: int) -> float:
        """What more files will take at the pace so far; 0 before there is one."""
        return (self._now - self._begun) / (self._done - 1) * files if self._done > 1 else 0.0


def _use_workers(workers: Workers, seconds: float) -> bool:
    """Whether workers read the rest: they were asked for, or it would take long here."""
    if workers.dask or workers.processes > 1:
        return True
    return workers.processes == 0 and workers.count > 1 and seconds > _MIN_SECONDS
