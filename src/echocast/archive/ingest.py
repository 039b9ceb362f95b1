"""Many files, one store on a regular clock that loses nothing.

A store is an Icechunk repository, local or in an object store, that holds one Zarr group and its history:
the rain in mm/h (as numbers of palette and their table, see `echocast.io.store`), ``observed(time)``, coordinates and
grid mapping. Every batch of frames is one
transaction, so whatever happens, the store is as it was after the last one, and the same command run again finishes
the work.

Rules: the clock's step is the commonest difference of the first files' times; a frame off the clock by more than a
tenth of a step is refused; a gap is a frame of NaN; a frame that is there already is a duplicate and ignored if it is
the same, and replaced and counted as corrected if not; of several files of one time the last by name counts. One store
holds one product on one grid by one Z-R relation, by the same transforms; anything else is refused by name.

    >>> report = write(["radar/"], "radar.zarr")  # doctest: +SKIP
    >>> open("radar.zarr").sizes  # doctest: +SKIP
    Frozen({'time': 288, 'y': 765, 'x': 700})
"""

import json
import logging
import time as timing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field

import icechunk
import numpy as np
import xarray as xr
import zarr

from echocast import fields
from echocast.archive import transforms as transforming
from echocast.archive.encoding import encoded_files
from echocast.archive.transforms import Transform
from echocast.errors import DataError, GridMismatch, MissingFrames
from echocast.io import reading
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.io.palette import Palette, TooMany, decoded, grid_of
from echocast.parallel import Workers

log = logging.getLogger(__name__)

_BATCH_BYTES = 128 * 2**20
_MEETINGS = 8
_SAME = ("quantity", "product", "zr")


@dataclass
class Report:
    """What an archiving did.

    `added`, `duplicates` and `corrected` count frames; `clipped` counts cells outside the limits of rain; `gaps` counts
    the missing frames of the whole store between `start` and `end`.
    """

    added: int = 0
    duplicates: int = 0
    corrected: int = 0
    clipped: int = 0
    files: int = 0
    frames: int = 0
    gaps: int = 0
    start: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    end: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    time_step: np.timedelta64 = dataclass_field(default_factory=lambda: np.timedelta64("NaT"))


@dataclass(frozen=True)
class _Frame:
    """One frame: indices into a palette, or rates."""

    time: np.datetime64
    numbers: np.ndarray
    palette: np.ndarray
    origin: str

    def rates(self) -> np.ndarray:
        return self.numbers if self.numbers.dtype == np.float32 else self.palette[self.numbers]

    def equals(self, other: "_Frame") -> bool:
        return np.array_equal(self.rates(), other.rates(), equal_nan=True)


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
        transforms: what to do to each field first; kept in the store, whose own are taken if none are given.
        workers: which processes read; by default as many as pay.
        on_file: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: a file that cannot be read; frames of the batches before it are kept.
        GridMismatch: a file on another grid than the store's.
        MissingFrames: a time off the clock.
        DataError: the place is no store, cannot be written, or holds another product, relation or transforms.
    """
    paths = reading.find(inputs)
    chosen = options if isinstance(options, reading.ReadOptions) else reading.ReadOptions(format=options)
    report = Report(files=len(paths))
    template = grid_of(open(store)) if stores.there(store) else None
    transforms = _agreed_transforms(template, transforms, store)
    repository: icechunk.Repository | None = None
    batch: list[_Frame] = []
    for number, location, encoded in encoded_files(paths, chosen, transforms, workers or Workers()):
        on_file(number, len(paths))
        template = encoded.grid if template is None else template
        _check_alike(template, encoded.grid, str(location))
        report.clipped += int(encoded.grid.attrs.get("clipped_cells", 0))
        frames = zip(encoded.grid.time.values, encoded.frames(), strict=True)
        batch += [_Frame(time, numbers, encoded.palette, str(location)) for time, numbers in frames]
        if sum(frame.numbers.nbytes for frame in batch) > _BATCH_BYTES and len(batch) > 1:
            repository = repository or stores.repository(store, create=True)
            _keep(repository, store, batch, template, time_step, transforms, report)
            batch = []
    if batch and template is not None:
        repository = repository or stores.repository(store, create=True)
        _keep(repository, store, batch, template, time_step, transforms, report)
    _summarise(open(store), report)
    return report


def open(store: Location) -> xr.DataArray:  # noqa: A001 (archive.open reads best)
    """The store's field, read when needed, with the coordinate ``observed(time)``: false where a frame is missing.

    Raises:
        DataError: there is no store, it is something else, or it holds no frames yet.
    """
    repository = stores.repository(store, create=False)
    with stores.errors(store):
        session = repository.readonly_session("main")
        if not stores.begun(session):
            raise DataError(f"{store}: holds no frames yet; run `echocast archive add` again")
        data = xr.open_zarr(session.store, consolidated=False, chunks=None)
    field = decoded(data)
    field.attrs |= {
        name: str(data.attrs[name]) for name in ("source", "zr", "product", "transforms") if name in data.attrs
    }
    return fields.check(field)


def gaps(field: xr.DataArray) -> list[tuple[np.datetime64, np.datetime64, int]]:
    """The missing stretches of a store's field: first and last missing time, and how many frames."""
    missing = np.flatnonzero(~field.coords["observed"].values)
    stretches = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    return [(field.time.values[s[0]], field.time.values[s[-1]], len(s)) for s in stretches if len(s)]


