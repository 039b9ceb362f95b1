"""Sequences of pictures, or of label maps, in one store: each a segment of its own, with a missing frame between two.

A store of sequences has one size of frame, one frame rate and one set of channels. It knows the name, the first frame
and the length of each sequence; times count on from 2000-01-01 and mean nothing but the order.

    >>> report = add(["kitti/"], "kitti.zarr")  # doctest: +SKIP
    >>> sequences(open("kitti.zarr"))[0].name  # doctest: +SKIP
    'sequence_1'
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from echocast import fields, video
from echocast.archive import contents
from echocast.archive import transforms as transforming
from echocast.archive.ingest import agreed_transforms, check_alike
from echocast.archive.transaction import Frame, NewStore, write_frames
from echocast.archive.transforms import Transform
from echocast.errors import DataError, MissingFrames
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.io.palette import Palette, encode_field, grid_of

log = logging.getLogger(__name__)

SEQUENCES = "sequences"
"""The attribute with the sequences of a store."""
_PART = 64
"""Frames that are transformed and encoded at a time."""


class Placed(NamedTuple):
    """A sequence in a store."""

    name: str
    first: int
    length: int

    @property
    def frames(self) -> slice:
        """Its frames."""
        return slice(self.first, self.first + self.length)


@dataclass
class Report:
    """What was added, what was there before, and what the store holds; in sequences and frames."""

    added: int = 0
    added_frames: int = 0
    already_there: list[str] = field(default_factory=list)
    sequences: int = 0
    frames: int = 0
    frame_rate: float = 0.0
    shape: tuple[int, ...] = ()


def sequences(stored: xr.DataArray) -> tuple[Placed, ...]:
    """The sequences of an archive's field, in their order; none if it holds no sequences but radar frames."""
    return tuple(Placed(str(name), int(first), int(length)) for name, first, length in stored.attrs.get(SEQUENCES, ()))


@dataclass(frozen=True)
class Contents:
    """What a store of sequences holds; `lowest` and `highest` need every frame read and are None otherwise."""

    quantity: str
    frames: int
    rows: int
    columns: int
    channels: tuple[str, ...]
    frame_rate: float
    transforms: str
    sequences: tuple[Placed, ...]
    lowest: float | None = None
    highest: float | None = None


def describe(stored: xr.DataArray, *, read_frames: bool) -> Contents:
    """What an archive of sequences holds, from its coordinates alone, or from every frame.

    Args:
        stored: the field of `echocast.archive.open`.
        read_frames: also find the lowest and the highest value.
    """
    ends = [_ends(stored[one.frames]) for one in sequences(stored)] if read_frames else []
    return Contents(
        quantity=str(stored.name),
        frames=int(stored.observed.values.sum()),
        rows=stored.sizes["y"],
        columns=stored.sizes["x"],
        channels=tuple(stored.channel.values.tolist()) if "channel" in stored.coords else (),
        frame_rate=float(np.timedelta64(1, "s") / fields.time_step(stored.time.values)),
        transforms=str(stored.attrs.get("transforms", "none")),
        sequences=sequences(stored),
        lowest=min(low for low, _ in ends) if ends else None,
        highest=max(high for _, high in ends) if ends else None,
    )


def _ends(part: xr.DataArray) -> tuple[float, float]:
    values = part.values
    return float(np.nanmin(values)), float(np.nanmax(values))


