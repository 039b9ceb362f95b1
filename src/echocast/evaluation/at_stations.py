"""Forecasts, and the radar itself, against what rain gauges measured.

A gauge says how much fell in an interval, so a forecast is made the same: the mean of its rates over the interval that
ends at a lead time, against the gauge's amount in exactly that interval as a mean rate (mm/h). The rate of a frame or
lead holds for the time step before it. The radar, at the same valid times, is one of the forecasters, named ``radar``:
what lies between it and a forecast is the forecast's error, what lies between it and the gauges is the radar's. All are
scored on the same cases, lead times and stations, by the same scores, with the same bootstrap blocks as on the grid.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from echocast import fields, parallel, stations
from echocast.errors import DataError, MissingFrames
from echocast.evaluation import forecasts
from echocast.evaluation.config import WHOLE_GRID, BootstrapBlock, VerificationConfig, bootstrap_blocks
from echocast.evaluation.forecasts import ForecastSource
from echocast.evaluation.result import BlockSums, VerificationResult
from echocast.evaluation.runner import check_sources, with_files
from echocast.evaluation.scoring import add_batch
from echocast.samples import windows
from echocast.stations import sampling
from echocast.verification import families

log = logging.getLogger(__name__)

RADAR = "radar"
"""The name of the radar among the forecasters."""
FAMILIES = ("contingency", "continuous")
ENSEMBLE_FAMILIES = ("crps", "ensemble", "probability")
OF_GRIDS = ("fractions", "hko7", "images", "intensity_scale", "sal", "shi2015", "spectra")
"""Families of scores that look at a whole frame, and mean nothing at stations."""
LEAST_MINUTES = 15.0
"""Amounts over less time are dominated by the steps of the gauges (0.1 or 0.2 mm)."""
_LONGEST_SHIFT_MIN = 14 * 60.0
_CLOCK_ERROR_MIN = 30.0
_CLOCK_GAIN = 0.1
"""A clock is called wrong if the correlation grows by as much when it is moved."""
_LEAST_PAIRS = 30
_MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True)
class StationResult:
    """What a verification at stations found.

    Args:
        by_way: by how the grid is taken at a station (`echocast.stations.sampling.WAYS`), the scores; its regions are
            the stations.
        series: the stations that lie in the grid, with their flags.
        minutes: of the intervals.
        ends: the ends of all intervals of the archive.
        gauge: (station, end), mean rate in mm/h.
        radar: the same of the radar, by way.
        left_out: flagged values that were not used.
        outside: stations outside the grid.
        on_edge: stations whose 3 x 3 cells are cut by the edge of the grid.
        shifts: by minutes that the gauges' times are moved back, their correlation with the radar.
    """

    by_way: Mapping[str, VerificationResult]
    series: xr.DataArray
    minutes: float
    ends: np.ndarray
    gauge: np.ndarray
    radar: Mapping[str, np.ndarray]
    left_out: int
    outside: tuple[str, ...]
    on_edge: tuple[str, ...]
    shifts: Mapping[float, float]


def common_minutes(rain: xr.DataArray, series: xr.DataArray) -> float:
    """The shortest interval of at least `LEAST_MINUTES` that both the frames and the gauges fill exactly.

    Raises:
        DataError: one that is shorter than a day does not exist.
    """
    step = float(fields.time_step(rain.time.values) / _MINUTE)
    own = stations.interval_minutes(series)
    for count in range(1, round(1440 / step) + 1):
        minutes = count * step
        if minutes >= LEAST_MINUTES and math.isclose(minutes / own, round(minutes / own), abs_tol=1e-6):
            return minutes
    raise DataError(f"frames every {step:g} min and gauges over {own:g} min fill no common interval")


def evaluate_at_stations(
    rain: xr.DataArray,
    sources: Mapping[str, ForecastSource],
    series: xr.DataArray,
    config: VerificationConfig,
    *,
    minutes: float | None = None,
    use_flagged: bool = False,
    segments: Sequence[slice] | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> StationResult:
    """Score forecasters and the radar at stations, in this process.

    Args:
        rain: an archive's field.
        sources: by the name they have in the report.
        series: of ``rainfall_amount``, in any interval that fills `minutes`.
        config: how to verify; its regions are not used.
        minutes: of the intervals; `common_minutes` by default.
        use_flagged: use values that quality control flagged.
        segments: the slices of frames to use; all unbroken ones by default.
        on_case: called with the number of cases done and in all.

    Raises:
        MissingFrames: no case has a gauge's interval in it.
        DataError: the intervals do not fit the frames or the gauges, or a name is taken.
        GridMismatch: no place lies in the grid.
    """
    stations.check(series, quantity="rainfall_amount")
    _check_names(sources, series, config)
    where = sampling.cells(rain, series)
    if where.on_edge:
        log.warning("stations on the edge of the grid have fewer than 3 x 3 cells: %s", ", ".join(where.on_edge))
    series = series[where.inside]
    used, left_out = (series, 0) if use_flagged else stations.trusted(series)
    length = minutes or common_minutes(rain, series)
    frames = _frames_in(length, rain)
    gauge = stations.amounts(used, rain.time.values, length) * (60 / length)
    how = _with_leads(config, frames, rain)
    blocks = _blocks(rain, sources, how, gauge, segments)
    check_sources(rain, sources, how)
    made = _Sums(rain, sources, how, where, gauge, frames)
    total, done, sums = sum(len(block.starts) for block in blocks), 0, []
    for block in blocks:
        on_case(done, total)
        sums.append(made.of_block(block))
        done += len(block.starts)
    on_case(done, total)
    alike = forecasts.dependent(sources, how)
    results = {
        way: replace(_result(rain, how, blocks, [one[way] for one in sums], where), dependent=alike)
        for way in sampling.WAYS
    }
    nine = _window_means(_archive_around(rain, where), frames)
    radar = {way: sampling.chosen(nine, way, gauge.T.astype(np.float32)).T for way in sampling.WAYS}
    return StationResult(
        by_way=results,
        series=series,
        minutes=length,
        ends=rain.time.values,
        gauge=gauge,
        radar=radar,
        left_out=left_out,
        outside=where.outside,
        on_edge=where.on_edge,
        shifts=_checked_clock(radar["mean"], used, rain.time.values, length),
    )


def _checked_clock(radar: np.ndarray, series: xr.DataArray, ends: np.ndarray, minutes: float) -> dict[float, float]:
    """The correlation of radar and gauges by how far the gauges' times are moved; the log tells of a wrong clock."""
    most = round(_LONGEST_SHIFT_MIN / minutes)
    found = {}
    for shift in range(-most, most + 1):
        moved = ends + np.timedelta64(round(shift * minutes * 60), "s")
        found[shift * minutes] = _correlation(radar, stations.amounts(series, moved, minutes))
    known = {shift: value for shift, value in found.items() if math.isfinite(value)}
    best = max(known, key=lambda shift: known[shift], default=0.0)
    if abs(best) >= _CLOCK_ERROR_MIN and known[best] > known.get(0.0, 0.0) + _CLOCK_GAIN:
        log.warning(
            "radar and gauges agree best (correlation %.2f, now %.2f) if the gauges' times are moved by %+g min: is"
            " their clock UTC, and does each time mark the end of its interval?",
            known[best],
            known.get(0.0, math.nan),
            -best,
        )
    return found


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's of the square roots, which no single shower dominates; NaN of fewer than 30 pairs."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < _LEAST_PAIRS:
        return math.nan
    a, b = np.sqrt(np.maximum(one[known], 0.0)), np.sqrt(np.maximum(other[known], 0.0))
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else math.nan


