"""The values of a forecast between its leads.

What is known at moments is interpolated between them. Rain is known as the mean of intervals: it is interpolated
between their middles, and constant before the first middle and after the last, as far as the interval reaches. So it
never jumps, and the total of a run stays but for the changes of its first and its last half interval.

>>> import numpy as np
>>> run = xr.DataArray(
...     np.array([[[1.0]], [[3.0]]], np.float32), dims=("lead", "y", "x"), name="rainfall_rate",
...     coords={"time": ("lead", np.array(["2018-05-01T01", "2018-05-01T02"], "datetime64[ns]")),
...             "lead": np.array([1, 2], "timedelta64[h]").astype("timedelta64[ns]"),
...             "lead_start": ("lead", np.array([0, 1], "timedelta64[h]").astype("timedelta64[ns]"))})
>>> at = np.array(["2018-05-01T00:15", "2018-05-01T01:00", "2018-05-01T03:00"], "datetime64[ns]")
>>> [float(InTime(run)(time)[0, 0]) for time in at]
[1.0, 2.0, nan]
"""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

MOST_HOLE = np.timedelta64(3 * 3600 * 10**9, "ns")
"""Longer holes between two steps are not bridged."""


@dataclass(frozen=True)
class InTime:
    """A forecast that can be asked for any time: called with one, it gives (..., y, x), NaN where it knows nothing.

    Args:
        run: a forecast with the coordinates ``time`` and, of means, ``lead_start``.
        usual: the time between two steps, where `run` is only a part of a run; else the median of its own.
    """

    run: xr.DataArray
    usual: np.timedelta64 | None = None
    _middles: np.ndarray = field(init=False, repr=False, compare=False)
    _edges: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = self.run.time.values.astype("datetime64[ns]")
        starts = ends - (self.run.lead.values - self.run.lead_start.values) if "lead_start" in self.run.coords else ends
        object.__setattr__(self, "_middles", starts + (ends - starts) // 2)
        object.__setattr__(self, "_edges", np.stack([starts, ends], axis=1))

    def knows(self, time: np.datetime64) -> bool:
        """Whether there is a value for a time."""
        return self._around(time) is not None

    def __call__(self, time: np.datetime64) -> np.ndarray:
        """The values at a time (UTC), float32."""
        around = self._around(time)
        axis = self.run.dims.index("lead")
        if around is None:
            shape = tuple(n for d, n in self.run.sizes.items() if d != "lead")
            return np.full(shape, np.nan, np.float32)
        first, second, share = around
        before = np.take(self.run.values, first, axis)
        if share == 0.0:
            return np.asarray(before)
        change = np.take(self.run.values, second, axis) - before
        if self.run.attrs.get("units") != "degree":
            return np.asarray(before + np.float32(share) * change, np.float32)
        shorter = (change + 180.0) % 360.0 - 180.0  # a wind that turns from 350 to 10 degrees goes over north
        return np.asarray((before + np.float32(share) * shorter) % 360.0, np.float32)

    def _around(self, time: np.datetime64) -> tuple[int, int, float] | None:
        """The steps before and after a time, and how far between their middles it lies; None if it is not known."""
        time = time.astype("datetime64[ns]")
        after = int(np.searchsorted(self._middles, time))
        if after < len(self._middles) and self._middles[after] == time:
            return after, after, 0.0
        if after == 0:
            return (0, 0, 0.0) if time >= self._edges[0, 0] else None
        if after == len(self._middles):
            return (after - 1, after - 1, 0.0) if time <= self._edges[-1, 1] else None
        first, second = after - 1, after
        if self._is_hole(first, second):
            near = first if time <= self._edges[first, 1] else second if time >= self._edges[second, 0] else None
            return None if near is None else (near, near, 0.0)
        gap = self._middles[second] - self._middles[first]
        return first, second, float((time - self._middles[first]) / gap)

    def _is_hole(self, first: int, second: int) -> bool:
        """Whether nothing is known between two steps for longer than is bridged: of moments, the time between them."""
        usual = usual_step(self.run) if self.usual is None else self.usual
        hole = self._edges[second, 0] - self._edges[first, 1]
        return bool(hole > MOST_HOLE and hole > usual)


def usual_step(run: xr.DataArray) -> np.timedelta64:
    """The median of the times between two steps of a run, 0 if it has one."""
    apart = np.diff(run.time.values).astype("timedelta64[ns]").astype(np.int64)
    return np.timedelta64(int(np.median(apart)) if apart.size else 0, "ns")
