"""Many files, one store on a regular clock that loses nothing.

A store is an Icechunk repository, local or in an object store, that holds one Zarr group and its history:
the rain in mm/h (as numbers of levels and their table, see `echocast.data.store`), ``observed(time)``, coordinates and
grid mapping. Every batch of frames is one
transaction, so whatever happens, the store is as it was after the last one, and the same command run again finishes
the work.

Rules: the clock's step is the commonest difference of the first files' times; a frame off the clock by more than a
tenth of a step is refused; a gap is a frame of NaN; a frame that is there already is a duplicate and ignored if it is
the same, and replaced and counted as corrected if not; of several files of one time the last by name counts. One store
holds one product on one grid by one Z-R relation, prepared by the same steps; anything else is refused by name.

    >>> report = write(["radar/"], "radar.zarr")  # doctest: +SKIP
    >>> open("radar.zarr").sizes  # doctest: +SKIP
    Frozen({'time': 288, 'y': 765, 'x': 700})
"""

import json
import logging
import time as clocks
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field

import icechunk
import numpy as np
import xarray as xr
import zarr

from echocast import field as fields
from echocast.data import files, prepare, readout
from echocast.data import store as stores
from echocast.data.levels import LEVEL, Levels, TooMany, rates_of
from echocast.data.places import Place
from echocast.data.prepare import Step
from echocast.errors import DataError, GridMismatch, MissingFrames

log = logging.getLogger(__name__)

_BATCH_BYTES = 128 * 2**20
_MEETINGS = 8
_SAME = ("product", "zr")


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
    step: np.timedelta64 = dataclass_field(default_factory=lambda: np.timedelta64("NaT"))


@dataclass(frozen=True)
class _Frame:
    """One frame: numbers of levels with their table, or rates."""

    time: np.datetime64
    numbers: np.ndarray
    table: np.ndarray
    origin: str

    def rates(self) -> np.ndarray:
        return self.numbers if self.numbers.dtype == np.float32 else self.table[self.numbers]

    def equals(self, other: "_Frame") -> bool:
        return np.array_equal(self.rates(), other.rates(), equal_nan=True)


def write(
    inputs: Iterable[Place],
    store: Place,
    *,
    choices: files.Choices | str | None = None,
    step: np.timedelta64 | None = None,
    steps: tuple[Step, ...] | None = None,
    hands: readout.Hands | None = None,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Add the frames of files to a store, which is made if it is not there.

    Args:
        inputs: files, folders, globs, stores and URLs.
        store: the store's folder or URL.
        choices: how to read; a text is the reader's name. By default each file is recognised by its content.
        step: the clock's step for a new store; by default the files tell.
        steps: what to do to each field first; kept in the store, whose own are taken if none are given.
        hands: who reads; by default as many processes as pay.
        on_file: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: a file that cannot be read; frames of the batches before it are kept.
        GridMismatch: a file on another grid than the store's.
        MissingFrames: a time off the clock.
        DataError: the place is no store, cannot be written, or holds another product, relation or steps.
    """
    paths = files.find(inputs)
    chosen = choices if isinstance(choices, files.Choices) else files.Choices(format=choices)
    report = Report(files=len(paths))
    template = grid_of(open(store)) if stores.there(store) else None
    steps = _steps(template, steps, store)
    repository: icechunk.Repository | None = None
    batch: list[_Frame] = []
    for number, place, packed in readout.fields_of(paths, chosen, steps, hands or readout.Hands()):
        on_file(number, len(paths))
        template = packed.grid if template is None else template
        _check_alike(template, packed.grid, str(place))
        report.clipped += int(packed.grid.attrs.get("clipped_cells", 0))
        frames = zip(packed.grid.time.values, packed.frames(), strict=True)
        batch += [_Frame(time, numbers, packed.table, str(place)) for time, numbers in frames]
        if sum(frame.numbers.nbytes for frame in batch) > _BATCH_BYTES and len(batch) > 1:
            repository = repository or stores.repository(store, create=True)
            _keep(repository, store, batch, template, step, steps, report)
            batch = []
    if batch and template is not None:
        repository = repository or stores.repository(store, create=True)
        _keep(repository, store, batch, template, step, steps, report)
    _summarise(open(store), report)
    return report


def open(store: Place) -> xr.DataArray:  # noqa: A001 (archive.open reads best)
    """The store's field, read when needed, with the coordinate ``observed(time)``: false where a frame is missing.

    Raises:
        DataError: there is no store, it is something else, or it holds no frames yet.
    """
    repository = stores.repository(store, create=False)
    with stores.errors(store):
        session = repository.readonly_session("main")
        if not stores.begun(session):
            raise DataError(f"{store}: holds no frames yet; run `echocast archive` again")
        data = xr.open_zarr(session.store, consolidated=False, chunks=None)
    data = data.set_coords(["crs", "observed"])
    field = rates_of(data) if LEVEL in data else data[fields.NAME]
    field.attrs["grid_mapping"] = "crs"
    field.attrs |= {name: str(data.attrs[name]) for name in ("source", "zr", "product", "steps") if name in data.attrs}
    return fields.check(field)


def grid_of(field: xr.DataArray) -> xr.Dataset:
    """A field's coordinates and attributes without its numbers."""
    return xr.Dataset(coords=field.coords, attrs=field.attrs)


def gaps(field: xr.DataArray) -> list[tuple[np.datetime64, np.datetime64, int]]:
    """The missing stretches of a store's field: first and last missing time, and how many frames."""
    missing = np.flatnonzero(~field.coords["observed"].values)
    stretches = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    return [(field.time.values[s[0]], field.time.values[s[-1]], len(s)) for s in stretches if len(s)]


def _steps(template: xr.Dataset | None, steps: tuple[Step, ...] | None, store: Place) -> tuple[Step, ...]:
    """The steps to take: those asked for, or those that the store was made with; both must agree."""
    if template is None:
        return steps or ()
    kept = prepare.parse(json.loads(str(template.attrs.get("steps", "[]"))))
    if steps is not None and [str(s) for s in steps] != [str(s) for s in kept]:
        words = "; ".join(str(s) for s in kept) or "none"
        raise DataError(f"{store}: was made with other steps ({words}); leave --do away, or make another store")
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
    store: Place,
    batch: list[_Frame],
    template: xr.Dataset,
    step: np.timedelta64 | None,
    steps: tuple[Step, ...],
    report: Report,
) -> None:
    """One batch, one transaction; done again where another writer was faster."""
    for attempt in range(_MEETINGS):
        # To compare each chunk with an empty one takes longer than to compress it.
        with stores.errors(store), stores.alone(store), zarr.config.set({"array.write_empty_chunks": True}):
            try:
                counted = _commit(repository, batch, template, step, steps, replace(report))
            except icechunk.ConflictError:
                if attempt == _MEETINGS - 1:
                    raise
                log.info("%s: another process wrote to it; this batch is done again", store)
                clocks.sleep(0.05 * 2**attempt)
                continue
        report.added, report.duplicates, report.corrected = counted.added, counted.duplicates, counted.corrected
        return


