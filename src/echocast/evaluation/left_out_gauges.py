"""Gauge adjustment judged by gauges that it did not see: each is left out in turn.

The other gauges adjust the radar's frames as the transform `adjust` of the archive does, at the cell of the gauge that
is left out; the adjusted rates are summed to the intervals that are scored and compared with that gauge. So the numbers
are those of a place without a gauge. They are the scores of `echocast verify`, with a bootstrap over UTC days.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import stations
from echocast.errors import MissingFrames
from echocast.evaluation.config import WHOLE_GRID, BootstrapBlock
from echocast.evaluation.result import BlockSums, VerificationResult
from echocast.evaluation.scoring import add_batch
from echocast.stations import intervals, layouts, sampling
from echocast.stations.adjusting import Layout, Method, factors

RADAR = "radar"
"""The name of the radar as it is."""
THRESHOLDS_MM_H = (0.5, 1.0, 2.0, 5.0)
_FRAMES_AT_ONCE = 288


def leave_one_out(
    rain: xr.DataArray,
    series: xr.DataArray,
    methods: Mapping[str, Method],
    *,
    minutes: float = 60.0,
    window: str = "same",
    site: str | None = None,
    scored_minutes: float = 60.0,
) -> VerificationResult:
    """Scores of the radar as it is and of each adjustment, at gauges that were left out.

    Args:
        rain: an archive's field, not adjusted.
        series: the gauges; flagged values are not used.
        methods: by the names they have in the result.
        minutes: of the interval that an adjustment learns from.
        window: as of the transform `adjust`.
        site: LONGITUDE,LATITUDE of the radar, for the adjustment by range.
        scored_minutes: of the amounts that are compared, on the clock of UTC.

    Returns:
        A result with one "lead time", 0, and a region for each gauge.

    Raises:
        MissingFrames: no interval is known by both.
        DataError: the minutes do not fit, or no gauge lies in the grid.
    """
    where = sampling.cells(rain, series)
    used, _ = stations.trusted(series[where.inside])
    nine = np.concatenate(
        [sampling.around(rain[first : first + _FRAMES_AT_ONCE].values, where)
         for first in range(0, rain.sizes["time"], _FRAMES_AT_ONCE)]
    )  # fmt: skip
    task = _Task(rain, used, where, nine, intervals.Intervals(rain, used, minutes, window), site)
    made = {RADAR: nine[..., 4]} | {name: nine[..., 4] * task.factors(method) for name, method in methods.items()}
    return _scored(rain, used, made, scored_minutes)


@dataclass(frozen=True)
class _Task:
    """Frames and gauges of one cross-validation; `nine` are the cells around each gauge, (time, station, cell)."""

    rain: xr.DataArray
    series: xr.DataArray
    where: sampling.Cells
    nine: np.ndarray
    intervals: intervals.Intervals
    site: str | None

    def factors(self, method: Method) -> np.ndarray:
        """The factor of each frame at each gauge, found without it, (time, station)."""
        found = np.ones(self.nine.shape[:2])
        ends = np.array([self.intervals.end(time) for time in self.rain.time.values])
        for end in np.unique(ends):
            frames = self.intervals.frames(end)
            if frames is not None:
                found[ends == end] = self._without_each(frames, end, method)
        return found

    def _without_each(self, frames: slice, end: np.datetime64, method: Method) -> np.ndarray:
        gauge = stations.amounts(self.series, [end], self.intervals.minutes)[:, 0]
        amounts = self.nine[frames].mean(axis=0, dtype=np.float64) * self.intervals.minutes / 60
        at, own = sampling.chosen(amounts, "mean"), amounts[:, 4]
        made = np.ones(len(own))
        if np.isfinite(gauge).sum() < 2 or not np.nanmax(gauge) > 0:
            return made
        for left_out, others, one in self._layouts():
            made[left_out] = factors(gauge[others], at[others], own[[left_out]], one, method)[0]
        return made

    def _layouts(self) -> Iterator[tuple[int, np.ndarray, Layout]]:
        """By gauge the others, and where they and its own cell lie."""
        whole = layouts.layout(self.rain, self.series, self.site)
        cells = self.where.rows * self.rain.sizes["x"] + self.where.columns
        for left_out, cell in enumerate(cells):
            others = np.flatnonzero(np.arange(len(cells)) != left_out)
            ranges = [None if one is None else one[chosen] for one, chosen in
                      ((whole.gauge_range_km, others), (whole.cell_range_km, [cell]))]  # fmt: skip
            yield left_out, others, Layout(whole.gauges_km[others], whole.cells_km[[cell]], *ranges)


def _scored(
    rain: xr.DataArray, series: xr.DataArray, made: Mapping[str, np.ndarray], minutes: float
) -> VerificationResult:
    clock = intervals.Intervals(rain, series, minutes, "same")
    ends = np.unique([clock.end(time) for time in rain.time.values])
    parts = [(end, frames) for end in ends if (frames := clock.frames(end)) is not None]
    truth = stations.amounts(series, [end for end, _ in parts], minutes).T * (60 / minutes)
    known = np.isfinite(truth).any(axis=1)
    if not known.any():
        raise MissingFrames("no interval is known by radar and gauges both; are they of the same days, in UTC?")
    means = {name: np.stack([rates[frames].mean(axis=0) for _, frames in parts]) for name, rates in made.items()}
    moments = np.array([end for end, _ in parts])
    days = (moments - np.timedelta64(1, "ns")).astype("datetime64[D]")
    blocks, sums = [], []
    for day in np.unique(days[known]):
        chosen = np.flatnonzero((days == day) & known)
        blocks.append(BootstrapBlock(str(day), tuple(chosen.tolist()), moments[chosen[0]]))
        sums.append(_sums(truth[chosen], {name: rates[chosen] for name, rates in means.items()}, series))
    return VerificationResult(
        tuple(blocks), tuple(sums), (0.0,), THRESHOLDS_MM_H,
        (WHOLE_GRID, *(str(name) for name in series.station.values)), moments[known][0], moments[known][-1],
    )  # fmt: skip


def _sums(truth: np.ndarray, made: Mapping[str, np.ndarray], series: xr.DataArray) -> BlockSums:
    total = BlockSums({}, {name: [] for name in made}, [(number, 0.0) for number in range(len(truth))])
    each = np.eye(truth.shape[1], dtype=bool)[:, None]
    add_batch(
        total,
        truth[:, None, None].astype(np.float32),
        {name: rates[:, None, None, None].astype(np.float32) for name, rates in made.items()},
        chosen=("contingency", "continuous"),
        regions={WHOLE_GRID: None, **{str(n): mask for n, mask in zip(series.station.values, each, strict=True)}},
        thresholds=THRESHOLDS_MM_H,
    )
    return total
