"""Files read, transformed and encoded for the store: here, or by several processes where that pays."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from echocast.archive import transforms as transforming
from echocast.archive.transforms import Transform
from echocast.errors import UnreadableFile
from echocast.io import reading
from echocast.io.location import Location
from echocast.io.palette import EncodedFrames, Palette, encode_field
from echocast.io.readers import zarr as zarr_reader
from echocast.io.reading import ReadOptions
from echocast.parallel import Workers, parallel_map

_WORTH_S = 5.0
"""Seconds of reading that are worth starting processes for."""


@dataclass(frozen=True)
class _Task:
    """A file to be encoded, and the values that the files before it held, so that it numbers them alike."""

    number: int
    location: Location
    palette: np.ndarray | None

    def __str__(self) -> str:
        return str(self.location)


def encoded_files(
    locations: Sequence[Location], options: ReadOptions, transforms: tuple[Transform, ...], workers: Workers
) -> Iterator[tuple[int, Location, EncodedFrames]]:
    """The transformed and encoded fields of many files in their order, each with its number and location.

    Raises:
        UnreadableFile: a file cannot be read, or reading it killed its process.
        DataError: the Dask scheduler does not answer.
    """
    begun, done, palette = time.monotonic(), 0, Palette()
    while done < len(locations) and not _pays(workers, locations[done:], time.monotonic() - begun, done):
        for frames in _encoded(locations[done], options, transforms, palette):
            yield done, locations[done], frames
        done += 1
    known: list[np.ndarray | None] = [palette.values if done else None]
    tasks = (_Task(number, locations[number], known[0]) for number in range(done, len(locations)))
    work = partial(_encode_task, options=options, transforms=transforms)
    for task, encoded in parallel_map(work, tasks, workers, error=UnreadableFile):
        for frames in encoded:
            known[0] = frames.palette if frames.indices is not None else known[0]
            yield task.number, task.location, frames


def _encode_task(task: _Task, options: ReadOptions, transforms: tuple[Transform, ...]) -> list[EncodedFrames]:
    return list(_encoded(task.location, options, transforms, Palette(task.palette)))


def _encoded(
    location: Location, options: ReadOptions, transforms: tuple[Transform, ...], palette: Palette
) -> Iterator[EncodedFrames]:
    for field in reading.pieces(location, options):
        yield encode_field(transforming.apply(field, transforms), palette)


def _pays(workers: Workers, rest: Sequence[Location], spent: float, done: int) -> bool:
    """Whether to let others read the rest: asked for, or at the rate so far it takes long."""
    if str(rest[0]).endswith("/") or (isinstance(rest[0], Path) and zarr_reader.recognises(b"", rest[0])):
        return False  # a store is read a stretch at a time, which does not come through a pipe
    if workers.dask or workers.processes > 1:
        return True
    return workers.processes == 0 and workers.count > 1 and done > 0 and spent / done * len(rest) > _WORTH_S