def families_at_stations() -> list[str]:
    """The families of scores that stations can have."""
    return [name for name in families.names() if name not in OF_GRIDS]


def _check_names(sources: Mapping[str, ForecastSource], series: xr.DataArray, config: VerificationConfig) -> None:
    of_grids = [name for name in config.scores or () if name in OF_GRIDS]
    if of_grids:
        raise DataError(
            f"the scores {', '.join(of_grids)} look at whole frames and mean nothing at stations; those of stations"
            f" are: {', '.join(families_at_stations())}"
        )
    if RADAR in sources:
        raise DataError(f"a forecaster is called {RADAR!r}, as the radar itself is; give it another name")
    if WHOLE_GRID in series.station.values:
        raise DataError(f"a station is called {WHOLE_GRID!r}, as all of them together are; rename it")


def _frames_in(minutes: float, rain: xr.DataArray) -> int:
    """How many frames an interval has."""
    step = float(fields.time_step(rain.time.values) / _MINUTE)
    count = round(minutes / step)
    if count < 1 or not math.isclose(count * step, minutes):
        raise DataError(f"intervals of {minutes:g} min are no whole number of frames, one every {step:g} min")
    return count


def _with_leads(config: VerificationConfig, frames: int, rain: xr.DataArray) -> VerificationConfig:
    """The configuration with the lead times that end an interval, and scores that need no grid."""
    step = float(fields.time_step(rain.time.values) / _MINUTE)
    ends = [step * lead for lead in range(frames, config.leads + 1, frames)]
    if not ends:
        raise DataError(
            f"forecasts of {config.leads * step:g} min are shorter than an interval of {frames * step:g} min; give more"
            " --minutes"
        )
    wanted = tuple(lead for lead in config.lead_minutes if lead in ends)
    if config.lead_minutes and len(wanted) < len(set(config.lead_minutes)):
        raise DataError(
            f"lead times at stations are the ends of intervals: {', '.join(f'{e:g}' for e in ends)} min; give --leads"
            " of these"
        )
    return replace(config, lead_minutes=wanted or tuple(ends), regions={})


