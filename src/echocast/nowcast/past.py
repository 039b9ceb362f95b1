"""The past that a nowcast is made from: which of the frames, and how much of their grid.

>>> newest_past(["radar/"], forecaster, Selection(frames=6, coarsen=2)).field.dims  # doctest: +SKIP
('time', 'y', 'x')
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as default
from datetime import UTC, datetime

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import MissingFrames
from echocast.io import reading
from echocast.io.location import Location
from echocast.models.base import Forecaster
from echocast.nowcast.gaps import Bridged, bridged
from echocast.samples import segments

Bbox = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

FRAMES = 10
"""Past frames that a nowcast uses unless told otherwise."""

_MINUTE = np.timedelta64(1, "m")
_AHEAD = 5.0
"""Minutes that a frame may be ahead of this machine's clock."""


@dataclass(frozen=True)
class Selection:
    """Which frames a nowcast is made from, and how much of their grid.

    Args:
        frames: how many of the newest to use; fewer if there are fewer.
        at: only frames up to this time (UTC): a nowcast as it would have been made then; None for all.
        every: minutes between the frames to use, a multiple of their time step; None for all.
        bbox: (west, south, east, north) in degrees: cut to the smallest rectangle of cells that holds it.
        coarsen: means of so many by so many cells are forecast.
        max_age: minutes; an older newest frame is refused, and one that is ahead of the clock; None for any age.
        strict: a file that would be passed over, because it cannot be read or lies on another grid, and a missing frame
            among the newest, are errors.
    """

    frames: int = FRAMES
    at: np.datetime64 | None = None
    every: float | None = None
    bbox: Bbox | None = None
    coarsen: int = 1
    max_age: float | None = None
    strict: bool = False

    def cut(self, frames: xr.DataArray) -> xr.DataArray:
        """The part of the grid that is forecast, in its cells."""
        frames = frames if self.bbox is None else fields.cropped(frames, self.bbox)
        if self.coarsen == 1:
            return frames
        from echocast.archive.transforms.coarsen import coarsen  # imports the archive, which few nowcasts need

        return coarsen(frames, factor=self.coarsen)

    @property
    def step(self) -> np.timedelta64 | None:
        """The time step to use, if not that of the frames."""
        return None if self.every is None else np.timedelta64(round(self.every * 60e9), "ns")


@dataclass(frozen=True)
class Past:
    """Frames on a regular clock, the file of each, why other files were passed over, and which frames were missing."""

    field: xr.DataArray
    files: tuple[Location, ...]
    passed_over: dict[Location, str] = default(default_factory=dict)
    missing: tuple[np.datetime64, ...] = ()


def newest_past(
    inputs: Iterable[Location],
    forecaster: Forecaster,
    select: Selection,
    *,
    options: reading.ReadOptions | str | None = None,
    on_file: Callable[[Location], None] = lambda _: None,
) -> Past:
    """The newest frames of files, folders and globs as a forecaster can use them; raises as `echocast.nowcast` does."""
    passed_over: dict[Location, str] = {}
    newest, used = reading.newest(
        reading.find(inputs, strict=select.strict),
        select.frames,
        options=options,
        strict=select.strict,
        every=select.step,
        at=select.at,
        prepare=select.cut,
        on_file=on_file,
        on_passed_over=passed_over.__setitem__,
    )
    _check_step(newest, select)
    check_age(newest.time.values[-1], select.max_age)
    if select.strict:
        made = Bridged(segments.newest_segment(newest, select.frames))
    else:
        least = max(2, forecaster.min_frames)
        made = bridged(newest, select.frames, takes_blank=forecaster.takes_blank_frames, least=least)
    past = made.field
    check_age(past.time.values[-1], select.max_age)
    tolerance = fields.tolerance(fields.time_step(past.time.values)) if len(past) > 1 else np.timedelta64(0)
    near = np.abs(newest.time.values[:, None] - past.time.values).min(axis=1) <= tolerance
    return Past(
        past, tuple(place for place, is_used in zip(used, near, strict=True) if is_used), passed_over, made.missing
    )


def check_age(newest: np.datetime64, max_age: float | None, *, now: np.datetime64 | None = None) -> None:
    """Raise `MissingFrames` if the newest frame is older than some minutes, or lies in the future."""
    if max_age is None:
        return
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "ns") if now is None else now
    age, when = float((now - newest) / _MINUTE), f"the newest frame is of {fields.format_time(newest)} UTC"
    if age > max_age:
        raise MissingFrames(
            f"{when}, {_duration(age)} ago, and --max-age is {max_age:g} min; fetch newer files, or leave out --max-age"
        )
    if age < -_AHEAD:
        raise MissingFrames(
            f"{when}, which is {_duration(-age)} ahead of this machine's clock; set the clock, or check --time-pattern"
        )


def _duration(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def _check_step(newest: xr.DataArray, select: Selection) -> None:
    """Raise `MissingFrames` unless frames come at the time step that was asked for."""
    if select.every is None or newest.sizes["time"] < 2:
        return
    step = float(fields.time_step(newest.time.values) / _MINUTE)
    if abs(step - select.every) > 0.1:
        raise MissingFrames(
            f"--every {select.every:g}: the frames that fit it are {step:g} min apart; give a multiple of the time step"
            " of the files"
        )
