"""Some frames written to a store in one transaction: all of them, or none.

Each frame finds its position on the store's time axis, which grows at either end. A frame that is there already is a
duplicate and ignored if it is the same, and replaced and counted as corrected if not; of several frames of one time the
last one counts. Where another process wrote to the store meanwhile, the whole transaction is done again.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import icechunk
import numpy as np
import xarray as xr
import zarr

from echocast import fields
from echocast.archive.transforms import Transform
from echocast.errors import MissingFrames
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.io.palette import Palette, TooMany

log = logging.getLogger(__name__)

_ATTEMPTS = 8
_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class Frame:
    """One frame: indices into a palette (uint16), or the values themselves (float32)."""

    time: np.datetime64
    data: np.ndarray
    palette: np.ndarray
    origin: str

    def values(self) -> np.ndarray:
        """The frame in mm/h, float32."""
        return self.data if self.data.dtype == np.float32 else self.palette[self.data]

    def is_blank(self) -> bool:
        """Whether no cell is observed."""
        if self.data.dtype == np.float32:
            return not any(np.isfinite(row).any() for row in self.data)  # most often the first rows tell
        known = np.isfinite(self.palette)
        return not any(known[row].any() for row in self.data)

    def equals(self, other: "Frame") -> bool:
        """Whether both hold the same values, NaN included."""
        return np.array_equal(self.values(), other.values(), equal_nan=True)


@dataclass
class Counts:
    """What one transaction did, in frames."""

    added: int = 0
    duplicates: int = 0
    corrected: int = 0


@dataclass(frozen=True)
class NewStore:
    """What a store is made with, if there is none yet.

    `grid` is its coordinates and attributes; without a `time_step` the first frames tell it, and without a `start`
    their clock.
    """

    grid: xr.Dataset
    time_step: np.timedelta64 | None
    transforms: tuple[Transform, ...]
    start: np.datetime64 | None = None


def write_frames(
    store: Location,
    repository: icechunk.Repository,
    frames: Sequence[Frame],
    new_store: NewStore,
    *,
    notes: Mapping[str, Any] | None = None,
) -> Counts:
    """Write frames to a store in one transaction, its arrays made first if they are not there.

    Args:
        store: its location, for locks and messages.
        repository: the store's.
        frames: at least one.
        new_store: what it is made with if it is not there.
        notes: attributes of the store to set in the same transaction.

    Raises:
        MissingFrames: a frame's time is not on the store's time axis, or one frame is all there is to a new store.
        DataError: the store cannot be written, or other processes write to it again and again.
    """
    attempt = 0
    while True:
        # To compare each chunk with an empty one takes longer than to compress it.
        with stores.errors(store), stores.alone(store), zarr.config.set({"array.write_empty_chunks": True}):
            try:
                return _commit(repository, frames, new_store, notes or {})
            except icechunk.ConflictError:
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise
        log.info("%s: another process wrote to it; these frames are written again", store)
        time.sleep(0.025 * 2**attempt)


def _commit(
    repository: icechunk.Repository, frames: Sequence[Frame], new_store: NewStore, notes: Mapping[str, Any]
) -> Counts:
    counts = Counts()
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    frames = sorted(frames, key=lambda frame: frame.time)
    if "observed" not in group:
        _create(group, frames, new_store)
    axis = stores.time_axis(group)
    found = _latest(frames, axis, counts)
    before = -min(0, *found)
    if before:
        stores.put_before(group, before)
        found = {position + before: frame for position, frame in found.items()}
    stores.extend(group, max(found) + 1)
    stores.put(group, _changes(group, _for_store(group, found), counts))
    if notes:
        group.attrs.update(notes)
    if session.has_uncommitted_changes:
        session.commit(f"{len(found)} frames from {found[min(found)].time} to {found[max(found)].time}")
    return counts


def _create(group: zarr.Group, frames: Sequence[Frame], new_store: NewStore) -> None:
    times = np.unique([frame.time for frame in frames])
    time_step = new_store.time_step
    if time_step is None:
        if len(times) < 2:
            raise MissingFrames(
                f"{frames[0].origin}: one frame tells no time step; give more files, or --time-step MINUTES"
            )
        time_step = fields.time_step(times)
    start = new_store.start
    if start is None:
        start = fields.clock(times).start if len(times) > 1 else times[0]
    transforms = json.dumps([str(transform) for transform in new_store.transforms])
    notes = {"transforms": transforms} if new_store.transforms else {}
    stores.create(group, new_store.grid, start, time_step, notes)


def _position(axis: fields.Clock, frame: Frame) -> int:
    """The frame's position, which may be before 0; raises `MissingFrames` for a time that is not on the axis."""
    if not axis.has(frame.time):
        off = float((frame.time - np.datetime64(axis.nearest(frame.time).item(), "ns")) / _SECOND)
        raise MissingFrames(
            f"{frame.origin}: its time {frame.time} is not on the store's time axis, which has a frame every"
            f" {axis.step / (60 * _SECOND):g} min from {axis.start}: it is {off:+g} s off, more than"
            f" {fields.tolerance(axis.step) / _SECOND:g} s; archive it into a store of its own, or make the store with"
            " another --time-step"
        )
    return int(axis.positions(frame.time))


def _latest(frames: Sequence[Frame], axis: fields.Clock, counts: Counts) -> dict[int, Frame]:
    """One frame for each position: of repeated ones that of the last file."""
    kept: dict[int, Frame] = {}
    for frame in frames:
        position = _position(axis, frame)
        if position in kept:
            same = kept[position].equals(frame)
            counts.duplicates += same
            counts.corrected += not same
        kept[position] = frame
    return kept


def _for_store(group: zarr.Group, found: dict[int, Frame]) -> dict[int, np.ndarray]:
    """The frames as the store keeps them: as indices into its own palette, or as values."""
    palette = stores.palette(group)
    if palette is not None:
        try:
            merged: dict[int, np.ndarray | None] = {}  # by palette, which many frames share
            made = {position: _by_palette(frame, palette, merged) for position, frame in found.items()}
            stores.keep_palette(group, palette)
            return made
        except TooMany:
            stores.to_values(group)
    return {position: frame.values() for position, frame in found.items()}


def _by_palette(frame: Frame, palette: Palette, merged: dict[int, np.ndarray | None]) -> np.ndarray:
    if frame.data.dtype == np.float32:
        return palette.encode(frame.data)
    if id(frame.palette) not in merged:
        merged[id(frame.palette)] = palette.merge(frame.palette)
    indices = merged[id(frame.palette)]
    return frame.data if indices is None else indices[frame.data]


def _changes(group: zarr.Group, found: dict[int, np.ndarray], counts: Counts) -> dict[int, np.ndarray]:
    """The frames that change the store; the others are duplicates."""
    there = stores.part(group, "observed")[:]
    changes = {}
    for position, data in found.items():
        if not there[position]:
            counts.added += 1
        elif np.array_equal(stores.part(group, stores.data_name(group))[position], data, equal_nan=True):
            counts.duplicates += 1
            continue
        else:
            counts.corrected += 1
        changes[position] = data
    return changes