def _agreed_transforms(
    template: xr.Dataset | None, transforms: tuple[Transform, ...] | None, store: Location
) -> tuple[Transform, ...]:
    """The transforms to apply: those asked for, or those that the store was made with; both must agree."""
    if template is None:
        return transforms or ()
    kept = transforming.parse(json.loads(str(template.attrs.get("transforms", "[]"))))
    if transforms is not None and [str(t) for t in transforms] != [str(s) for s in kept]:
        words = "; ".join(str(s) for s in kept) or "none"
        raise DataError(
            f"{store}: was made with other transforms ({words}); leave --transform away, or make another store"
        )
    return kept


def _check_alike(template: xr.Dataset, field: xr.Dataset, name: str) -> None:
    """Refuse what does not belong into one store with the frames before."""
    fields.check_same_grid(template, field, name)
    for key in _SAME:
        a, b = template.attrs.get(key), field.attrs.get(key)
        if a and b and a != b:
            raise GridMismatch(f"{name}: is of {key} {b!r}, the others are of {a!r}; give each a store of its own")


def _keep(
    repository: icechunk.Repository,
    store: Location,
    batch: list[_Frame],
    template: xr.Dataset,
    time_step: np.timedelta64 | None,
    transforms: tuple[Transform, ...],
    report: Report,
) -> None:
    """One batch, one transaction; done again where another writer was faster."""
    for attempt in range(_MEETINGS):
        # To compare each chunk with an empty one takes longer than to compress it.
        with stores.errors(store), stores.alone(store), zarr.config.set({"array.write_empty_chunks": True}):
            try:
                counted = _commit(repository, batch, template, time_step, transforms, replace(report))
            except icechunk.ConflictError:
                if attempt == _MEETINGS - 1:
                    raise
                log.info("%s: another process wrote to it; this batch is done again", store)
                timing.sleep(0.05 * 2**attempt)
                continue
        report.added, report.duplicates, report.corrected = counted.added, counted.duplicates, counted.corrected
        return


