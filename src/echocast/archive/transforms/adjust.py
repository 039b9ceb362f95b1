"""Adjust radar by rain gauges: mean field bias, range-dependent, conditional merging, kriging with external drift."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields, stations
from echocast.archive import contents
from echocast.errors import DataError
from echocast.stations import intervals, layouts, sampling
from echocast.stations.adjusting import Method, factors
from echocast.stations.kriging import Covariance


def adjust(
    field: xr.DataArray,
    *,
    gauges: str,
    radar: str,
    method: str = "merging",
    minutes: float = 60.0,
    window: str = "same",
    range_km: float = 20.0,
    nugget: float = 0.1,
    site: str | None = None,
) -> xr.DataArray:
    """Rain rates multiplied by what the gauges say about the radar's amounts.

    A factor for each cell is found from the amounts of gauges and radar in an interval (`echocast.stations.adjusting`),
    and every frame that belongs to it is multiplied by it. Where gauges or radar do not know the interval the frame
    stays as it is. Flagged values of gauges are not used.

    Args:
        gauges: a station file (`echocast stations`) of rain amounts.
        radar: the archive of the same radar without adjustment, which must hold the frames of the interval.
        method: ``bias``, ``range``, ``merging`` or ``drift``.
        minutes: of the interval.
        window: ``past`` for the interval before each frame, which a forecast may use; ``same`` for the interval of the
            clock that the frame lies in, which is known only afterwards.
        range_km: of the covariance.
        nugget: of the covariance, beside a sill of 1.
        site: LONGITUDE,LATITUDE of the radar in degrees, for ``range``.

    Raises:
        DataError: the gauges are not rain, or lie outside; the archive lacks a frame of the field; a setting is wrong.
    """
    fields.check(field, quantity=fields.NAME)
    how = Method(name=method, covariance=Covariance(range_km, nugget))
    sources = _Sources(gauges, radar, minutes, window, site)
    plan = _plan(sources, _version(gauges), field.x.values.tobytes(), field.y.values.tobytes())
    fields.check_same_grid(plan.radar, field, "the field to adjust")
    made = np.empty_like(field.values)
    for number, time in enumerate(field.time.values):
        made[number] = field.values[number] * plan.factor(time, how)
    return field.copy(data=made)


@dataclass(frozen=True)
class _Sources:
    gauges: str
    radar: str
    minutes: float
    window: str
    site: str | None


class _Plan:
    """Gauges and radar, ready for factors; the factor of the last interval is kept for the frames that share it."""

    def __init__(self, sources: _Sources) -> None:
        self.radar = contents.open(sources.radar)
        series = stations.read(Path(sources.gauges))
        self.where = sampling.cells(self.radar, series)
        self.series, _ = stations.trusted(series[self.where.inside])
        self.intervals = intervals.Intervals(self.radar, self.series, sources.minutes, sources.window)
        self.layout = layouts.layout(self.radar, self.series, sources.site)
        self._last: tuple[np.datetime64, Method, np.ndarray] | None = None

    def factor(self, time: np.datetime64, method: Method) -> np.ndarray:
        """The factor (y, x) of a frame, float32."""
        end = self.intervals.end(time)
        if self._last is None or self._last[:2] != (end, method):
            self._last = end, method, self._made(end, method)
        return self._last[2]

    def _made(self, end: np.datetime64, method: Method) -> np.ndarray:
        shape = self.radar.sizes["y"], self.radar.sizes["x"]
        frames = self.intervals.frames(end)
        if frames is None:
            return np.ones(shape, np.float32)
        amount = self.radar[frames].values.mean(axis=0, dtype=np.float64) * self.intervals.minutes / 60
        at = sampling.at(amount, self.where, "mean")
        gauge = stations.amounts(self.series, [end], self.intervals.minutes)[:, 0]
        return factors(gauge, at, amount.ravel(), self.layout, method).reshape(shape).astype(np.float32)


def _version(file: str) -> tuple[int, int]:
    """What changes when a file is written anew."""
    try:
        status = Path(file).stat()
    except OSError as bad:
        raise DataError(
            f"adjust gauges={file}: no such file; make one with `echocast stations FILE... --out {file}`"
        ) from bad
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _plan(sources: _Sources, version: tuple[int, int], x: bytes, y: bytes) -> _Plan:  # noqa: ARG001 (a new grid or file)
    return _Plan(sources)
