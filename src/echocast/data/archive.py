"""Many files, one store on a regular clock that loses nothing.

A store is an Icechunk repository, a folder that holds one Zarr group and its history: ``rainfall_rate(time, y, x)`` in
mm/h, ``observed(time)``, coordinates and grid mapping. Every batch of frames is one transaction, so whatever happens,
the store is as it was after the last one, and the same command run again finishes the work.

Rules: the clock's step is the commonest difference of the first files' times; a frame off the clock by more than a
tenth of a step is refused; a gap is a frame of NaN; a frame that is there already is a duplicate and ignored if it is
the same, and replaced and counted as corrected if not.

    >>> report = write(["radar/"], Path("radar.zarr"))  # doctest: +SKIP
    >>> open(Path("radar.zarr")).sizes  # doctest: +SKIP
    Frozen({'time': 288, 'y': 765, 'x': 700})
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import filelock
import icechunk
import numpy as np
import xarray as xr
import zarr

from echocast import __version__
from echocast import field as fields
from echocast.data import files
from echocast.errors import DataError, MissingFrames

_BATCH_BYTES = 128 * 2**20
_CHUNK_BYTES = 4 * 2**20
_LONGEST_CHUNK = 288
_SECOND = np.timedelta64(1, "s")

icechunk.set_logs_filter("icechunk=error")  # its warning of concurrent writers is answered by `_alone`


@dataclass
class Report:
    """What an archiving did.

    `added`, `duplicates` and `corrected` count frames; `gaps` counts the missing frames of the whole store between
    `start` and `end`.
    """

    added: int = 0
    duplicates: int = 0
    corrected: int = 0
    files: int = 0
    frames: int = 0
    gaps: int = 0
    start: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    end: np.datetime64 = dataclass_field(default_factory=lambda: np.datetime64("NaT"))
    step: np.timedelta64 = dataclass_field(default_factory=lambda: np.timedelta64("NaT"))


@dataclass(frozen=True)
class _Frame:
    time: np.datetime64
    values: np.ndarray
    path: Path


@dataclass(frozen=True)
class _Clock:
    start: np.datetime64
    step: np.timedelta64

    def index(self, frame: _Frame) -> int:
        """The frame's place, which may be before 0; raises `MissingFrames` for a frame between two places."""
        place = (frame.time - self.start) / self.step
        if abs(place - round(place)) > 0.1:
            raise MissingFrames(
                f"{frame.path}: its time {frame.time} is off the store's clock of {self.step / _SECOND / 60:g} min"
                f" from {self.start}; archive it into a store of its own, or set --step"
            )
        return round(place)