def _commit(
    repository: icechunk.Repository,
    batch: list[_Frame],
    template: xr.Dataset,
    step: np.timedelta64 | None,
    steps: tuple[Step, ...],
    report: Report,
) -> Report:
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    frames = sorted(batch, key=lambda frame: frame.time)
    if "observed" not in group:
        _create(group, template, frames, step, steps)
    clock = stores.clock(group)
    found = {_place(clock, frame): frame for frame in _latest(frames, report)}
    before = -min(0, *found)
    if before:
        stores.put_before(group, before)
        found = {place + before: frame for place, frame in found.items()}
    stores.extend(group, max(found) + 1)
    stores.put(group, _new(group, _numbered(group, found), report))
    if session.has_uncommitted_changes:
        session.commit(f"{len(found)} frames from {found[min(found)].time} to {found[max(found)].time}")
    return report


def _place(clock: stores.Clock, frame: _Frame) -> int:
    """The frame's place, which may be before 0; raises `MissingFrames` for a frame between two places."""
    place = clock.place(frame.time)
    if abs(place - round(place)) > 0.1:
        raise MissingFrames(
            f"{frame.origin}: its time {frame.time} is off the store's clock of"
            f" {clock.step / np.timedelta64(60, 's'):g} min from {clock.start}; archive it into a store of its own,"
            " or set --step"
        )
    return round(place)


def _numbered(group: zarr.Group, found: dict[int, _Frame]) -> dict[int, np.ndarray]:
    """The frames as the store keeps them: by the levels of its own table, or as rates."""
    levels = stores.table(group)
    if levels is not None:
        try:
            others: dict[int, np.ndarray | None] = {}  # by table, of which many frames share one
            made = {place: _by_levels(frame, levels, others) for place, frame in found.items()}
            stores.keep_table(group, levels)
            return made
        except TooMany:
            stores.to_rates(group)
    return {place: frame.rates() for place, frame in found.items()}


def _by_levels(frame: _Frame, levels: Levels, others: dict[int, np.ndarray | None]) -> np.ndarray:
    if frame.numbers.dtype == np.float32:
        return levels.encode(frame.numbers)
    if id(frame.table) not in others:
        others[id(frame.table)] = levels.merge(frame.table)
    other = others[id(frame.table)]
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
    step: np.timedelta64 | None,
    steps: tuple[Step, ...],
) -> None:
    times = np.unique([frame.time for frame in frames])
    if step is None:
        if len(times) < 2:
            raise MissingFrames(f"{frames[0].origin}: one frame tells no time step; give more files, or --step MINUTES")
        step = fields.step(times)
    notes = {"steps": json.dumps([str(s) for s in steps])} if steps else {}
    stores.create(group, template, times[0], step, notes)


def _new(group: zarr.Group, found: dict[int, np.ndarray], report: Report) -> dict[int, np.ndarray]:
    """The frames that change the store; the others are duplicates."""
    there = stores.part(group, "observed")[:]
    changes = {}
    for place, numbers in found.items():
        if not there[place]:
            report.added += 1
        elif np.array_equal(stores.part(group, stores.rain(group))[place], numbers, equal_nan=True):
            report.duplicates += 1
            continue
        else:
            report.corrected += 1
        changes[place] = numbers
    return changes


def _summarise(field: xr.DataArray, report: Report) -> None:
    observed = field.coords["observed"].values
    report.frames, report.gaps = int(observed.sum()), int((~observed).sum())
    report.start, report.end = field.time.values[0], field.time.values[-1]
    report.step = fields.step(field.time.values) if len(field.time) > 1 else np.timedelta64("NaT")