def _commit(
    repository: icechunk.Repository,
    batch: list[_Frame],
    template: xr.Dataset,
    time_step: np.timedelta64 | None,
    transforms: tuple[Transform, ...],
    report: Report,
) -> Report:
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    frames = sorted(batch, key=lambda frame: frame.time)
    if "observed" not in group:
        _create(group, template, frames, time_step, transforms)
    axis = stores.time_axis(group)
    found = {_position(axis, frame): frame for frame in _latest(frames, report)}
    before = -min(0, *found)
    if before:
        stores.put_before(group, before)
        found = {position + before: frame for position, frame in found.items()}
    stores.extend(group, max(found) + 1)
    stores.put(group, _new(group, _numbered(group, found), report))
    if session.has_uncommitted_changes:
        session.commit(f"{len(found)} frames from {found[min(found)].time} to {found[max(found)].time}")
    return report


def _position(axis: stores.TimeAxis, frame: _Frame) -> int:
    """The frame's position, which may be before 0; raises `MissingFrames` for a frame between two positions."""
    position = axis.position(frame.time)
    if abs(position - round(position)) > 0.1:
        raise MissingFrames(
            f"{frame.origin}: its time {frame.time} is off the store's clock of"
            f" {axis.step / np.timedelta64(60, 's'):g} min from {axis.start}; archive it into a store of its own,"
            " or set --step"
        )
    return round(position)


def _numbered(group: zarr.Group, found: dict[int, _Frame]) -> dict[int, np.ndarray]:
    """The frames as the store keeps them: as indices into its own palette, or as rates."""
    palette = stores.palette(group)
    if palette is not None:
        try:
            others: dict[int, np.ndarray | None] = {}  # by palette, which many frames share
            made = {position: _by_palette(frame, palette, others) for position, frame in found.items()}
            stores.keep_palette(group, palette)
            return made
        except TooMany:
            stores.to_values(group)
    return {position: frame.rates() for position, frame in found.items()}


def _by_palette(frame: _Frame, palette: Palette, others: dict[int, np.ndarray | None]) -> np.ndarray:
    if frame.numbers.dtype == np.float32:
        return palette.encode(frame.numbers)
    if id(frame.palette) not in others:
        others[id(frame.palette)] = palette.merge(frame.palette)
    other = others[id(frame.palette)]
    return frame.numbers if other is None else other[frame.numbers]


def _latest(frames: list[_Frame], report: Report) -> list[_Frame]:
    """One frame a time: of repeated ones the last file's."""
    kept: dict[np.datetime64, _Frame] = {}
    for frame in frames:
        if frame.time in kept:
            same = kept[frame.time].equals(frame)
            report.duplicates += same
            report.corrected += not same
        kept[frame.time] = frame
    return list(kept.values())


def _create(
    group: zarr.Group,
    template: xr.Dataset,
    frames: list[_Frame],
    time_step: np.timedelta64 | None,
    transforms: tuple[Transform, ...],
) -> None:
    times = np.unique([frame.time for frame in frames])
    if time_step is None:
        if len(times) < 2:
            raise MissingFrames(f"{frames[0].origin}: one frame tells no time step; give more files, or --step MINUTES")
        time_step = fields.time_step(times)
    notes = {"transforms": json.dumps([str(t) for t in transforms])} if transforms else {}
    stores.create(group, template, times[0], time_step, notes)


def _new(group: zarr.Group, found: dict[int, np.ndarray], report: Report) -> dict[int, np.ndarray]:
    """The frames that change the store; the others are duplicates."""
    there = stores.part(group, "observed")[:]
    changes = {}
    for position, numbers in found.items():
        if not there[position]:
            report.added += 1
        elif np.array_equal(stores.part(group, stores.data_name(group))[position], numbers, equal_nan=True):
            report.duplicates += 1
            continue
        else:
            report.corrected += 1
        changes[position] = numbers
    return changes


def _summarise(field: xr.DataArray, report: Report) -> None:
    observed = field.coords["observed"].values
    report.frames, report.gaps = int(observed.sum()), int((~observed).sum())
    report.start, report.end = field.time.values[0], field.time.values[-1]
    report.time_step = fields.time_step(field.time.values) if len(field.time) > 1 else np.timedelta64("NaT")
