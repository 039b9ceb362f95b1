"""Many files into one store on a regular time axis.

A store is an Icechunk repository, local or in an object store, that holds one Zarr group and its history: the rain in
mm/h (as indices and their palette, see `echocast.io.store`), ``observed(time)``, coordinates and grid mapping. Every
batch of frames is one transaction, so whatever happens, the store is as it was after the last one, and the same command
run again finishes the work.

Rules: the time step is the most common difference of the first files' times; a frame whose time is off the time axis by
more than a tenth of a step is refused; a missing frame is NaN, and one in which no cell is observed is missing. One
store holds one product on one grid by one Z-R relation, by the same transforms; anything else is refused by name.
`echocast.archive.transaction` says what happens to frames that are there already.

    >>> report = write(["radar/"], "radar.zarr")  # doctest: +SKIP
    >>> open("radar.zarr").sizes  # doctest: +SKIP
    Frozen({'time': 288, 'y': 765, 'x': 700})
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import icechunk
import numpy as np
import xarray as xr

from echocast import fields
from echocast.archive import contents
from echocast.archive import transforms as transforming
from echocast.archive.encoding import encoded_files
from echocast.archive.transaction import Frame, NewStore, write_frames
from echocast.archive.transforms import Transform
from echocast.errors import DataError, GridMismatch, MissingFrames
from echocast.io import location as locations
from echocast.io import reading
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.io.palette import EncodedFrames, grid_of
from echocast.parallel import Workers

log = logging.getLogger(__name__)

_BATCH_BYTES = 128 * 2**20
_SAME = ("quantity", "product", "zr")


@dataclass
class Report:
    """What was written to a store, and what it holds afterwards.

    `added`, `duplicates`, `corrected` and `blank` count frames, `blank` those without any observed cell, which are left
    out; `clipped` counts cells outside the limits of rain; `files` is
    how many were read. `frames` and `gaps` count the observed and the missing frames of the whole store, from `start`
    to `end`.
    """

    added: int = 0
    duplicates: int = 0
    corrected: int = 0
    blank: int = 0
    clipped: int = 0
    files: int = 0
    frames: int = 0
    gaps: int = 0
    start: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    end: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    time_step: np.timedelta64 = dataclass_field(default_factory=lambda: np.timedelta64("NaT"))


def write(
    inputs: Iterable[Location],
    store: Location,
    *,
    options: reading.ReadOptions | str | None = None,
    time_step: np.timedelta64 | None = None,
    transforms: tuple[Transform, ...] | None = None,
    workers: Workers | None = None,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Add the frames of files to a store, which is made if it is not there.

    Args:
        inputs: files, folders, globs, stores and URLs.
        store: the store's folder or URL.
        options: how to read; a text is the reader's name. By default each file is recognised by its content.
        time_step: between the frames of a new store; by default the files tell.
        transforms: applied to each field first, in their order, and kept in the store. By default those of the store.
        workers: which processes read; by default as many as there are processors, where that is quicker.
        on_file: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: a file that cannot be read; frames of the batches before it are kept.
        GridMismatch: a file on another grid than the store's.
        MissingFrames: a time that is not on the store's time axis.
        DataError: the location is no store, cannot be written, or holds another product, Z-R relation or transforms.
    """
    paths = [path for path in reading.find(inputs) if not _is_part_of(path, store)]
    chosen = options if isinstance(options, reading.ReadOptions) else reading.ReadOptions(format=options)
    report = Report(files=len(paths))
    grid = grid_of(contents.open(store)) if stores.there(store) else None
    writer = _Writer(store, report, grid, time_step, _agreed_transforms(grid, transforms, store))
    for number, location, encoded in encoded_files(paths, chosen, writer.transforms, workers or Workers()):
        on_file(number, len(paths))
        writer.add(location, encoded)
    writer.flush()
    if report.blank and not stores.there(store):
        raise MissingFrames(f"no cell is observed in any of the {report.blank} frames; give files that hold data")
    _summarise(contents.open(store), report)
    return report


def _is_part_of(path: Location, store: Location) -> bool:
    """Whether a file is the store itself, or in it: the store may lie in a folder of the files that it is made from."""
    path, store = locations.normalise(path), locations.normalise(store)
    if isinstance(path, Path) and isinstance(store, Path):
        return path.resolve() == store.resolve() or store.resolve() in path.resolve().parents
    return path == store


class _Writer:
    """Collects frames and writes them in batches; counts in the report."""

    def __init__(
        self,
        store: Location,
        report: Report,
        grid: xr.Dataset | None,
        time_step: np.timedelta64 | None,
        transforms: tuple[Transform, ...],
    ) -> None:
        self._store, self._report, self._grid, self._time_step = store, report, grid, time_step
        self.transforms = transforms
        self._batch: list[Frame] = []
        self._repository: icechunk.Repository | None = None

    def add(self, location: Location, encoded: EncodedFrames) -> None:
        """Take the frames of a file, or of a part of one; raises `GridMismatch` if they do not belong to the store."""
        name = str(location)
        if self._grid is None:
            self._grid = encoded.grid
        _check_alike(self._grid, encoded.grid, name)
        self._report.clipped += int(encoded.grid.attrs.get("clipped_cells", 0))
        for time, data in zip(encoded.grid.time.values, encoded.frames(), strict=True):
            frame = Frame(time, data, encoded.palette, name)
            if frame.is_blank():
                self._report.blank += 1
                log.info("%s: no cell is observed at %s; this frame is left out", name, time)
            else:
                self._batch.append(frame)
        if sum(frame.data.nbytes for frame in self._batch) > _BATCH_BYTES and len(self._batch) > 1:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if not self._batch or self._grid is None:
            return
        if self._repository is None:
            self._repository = stores.repository(self._store, create=True)
        made_with = NewStore(self._grid, self._time_step, self.transforms)
        counts = write_frames(self._store, self._repository, self._batch, made_with)
        self._report.added += counts.added
        self._report.duplicates += counts.duplicates
        self._report.corrected += counts.corrected
        self._batch = []


def _agreed_transforms(
    grid: xr.Dataset | None, transforms: tuple[Transform, ...] | None, store: Location
) -> tuple[Transform, ...]:
    """The transforms to apply: those asked for, or those that the store was made with; both must agree."""
    if grid is None:
        return transforms or ()
    kept = transforming.parse(json.loads(str(grid.attrs.get("transforms", "[]"))))
    if transforms is not None and [str(one) for one in transforms] != [str(one) for one in kept]:
        made_with = "; ".join(str(one) for one in kept) or "none"
        raise DataError(
            f"{store}: was made with other transforms ({made_with}); leave out --transform, or make another store"
        )
    return kept


def _check_alike(grid: xr.Dataset, other: xr.Dataset, name: str) -> None:
    """Refuse what does not belong into one store with the frames before."""
    fields.check_same_grid(grid, other, name)
    for key in _SAME:
        a, b = grid.attrs.get(key), other.attrs.get(key)
        if a and b and a != b:
            raise GridMismatch(f"{name}: is of {key} {b!r}, the others are of {a!r}; give each a store of its own")


def _summarise(field: xr.DataArray, report: Report) -> None:
    observed = field.coords["observed"].values
    report.frames, report.gaps = int(observed.sum()), int((~observed).sum())
    report.start, report.end = field.time.values[0], field.time.values[-1]
    report.time_step = fields.time_step(field.time.values) if len(field.time) > 1 else np.timedelta64("NaT")