def _blocks(
    rain: xr.DataArray,
    sources: Mapping[str, ForecastSource],
    config: VerificationConfig,
    gauge: np.ndarray,
    segments: Sequence[slice] | None,
) -> list[BootstrapBlock]:
    """The blocks of cases in which a gauge's interval ends at a lead time, at least a stride apart."""
    known = np.isfinite(gauge).any(axis=0)
    step = float(fields.time_step(rain.time.values) / _MINUTE)
    leads = np.array(config.lead_indices(time_step_minutes=step)) + 1
    found, last = [], -config.stride
    for block in with_files(bootstrap_blocks(rain, replace(config, stride=1), segments), rain, sources, config):
        starts = []
        for start in block.starts:
            if start - last >= config.stride and known[start + config.past - 1 + leads].any():
                starts.append(start)
                last = start
        if starts:
            issued = rain.time.values[starts[0] + config.past - 1]
            found.append(BootstrapBlock(block.name, tuple(starts), issued))
    if not found:
        raise MissingFrames(
            "no interval of a gauge ends at a lead time of a forecast: the frames are from"
            f" {fields.format_time(rain.time.values[0])} to {fields.format_time(rain.time.values[-1])} UTC; are the"
            " gauges of the same days, in UTC, and on the clock of the frames?"
        )
    return found


def _window_means(values: np.ndarray, frames: int, axis: int = 0) -> np.ndarray:
    """The mean over so many frames up to each one; NaN where one of them is, and for the first ones."""
    moved = np.moveaxis(values, axis, 0)
    made = np.full(moved.shape, np.nan, np.float32)
    if len(moved) >= frames:
        shifted = [moved[frames - 1 - lag : len(moved) - lag] for lag in range(frames)]
        made[frames - 1 :] = np.mean(shifted, axis=0, dtype=np.float64)
    return np.moveaxis(made, 0, axis)


def _archive_around(rain: xr.DataArray, where: sampling.Cells, at_once: int = 288) -> np.ndarray:
    """The nine cells around each station in all frames, (time, station, cell)."""
    parts = [rain[first : first + at_once].values for first in range(0, rain.sizes["time"], at_once)]
    return np.concatenate([sampling.around(part, where) for part in parts])


