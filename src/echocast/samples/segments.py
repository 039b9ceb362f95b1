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
    seen = observed(field)
    follows = np.zeros(len(seen), bool)
    if len(seen) > 1:
        step = fields.time_step(field.time.values)
        follows[1:] = fields.follows(field.time.values, step) & seen[:-1] & seen[1:]
    first = np.flatnonzero(seen & ~follows)
    last = np.flatnonzero(seen & ~np.append(follows[1:], False))
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def window_starts(segments: Sequence[slice], past: int, future: int, stride: int) -> Int[np.ndarray, "windows"]:
    """The first frame of every window of `past` and `future` frames inside the segments, `stride` frames apart."""
    if min(past, future, stride) < 1:
        raise ValueError(f"past={past}, future={future} and stride={stride} must be at least 1")
    found = [np.arange(one.start, one.stop - past - future + 1, stride) for one in segments]
    return np.concatenate([np.empty(0, int), *found]).astype(int)


def newest_segment(field: xr.DataArray, frames: int) -> xr.DataArray:
    """The newest `frames` frames, or all if there are fewer, at the times of their clock.

    Times that tremble are moved to the clock that they are on, by no more than `fields.tolerance`. A frame without any
    observed cell is a missing frame: at either end it is left out, and the log tells of the newest; between others it
    stays, since its time is known.

    Raises:
        MissingFrames: one among them is missing or comes between two others, or none of them observed anything.
    """
    newest = between_observed(field[-frames:])
    times = newest.time.values
    if len(times) < 2:
        return newest
    step = fields.time_step(times)
    for late in np.flatnonzero(~fields.follows(times, step)):
        raise MissingFrames(_gap(times[late], times[late + 1], step, len(newest) - int(late) - 1))
    return _on_the_clock(newest)


def _gap(before: np.datetime64, after: np.datetime64, step: np.timedelta64, rest: int) -> str:
    """What is wrong with two neighbouring frames, and what helps."""
    often = f"though one comes every {step / _MINUTE:g} min"
    use = f", or use only what follows with --frames {rest}" if rest > 1 else ""
    if after - before < step:
        return f"frames at {str(before)[:19]} and {str(after)[:19]}, {often}; remove one of them{use}"
    between = f"no frame between {fields.format_time(before)} and {fields.format_time(after)}"
    return f"{between}, {often}; add the missing file{use}"


def _on_the_clock(field: xr.DataArray) -> xr.DataArray:
    """The field at the times of its clock; unchanged if one of its frames is not on it."""
    times = field.time.values
    clock = fields.clock(times)
    nearest = clock.nearest(times)
    if not clock.has(times).all() or np.array_equal(nearest, times):
        return field
    return field.assign_coords(time=("time", nearest, field.time.attrs))


def between_observed(field: xr.DataArray) -> xr.DataArray:
    """The field from its first to its last frame that observed anything; the log tells if the newest did not.

    Raises:
        MissingFrames: none of them observed anything.
    """
    seen = np.flatnonzero(observed(field))
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


def observed(field: xr.DataArray) -> np.ndarray:
    """For each frame whether any of its cells is observed."""
    if "observed" in field.coords:
        return np.asarray(field.coords["observed"].values, bool)
    return np.asarray(np.isfinite(field.values).any(axis=tuple(range(1, field.ndim))), bool)
