"""Segments: unbroken stretches of frames on a regular clock, and the windows that fit inside them.

A window is `past` and `future` frames inside one segment. Splits go by segment, so train, validation and test never
share one.

    >>> import numpy as np
    >>> from echocast import fields
    >>> times = np.datetime64("2016-07-01", "ns") + np.arange(6) * np.timedelta64(5, "m")
    >>> frames = fields.make(np.zeros((6, 4, 4)), time=times, y=range(4), x=range(4), crs="EPSG:3857")
    >>> window_starts(segments(frames), past=2, future=3, stride=1).tolist()
    [0, 1]
"""

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Int

from echocast import fields
from echocast.errors import MissingFrames

log = logging.getLogger(__name__)

_MINUTE = np.timedelta64(1, "m")


def segments(field: xr.DataArray) -> list[slice]:
    """The longest stretches of frames on a regular clock with none missing, in the order of time."""
    if field.sizes["time"] == 0:
        return []
    observed = _observed(field)
    follows = np.zeros(len(observed), bool)
    if len(observed) > 1:
        follows[1:] = (np.diff(field.time.values) == fields.time_step(field.time.values)) & observed[:-1] & observed[1:]
    first = np.flatnonzero(observed & ~follows)
    last = np.flatnonzero(observed & ~np.append(follows[1:], False))
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def window_starts(segments: Sequence[slice], past: int, future: int, stride: int) -> Int[np.ndarray, "windows"]:
    """The first frame of every window of `past` and `future` frames inside the segments, `stride` frames apart."""
    if min(past, future, stride) < 1:
        raise ValueError(f"past={past}, future={future} and stride={stride} must be at least 1")
    found = [np.arange(one.start, one.stop - past - future + 1, stride) for one in segments]
    return np.concatenate([np.empty(0, int), *found]).astype(int)


def newest_segment(field: xr.DataArray, frames: int) -> xr.DataArray:
    """The newest `frames` frames, or all if there are fewer, from the first to the last in which anything is observed.

    A frame without any observed cell is a missing frame: at either end it is left out, and the log tells of the newest;
    between others it stays, since its time is known.

    Raises:
        MissingFrames: a frame among them is missing, or none of them observed anything.
    """
    newest = _between_observed(field[-frames:])
    gaps = np.diff(newest.time.values)
    step = gaps.min() if len(gaps) else np.timedelta64(0)
    for late in np.flatnonzero(gaps != step):
        before, after = newest.time.values[late], newest.time.values[late + 1]
        raise MissingFrames(
            f"no frame between {fields.format_time(before)} and {fields.format_time(after)}, though one comes every"
            f" {step / _MINUTE:g} min;"
            f" add the missing file, or use only what follows with --frames {len(newest) - late - 1}"
        )
    return newest


def _between_observed(field: xr.DataArray) -> xr.DataArray:
    """The field from its first to its last frame that observed anything."""
    seen = np.flatnonzero(_observed(field))
    if not len(seen):
        raise MissingFrames(
            f"no cell is observed in any of the {field.sizes['time']} newest frames, up to"
            f" {fields.format_time(field.time.values[-1])} UTC; give files that hold data"
        )
    if (blank := field.sizes["time"] - 1 - seen[-1]) > 0:
        log.warning(
            "the newest %d frames, up to %s UTC, are blank: no cell is observed; the forecast is issued at %s UTC",
            blank,
            fields.format_time(field.time.values[-1]),
            fields.format_time(field.time.values[seen[-1]]),
        )
    return field[seen[0] : seen[-1] + 1]


def _observed(field: xr.DataArray) -> np.ndarray:
    if "observed" in field.coords:
        return np.asarray(field.coords["observed"].values, bool)
    return np.asarray(np.isfinite(field.values).any(axis=tuple(range(1, field.ndim))), bool)