def write(
    inputs: Iterable[str | Path],
    store: Path,
    *,
    format: str | None = None,  # noqa: A002 (the option's name)
    step: np.timedelta64 | None = None,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Add the frames of files to a store, which is made if it is not there.

    Args:
        inputs: files, folders and globs.
        store: the store's folder.
        format: the reader to use; by default each file is recognised by its content.
        step: the clock's step for a new store; by default the files tell.
        on_file: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: a file that cannot be read; frames of the batches before it are kept.
        GridMismatch: a file on another grid than the store's.
        MissingFrames: a time off the clock.
        DataError: the folder is no store, or cannot be written.
    """
    paths = files.find(inputs)
    report = Report(files=len(paths))
    repository: icechunk.Repository | None = None
    for batch, template in _batches(paths, format, store, on_file):
        repository = repository or _repository(store, create=True)
        with _storage_errors(store), _alone(store):
            _commit(repository, batch, template, step, report)
    _summarise(open(store), report)
    return report


def open(store: Path) -> xr.DataArray:  # noqa: A001 (archive.open reads best)
    """The store's field, read when needed, with the coordinate ``observed(time)``: false where a frame is missing.

    Raises:
        DataError: there is no store, it is something else, or it holds no frames yet.
    """
    repository = _repository(store, create=False)
    with _storage_errors(store):
        session = repository.readonly_session("main")
        if not _begun(session):
            raise DataError(f"{store}: holds no frames yet; run `echocast archive` again")
        data = xr.open_zarr(session.store, consolidated=False, chunks=None)
    field = data.set_coords(["crs", "observed"])[fields.NAME]
    field.attrs["grid_mapping"] = "crs"
    field.attrs |= {name: str(data.attrs[name]) for name in ("source", "zr") if name in data.attrs}
    return fields.check(field)


def _batches(
    paths: Sequence[Path], reader: str | None, store: Path, on_file: Callable[[int, int], None]
) -> Iterator[tuple[list[_Frame], xr.DataArray]]:
    """Frames of many files, a bounded number of bytes at a time, all on one grid."""
    template: xr.DataArray | None = open(store) if _holds_frames(store) else None
    batch: list[_Frame] = []
    for number, path in enumerate(paths):
        on_file(number, len(paths))
        field = files.read(path, reader)
        if template is None:
            template = field
        fields.check_same_grid(template, field, str(path))
        batch += [_Frame(t, v, path) for t, v in zip(field.time.values, field.values, strict=True)]
        if sum(frame.values.nbytes for frame in batch) > _BATCH_BYTES and len(batch) > 1:
            yield batch, template
            batch = []
    if batch and template is not None:
        yield batch, template


def _commit(
    repository: icechunk.Repository,
    batch: list[_Frame],
    template: xr.DataArray,
    step: np.timedelta64 | None,
    report: Report,
) -> None:
    """One batch, one transaction."""
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    frames = sorted(batch, key=lambda frame: frame.time)
    if fields.NAME not in group:
        _create(group, template, frames, step)
    clock = _clock(group)
    places = {clock.index(frame): frame for frame in _latest(frames, report)}
    before = -min(0, *places)
    if before:
        _put_before(group, clock, before)
        places = {place + before: frame for place, frame in places.items()}
    _extend(group, max(places) + 1)
    _write(group, _new(group, places, report))
    if session.has_uncommitted_changes:
        session.commit(f"{len(places)} frames from {places[min(places)].time} to {places[max(places)].time}")


def _latest(frames: list[_Frame], report: Report) -> list[_Frame]:
    """One frame a time: of repeated ones the last file's."""
    kept: dict[np.datetime64, _Frame] = {}
    for frame in frames:
        if frame.time in kept:
            same = np.array_equal(kept[frame.time].values, frame.values, equal_nan=True)
            report.duplicates += same
            report.corrected += not same
        kept[frame.time] = frame
    return list(kept.values())


def _create(group: zarr.Group, template: xr.DataArray, frames: list[_Frame], step: np.timedelta64 | None) -> None:
    times = np.unique([frame.time for frame in frames])
    if step is None:
        if len(times) < 2:
            raise MissingFrames(f"{frames[0].path}: one frame tells no time step; give more files, or --step MINUTES")
        step = fields.step(times)
    shape = template.shape[1:]
    _array(
        group, fields.NAME, (0, *shape), np.float32, _chunks(shape), ("time", "y", "x"), dict(template.attrs), np.nan
    )
    _array(
        group, "observed", (0,), np.bool_, (4096,), ("time",), {"long_name": "a frame of this time was archived"}, False
    )
    units = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
    _array(group, "time", (0,), np.int64, (4096,), ("time",), dict(template.time.attrs) | units, 0)
    for axis in ("y", "x"):
        values = template.coords[axis].values
        made = _array(
            group, axis, values.shape, np.float64, values.shape, (axis,), dict(template.coords[axis].attrs), 0.0
        )
        made[:] = values
    _array(group, "crs", (), np.int32, (), (), {k: _plain(v) for k, v in template.coords["crs"].attrs.items()}, 0)[
        ...
    ] = 0
    described: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": "radar rain rate on a regular clock",
        "history": f"made by echocast {__version__}",
        "start": str(times[0]),
        "step_seconds": float(step / _SECOND),
    }
    described |= {name: str(template.attrs[name]) for name in ("source", "zr") if name in template.attrs}
    group.attrs.update(described)


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    dims: tuple[str, ...],
    attrs: dict[str, Any],
    fill: Any,
) -> Any:
    return group.create_array(
        name, shape=shape, dtype=dtype, chunks=chunks, dimension_names=dims, attributes=attrs, fill_value=fill
    )


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole frames of time chunks near `_CHUNK_BYTES`; huge frames are cut along y."""
    frame = 4 * shape[0] * shape[1]
    rows = max(1, min(shape[0], _CHUNK_BYTES // (4 * shape[1])))
    return (int(np.clip(_CHUNK_BYTES // frame, 1, _LONGEST_CHUNK)), rows, shape[1])


def _clock(group: zarr.Group) -> _Clock:
    seconds = float(str(group.attrs["step_seconds"]))
    return _Clock(np.datetime64(str(group.attrs["start"]), "ns"), np.timedelta64(round(seconds * 1e9), "ns"))


def _extend(group: zarr.Group, length: int) -> None:
    """Make room on the clock up to `length` frames, all missing for now."""
    now = _part(group, "time").shape[0]
    if length <= now:
        return
    clock = _clock(group)
    _part(group, fields.NAME).resize((length, *_part(group, fields.NAME).shape[1:]))
    _part(group, "observed").resize((length,))
    _part(group, "time").resize((length,))
    times = clock.start + np.arange(now, length) * clock.step
    _part(group, "time")[now:] = times.astype("datetime64[s]").astype(np.int64)


def _put_before(group: zarr.Group, clock: _Clock, frames: int) -> None:
    """Let the clock start earlier; what is there moves back, a chunk at a time, inside the same transaction."""
    length = _part(group, "time").shape[0]
    group.attrs["start"] = str(clock.start - frames * clock.step)
    _part(group, "time").resize((0,))
    _extend(group, length + frames)
    for name in (fields.NAME, "observed"):
        array = _part(group, name)
        size = array.chunks[0]
        for stop in range(length, 0, -size):
            start = max(0, stop - size)
            array[start + frames : stop + frames] = array[start:stop]
        array[:frames] = array.fill_value


def _new(group: zarr.Group, places: dict[int, _Frame], report: Report) -> dict[int, np.ndarray]:
    """The frames that change the store; the others are duplicates."""
    there = _part(group, "observed")[:]
    changes = {}
    for place, frame in places.items():
        if not there[place]:
            report.added += 1
        elif np.array_equal(_part(group, fields.NAME)[place], frame.values, equal_nan=True):
            report.duplicates += 1
            continue
        else:
            report.corrected += 1
        changes[place] = frame.values
    return changes


def _write(group: zarr.Group, frames: dict[int, np.ndarray]) -> None:
    """Write frames in stretches, so that each chunk is written once."""
    places = sorted(frames)
    for stretch in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        if len(stretch):
            where = slice(int(stretch[0]), int(stretch[-1]) + 1)
            _part(group, fields.NAME)[where] = np.stack([frames[int(place)] for place in stretch])
            _part(group, "observed")[where] = True


def _repository(store: Path, *, create: bool) -> icechunk.Repository:
    storage = icechunk.local_filesystem_storage(str(store))
    if (store.is_dir() and any(store.iterdir())) or not create:
        if not store.is_dir() or (not (store / "refs").is_dir() and not (store / "repo").exists()):
            raise DataError(f"{store}: is no echocast archive; make one with `echocast archive INPUT... --to {store}`")
        with _storage_errors(store):
            return icechunk.Repository.open(storage)
    if store.exists() and not store.is_dir():
        raise DataError(f"{store}: is a file, not an archive; give another --to")
    with _storage_errors(store):
        partial = store.with_name(f".{store.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        icechunk.Repository.create(icechunk.local_filesystem_storage(str(partial)))
        partial.replace(store)  # so that a store is there whole or not at all
        return icechunk.Repository.open(storage)


def _holds_frames(store: Path) -> bool:
    if not store.is_dir() or not any(store.iterdir()):
        return False
    return _begun(_repository(store, create=False).readonly_session("main"))


def _begun(session: icechunk.Session) -> bool:
    """Whether a first batch was ever committed."""
    try:
        return fields.NAME in zarr.open_group(session.store, mode="r")
    except zarr.errors.GroupNotFoundError:
        return False


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """One writer at a time: a local folder, unlike an object store, cannot tell two commits apart by itself."""
    with filelock.FileLock(store / "writer.lock"):
        yield


@contextmanager
def _storage_errors(store: Path) -> Iterator[None]:
    try:
        yield
    except icechunk.ConflictError as bad:
        raise DataError(f"{store}: another process wrote to it at the same time; run the command again") from bad
    except (icechunk.IcechunkError, OSError) as bad:
        why = " ".join(str(bad).split())[:160]
        raise DataError(f"{store}: cannot be read or written ({why}); is the disk full or read-only?") from bad


def _summarise(field: xr.DataArray, report: Report) -> None:
    observed = field.coords["observed"].values
    report.frames, report.gaps = int(observed.sum()), int((~observed).sum())
    report.start, report.end = field.time.values[0], field.time.values[-1]
    report.step = fields.step(field.time.values) if len(field.time) > 1 else np.timedelta64("NaT")


def _part(group: zarr.Group, name: str) -> Any:
    """One array of the store; zarr's own types cannot tell it from a group."""
    return group[name]


def _plain(value: Any) -> Any:
    """An attribute as JSON can hold it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