@dataclass(frozen=True)
class _Sums:
    """Makes the sums of blocks."""

    rain: xr.DataArray
    sources: Mapping[str, ForecastSource]
    config: VerificationConfig
    where: sampling.Cells
    gauge: np.ndarray
    frames: int

    def of_block(self, block: BootstrapBlock) -> dict[str, BlockSums]:
        """The sums of one block, by way."""
        total = {way: BlockSums({}, {name: [] for name in (RADAR, *self.sources)}, []) for way in sampling.WAYS}
        size = forecasts.batch_size(self.rain, self.sources, self.config)
        for begin in range(0, len(block.starts), size):
            starts = np.array(block.starts[begin : begin + size])
            self._add(total, starts)
        return total

    def _add(self, total: dict[str, BlockSums], starts: np.ndarray) -> None:
        past, leads = self.config.past, self.config.leads
        cases = windows.Windows(self.rain, starts, past=past, future=leads, in_memory=True)
        observed, made = forecasts.forecasts_of(self.sources, cases, rain=self.rain, config=self.config)
        nine = {name: self._means(grid) for name, grid in {RADAR: observed[:, None], **made}.items()}
        truth = self._truth(starts)
        ensembles = any(grid.shape[1] > 1 for grid in nine.values())
        wet = [(int(start), float((one >= 0.5).mean())) for start, one in zip(starts, truth, strict=True)]
        for way, sums in total.items():
            given = {name: sampling.chosen(one, way, truth[:, None])[..., None, :] for name, one in nine.items()}
            with parallel.thread_limit(1):  # of a few values each: threads would cost more than they give
                add_batch(
                    sums,
                    truth[:, :, None],
                    given,
                    chosen=self._families(way, ensembles=ensembles),
                    regions=self._stations(),
                    thresholds=self.config.thresholds,
                    mask=self.config.mask,
                )
            sums.cases += wet

    def _means(self, grid: np.ndarray) -> np.ndarray:
        """Mean rates over the intervals that end at the lead times, (case, member, lead, station, cell)."""
        step = float(fields.time_step(self.rain.time.values) / _MINUTE)
        leads = self.config.lead_indices(time_step_minutes=step)
        return _window_means(sampling.around(grid, self.where), self.frames, axis=2)[:, :, leads]

    def _truth(self, starts: np.ndarray) -> np.ndarray:
        """What the gauges measured, (case, lead, station)."""
        step = float(fields.time_step(self.rain.time.values) / _MINUTE)
        leads = np.array(self.config.lead_indices(time_step_minutes=step))
        return np.asarray(self.gauge.T[starts[:, None] + self.config.past + leads], np.float32)

    def _families(self, way: str, *, ensembles: bool) -> list[str]:
        """The families of scores; members are not scored by their best cell, which would be no forecast."""
        wanted = self.config.scores or FAMILIES + (ENSEMBLE_FAMILIES if ensembles else ())
        all_of_them = list(dict.fromkeys(["contingency", *wanted]))
        return [one for one in all_of_them if way != "best" or not families.takes_members(one)]

    def _stations(self) -> dict[str, np.ndarray | None]:
        """All stations, and each by itself, as the regions of a grid of one row."""
        each = np.eye(len(self.where.stations), dtype=bool)[:, None]
        return {WHOLE_GRID: None, **dict(zip(self.where.stations, each, strict=True))}


def _result(
    rain: xr.DataArray,
    config: VerificationConfig,
    blocks: list[BootstrapBlock],
    sums: list[BlockSums],
    where: sampling.Cells,
) -> VerificationResult:
    step = float(fields.time_step(rain.time.values) / _MINUTE)
    last = max(max(block.starts) for block in blocks) + config.past + config.leads - 1
    return VerificationResult(
        blocks=tuple(blocks),
        sums=tuple(sums),
        lead_minutes=tuple(step * (1 + index) for index in config.lead_indices(time_step_minutes=step)),
        thresholds=tuple(float(t) for t in config.thresholds),
        regions=(WHOLE_GRID, *where.stations),
        first=rain.time.values[min(block.starts[0] for block in blocks)],
        last=rain.time.values[last],
        mask=config.mask,
    )