def add(
    inputs: Iterable[Path],
    store: Location,
    *,
    options: video.Options = video.DEFAULT,
    transforms: tuple[Transform, ...] | None = None,
    on_sequence: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Add the sequences of videos, folders of pictures and files of arrays to a store, each in one transaction.

    A sequence whose name the store has already is left as it is, so the same command run again finishes the work.

    Args:
        inputs: files and folders, see `echocast.video.sequences`.
        store: the store's folder or URL; it is made if it is not there.
        options: how to read them.
        transforms: applied to each frame first, in their order, and kept in the store. By default those of the store.
        on_sequence: called before each file with the number of files done and in all.

    Raises:
        UnreadableFile: a sequence cannot be read; those before it are kept.
        DataError: the store holds something else: radar frames, another size, frame rate, quantity or transforms.
        MissingFrames: a sequence has no frame with a value.
    """
    paths, report = list(inputs), Report()
    grid = grid_of(contents.open(store)) if stores.there(store) else None
    placed = list(sequences(contents.open(store))) if grid is not None else []
    if grid is not None and not placed:
        raise DataError(f"{store}: holds frames with times of their own, no sequences; make another archive for these")
    chosen = agreed_transforms(grid, transforms, store)
    total, known = len(video.names(paths, options)), {one.name for one in placed}
    for number, sequence in enumerate(video.sequences(paths, options)):
        on_sequence(min(number, total - 1), total)
        if sequence.name in known:
            report.already_there.append(sequence.name)
            continue
        grid = _write(sequence, store, grid, placed, chosen)
        report.added, report.added_frames = report.added + 1, report.added_frames + len(sequence.frames)
    return _summarised(report, contents.open(store))


def _write(
    sequence: video.Sequence, store: Location, grid: xr.Dataset | None, placed: list[Placed], transforms: Any
) -> xr.Dataset:
    """Write one sequence behind the others, and note where it is; returns the grid of the store."""
    repository = stores.repository(store, create=True)
    first = placed[-1].first + placed[-1].length + 1 if placed else 0
    own = _clock(store, sequence) if grid is not None else fields.Clock(video.START, sequence.step)
    frames, made = _frames(sequence, own, first, transforms)
    if grid is not None:
        check_alike(grid, made, sequence.name)
    placed.append(Placed(sequence.name, first, sequence.length))
    notes = {SEQUENCES: [list(one) for one in placed]}
    write_frames(store, repository, frames, NewStore(made, own.step, transforms, own.start), notes=notes)
    return grid if grid is not None else made


def _clock(store: Location, sequence: video.Sequence) -> fields.Clock:
    """The clock of a store; raises `DataError` if the sequence has another frame rate."""
    own = stores.clock_of(store)
    if abs(own.step - sequence.step) > fields.tolerance(own.step) // 100:
        rate = 1e9 / own.step.astype("timedelta64[ns]").astype(int)
        raise DataError(
            f"{sequence.name}: has {sequence.frame_rate:.6g} frames a second, and {store} has {rate:.6g}; give"
            " --frame-rate if that is the same for you, or make another archive"
        )
    return own


def _frames(
    sequence: video.Sequence, clock: fields.Clock, first: int, transforms: tuple[Transform, ...]
) -> tuple[list[Frame], xr.Dataset]:
    palette, frames = Palette(), []
    for begin in range(0, len(sequence.frames), _PART):
        part = sequence.field(begin, begin + _PART, start=clock.start)
        positions = first + fields.Clock(clock.start, sequence.step).positions(part.time.values)
        part = part.assign_coords(time=("time", clock.start + positions * clock.step, part.time.attrs))
        encoded = encode_field(transforming.apply(part, transforms), palette)
        for time, data in zip(encoded.grid.time.values, encoded.frames(), strict=True):
            frames.append(Frame(time, data, encoded.palette, sequence.name))
    blank = sum(frame.is_blank() for frame in frames)
    if blank:
        raise MissingFrames(f"{sequence.name}: {blank} of {len(frames)} frames hold no value; remove them")
    return frames, encoded.grid.drop_vars("time").assign_coords(time=encoded.grid.time[:0])


def _summarised(report: Report, stored: xr.DataArray) -> Report:
    report.sequences, report.frames = len(sequences(stored)), int(stored.observed.values.sum())
    report.frame_rate = float(np.timedelta64(1, "s") / fields.time_step(stored.time.values))
    report.shape = stored.shape[1:]
    return report
