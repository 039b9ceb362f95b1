"""Many files into one store on a regular time axis.

A store is an Icechunk repository, local or in an object store, that holds one Zarr group and its history: the rain in
mm/h (as indices and their palette, see `echocast.io.store`), ``observed(time)``, coordinates and grid mapping. Every
batch of frames is one transaction, so whatever happens, the store is as it was after the last one, and the same command
run again finishes the work.

Rules: the time axis is the clock of the first files' times (`echocast.fields.clock`); a frame moves to it by no more
than `echocast.fields.tolerance` and is refused if it is further off; a missing frame is NaN, and one without any
observed cell is missing. One store holds one product on one grid by one Z-R relation, by the same transforms; a few
files of another are passed over and named.
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


@dataclass
class Report:
    """What was written to a store, and what it holds afterwards.

    `added`, `duplicates`, `corrected` and `blank` count frames, `blank` those without any observed cell, which are left
    out; `clipped` counts cells outside the limits of rain; `files` is how many were given, and `passed_over` tells for
    each that was not used the reason. `frames` and `gaps` count the observed and the missing frames of the whole store,
    from `start` to `end`.
    """

    added: int = 0
    duplicates: int = 0
    corrected: int = 0
    blank: int = 0
    clipped: int = 0
    files: int = 0
    passed_over: dict[Location, str] = dataclass_field(default_factory=dict)
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
    strict: bool = False,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Add the frames of files to a store, which is made if it is not there.

    A file that cannot be read, or that does not belong to the store (another grid, product, Z-R relation), is passed
    over, which the log tells with the reason.

    Args:
        inputs: files, folders, globs, stores and URLs.
        store: the store's folder or URL.
        options: how to read; a text is the reader's name. By default each file is recognised by its content.
        time_step: between the frames of a new store; by default the files tell.
        transforms: applied to each field first, in their order, and kept in the store. By default those of the store.
        workers: which processes read; by default as many as there are processors, where that is quicker.
        strict: a file that would be passed over is an error.
        on_file: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: no file can be read, or one that was read killed its process; frames of the batches before it
            are kept.
        GridMismatch: no file belongs to the store; a third of the files of a new store, or more, do not belong to it.
        MissingFrames: a time that is not on the store's time axis.
        DataError: the location is no store, cannot be written, or holds another product, Z-R relation or transforms.
    """
    paths = [path for path in reading.find(inputs, strict=strict) if not _is_part_of(path, store)]
    chosen = options if isinstance(options, reading.ReadOptions) else reading.ReadOptions(format=options)
    report = Report(files=len(paths))
    grid = grid_of(contents.open(store)) if stores.there(store) else None
    writer = _Writer(store, report, grid, time_step, agreed_transforms(grid, transforms, store), strict=strict)
    for number, location, encoded in encoded_files(paths, chosen, writer.transforms, workers or Workers()):
        on_file(number, len(paths))
        writer.add(location, encoded)
    writer.finish()
    for why in report.passed_over.values():
        log.warning("passed over: %s", why)
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
    """Collects frames and writes them in batches; counts in the report.

    What belongs to a new store is what most of the files of its first batch have in common.
    """

    def __init__(
        self,
        store: Location,
        report: Report,
        grid: xr.Dataset | None,
        time_step: np.timedelta64 | None,
        transforms: tuple[Transform, ...],
        *,
        strict: bool,
    ) -> None:
        self._store, self._report, self._grid, self._time_step = store, report, grid, time_step
        self.transforms, self._strict, self._is_new = transforms, strict, grid is None
        self._batches: list[_Batch] = [] if grid is None else [_Batch(grid)]
        self._taken: dict[Location, None] = {}
        self._others: dict[Location, DataError] = {}
        self._repository: icechunk.Repository | None = None
        self._first_error: DataError | None = None

    def add(self, location: Location, encoded: EncodedFrames | DataError) -> None:
        """Take the frames of a file, or of a part of one, or note what is wrong with it."""
        if isinstance(encoded, DataError):
            self._pass_over(location, encoded)
            return
        batch = next((one for one in self._batches if one.takes(encoded, str(location))), None)
        if batch is None and self._grid is None:
            batch = _Batch(encoded.grid)
            self._batches.append(batch)
        if batch is None:
            error = self._batches[0].mismatch(encoded.grid, str(location))
            self._others[location] = error
            self._refuse_many()
            self._pass_over(location, error)
            return
        batch.add(location, encoded)
        size = sum(one.size for one in self._batches)
        if size > _BATCH_BYTES and sum(len(one.frames) for one in self._batches) > 1:
            self.flush()

    def finish(self) -> None:
        """Write what was collected; raises what is wrong with the first file if there is nothing at all to write."""
        self.flush()
        if not self._taken and self._first_error is not None:
            raise self._first_error

    def flush(self) -> None:
        """Write what was collected."""
        if not self._batches:
            return
        batch = self._chosen()
        self._grid, self._batches = batch.grid, [_Batch(batch.grid)]
        self._taken |= batch.files
        self._report.blank += batch.blank
        if not batch.frames:
            return
        if self._repository is None:
            self._repository = stores.repository(self._store, create=True)
        made_with = NewStore(self._grid, self._time_step, self.transforms)
        counts = write_frames(self._store, self._repository, batch.frames, made_with)
        self._report.clipped += batch.clipped
        self._report.added += counts.added
        self._report.duplicates += counts.duplicates
        self._report.corrected += counts.corrected

    def _chosen(self) -> "_Batch":
        """The batch of most files; those of the others are passed over."""
        chosen = max(self._batches, key=lambda one: len(one.files))
        for other in self._batches:
            if other is not chosen:
                errors = {path: chosen.mismatch(other.grid, str(path)) for path in other.files}
                self._others |= errors
                if 2 * len(self._others) >= len(chosen.files):
                    raise next(iter(errors.values()))
                for path, error in errors.items():
                    self._pass_over(path, error)
        return chosen

    def _refuse_many(self) -> None:
        """Raise if many files do not belong to a new store: it is not told which of them are meant."""
        taken = len(self._taken) + len(self._batches[0].files)
        if self._is_new and 2 * len(self._others) >= taken:
            raise next(reversed(self._others.values()))

    def _pass_over(self, location: Location, error: DataError) -> None:
        if self._strict:
            raise error
        self._first_error = self._first_error or error
        self._report.passed_over[location] = str(error)


