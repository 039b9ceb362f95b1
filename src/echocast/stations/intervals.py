"""Which interval of gauges and radar belongs to a frame, and which frames of an archive fill it.

>>> Intervals(radar, gauges, 60.0, "past").end(np.datetime64("2024-06-01T12:20"))  # doctest: +SKIP
numpy.datetime64('2024-06-01T12:15')
"""

import math
from functools import cached_property

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.stations.series import interval_minutes

WINDOWS = ("past", "same")
_MINUTE = np.timedelta64(1, "m")


class Intervals:
    """Intervals of so many minutes that both the frames of a field and the gauges fill exactly.

    Args:
        radar: an archive's field; the rate of a frame holds for the time step before it.
        gauges: a station series of rain amounts.
        minutes: of an interval.
        window: ``past``: the interval of a frame is the latest one that ends by its time; ``same``: the one of the UTC
            clock that it lies in.

    Raises:
        DataError: the minutes do not fit the frames or the gauges, or there is no such window.
    """

    def __init__(self, radar: xr.DataArray, gauges: xr.DataArray, minutes: float, window: str) -> None:
        self.radar, self.minutes = radar, minutes
        step, own = self._clock.step / _MINUTE, interval_minutes(gauges)
        if window not in WINDOWS:
            raise DataError(f"window={window!r}: there are: {', '.join(WINDOWS)}")
        for what, length in (("frames come", float(step)), ("gauges measure", own)):
            if minutes < length or not math.isclose(minutes / length, round(minutes / length), abs_tol=1e-6):
                raise DataError(f"minutes={minutes:g}: {what} every {length:g} min; give a multiple of that")
        self.count = round(minutes / float(step))
        self._window = window
        self._every = _ns(minutes if window == "same" else _common(float(step), own))

    @cached_property
    def _clock(self) -> fields.Clock:
        return fields.clock(self.radar.time.values)

    def end(self, time: np.datetime64) -> np.datetime64:
        """The end of the interval of a frame."""
        since = int(np.asarray(time, "datetime64[ns]").astype(np.int64))
        whole = since // self._every if self._window == "past" else -(-since // self._every)
        return np.datetime64(whole * self._every, "ns")

    def frames(self, end: np.datetime64) -> slice | None:
        """The frames of the field that fill an interval; None where it does not hold all of them."""
        last = int(self._clock.positions([end])[0])
        first = last - self.count + 1
        times = self.radar.time.values
        if first < 0 or last >= len(times) or not self._clock.has([end])[0]:
            return None
        wanted = end - np.arange(self.count)[::-1] * self._clock.step
        inside = slice(first, last + 1)
        if (np.abs(times[inside] - wanted) > fields.tolerance(self._clock.step)).any():
            return None
        seen = self.radar.coords["observed"].values[inside] if "observed" in self.radar.coords else np.ones(1, bool)
        return inside if seen.all() else None


def _ns(minutes: float) -> int:
    return round(minutes * 60e9)


def _common(step: float, own: float) -> float:
    """The least common multiple of two lengths in minutes, to the second."""
    return math.lcm(round(step * 60), round(own * 60)) / 60
