"""Missing frames among the newest: left blank for models that pass over such frames, else the past is shortened.

>>> import numpy as np
>>> from echocast import fields
>>> times = np.datetime64("2016-07-01", "ns") + np.array([0, 5, 10, 20]) * np.timedelta64(1, "m")
>>> past = fields.make(np.zeros((4, 2, 2)), time=times, y=range(2), x=range(2), crs="EPSG:3857")
>>> bridged(past, 10, takes_blank=True, least=2).field.sizes["time"]
5
"""

import logging
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import MissingFrames
from echocast.samples import segments

log = logging.getLogger(__name__)

MOST_BLANK = 2
"""So many missing frames in a row are left blank; across a longer gap the motion of the rain is not known."""


@dataclass(frozen=True)
class Bridged:
    """A past on a regular clock, and the times of the frames that were missing in it or made it shorter."""

    field: xr.DataArray
    missing: tuple[np.datetime64, ...] = ()


def bridged(field: xr.DataArray, frames: int, *, takes_blank: bool, least: int) -> Bridged:
    """The newest frames of a field on their clock, whatever is missing among them; the log tells what was done.

    Where the forecaster passes over blank frames, up to `MOST_BLANK` missing frames in a row become blank ones.
    Elsewhere, and at longer gaps, the past begins after the gap. If too little comes after it, the newest unbroken
    stretch before it is used, and the forecast is issued at the end of that.

    Args:
        field: frames in the order of time.
        frames: how many time steps the past may have.
        takes_blank: whether the forecaster knows that a blank frame is missing.
        least: how many frames it needs.

    Raises:
        MissingFrames: no stretch is long enough, a frame lies between two time steps, or no frame observed anything.
    """
    newest = segments.between_observed(field[-frames:])
    seen = np.flatnonzero(segments.observed(newest))
    times = newest.time.values[seen]
    if len(times) < 2:
        return Bridged(segments.newest_segment(newest, frames))
    clock = fields.clock(times)
    slots = clock.positions(times)
    has_gaps = len(seen if not takes_blank else newest) < slots[-1] - slots[0] + 1
    if not has_gaps or not clock.has(times).all() or len(set(slots.tolist())) < len(slots):
        return Bridged(segments.newest_segment(newest, frames))
    return _without_gaps(
        newest[seen], clock, slots, frames=frames, widest=MOST_BLANK + 1 if takes_blank else 1, least=least
    )


def _without_gaps(
    field: xr.DataArray, clock: fields.Clock, slots: np.ndarray, *, frames: int, widest: int, least: int
) -> Bridged:
    """The newest stretch of enough frames that are at most `widest` steps apart; what is missing in it is blank."""
    stretches = np.split(np.arange(len(slots)), np.flatnonzero(np.diff(slots) > widest) + 1)
    chosen = next((one for one in reversed(stretches) if len(one) >= least), None)
    absent = np.setdiff1d(np.arange(slots[0], slots[-1] + 1), slots)
    missing = clock.start + absent[absent > slots[-1] - frames] * clock.step
    if chosen is None:
        raise MissingFrames(f"no frame at {_listed(missing)}, and no {least} frames without a gap; add the files")
    chosen = chosen[slots[chosen] > slots[chosen[-1]] - frames]
    newest, last = field.time.values[-1], field.time.values[chosen[-1]]
    if last < newest:
        told = (
            f"after it too few frames follow: the forecast is issued at {fields.format_time(last)} UTC, though the"
            f" newest frame is of {fields.format_time(newest)} UTC"
        )
    elif len(stretches) > 1:
        told = f"only the newest {len(chosen)} frames are used"
    else:
        told = "the forecast is made without"
    log.warning("no frame at %s; %s (--strict refuses)", _listed(missing), told)
    every = clock.start + np.arange(slots[chosen[0]], slots[chosen[-1]] + 1) * clock.step
    known = field[chosen].drop_vars("observed", errors="ignore")
    known = known.assign_coords(time=clock.nearest(known.time.values))
    whole = known.reindex(time=every).assign_coords(time=("time", every, field.time.attrs))
    return Bridged(fields.check(whole), tuple(missing))


def _listed(times: np.ndarray, most: int = 3) -> str:
    named = ", ".join(fields.format_time(time) for time in times[:most])
    return f"{named}{f' and {len(times) - most} more' if len(times) > most else ''} UTC"