class _Batch:
    """Frames of one grid, quantity, product and Z-R relation that wait to be written."""

    def __init__(self, grid: xr.Dataset) -> None:
        self.grid = grid
        self.frames: list[Frame] = []
        self.files: dict[Location, None] = {}
        self.size = self.clipped = self.blank = 0

    def takes(self, encoded: EncodedFrames, name: str) -> bool:
        """Whether frames belong to these."""
        try:
            check_alike(self.grid, encoded.grid, name)
        except GridMismatch:
            return False
        return True

    def mismatch(self, grid: xr.Dataset, name: str) -> DataError:
        """Why frames do not belong to these."""
        try:
            check_alike(self.grid, grid, name)
        except GridMismatch as bad:
            return bad
        return GridMismatch(f"{name}: is not like the others")

    def add(self, location: Location, encoded: EncodedFrames) -> None:
        """Take frames."""
        self.files[location] = None
        self.clipped += int(encoded.grid.attrs.get("clipped_cells", 0))
        for time, data in zip(encoded.grid.time.values, encoded.frames(), strict=True):
            frame = Frame(time, data, encoded.palette, str(location))
            if frame.is_blank():
                self.blank += 1
                log.info("%s: no cell is observed at %s; this frame is left out", location, time)
            else:
                self.frames.append(frame)
                self.size += data.nbytes


def agreed_transforms(
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


def check_alike(grid: xr.Dataset, other: xr.Dataset, name: str) -> None:
    """Refuse what does not belong into one store with the frames before."""
    fields.check_same_grid(grid, other, name)
    fields.check_same_product(grid, other, name)


def _summarise(field: xr.DataArray, report: Report) -> None:
    observed = field.coords["observed"].values
    report.frames, report.gaps = int(observed.sum()), int((~observed).sum())
    report.start, report.end = field.time.values[0], field.time.values[-1]
    report.time_step = fields.time_step(field.time.values) if len(field.time) > 1 else np.timedelta64("NaT")
