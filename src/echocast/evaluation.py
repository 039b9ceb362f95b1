"""Archive and forecasters become scores.

Every forecaster forecasts the same windows and is scored on the same pixels: those observed where each of them says
something. So none gains by keeping silent where it is hard; how much each says is its coverage. Sums are pooled over
cases before a ratio is formed.

    >>> field = archive.open(Path("radar.zarr"))  # doctest: +SKIP
    >>> result = evaluate(field, {"persistence": Persistence()})  # doctest: +SKIP
    >>> result.mean("csi", "persistence", 0.5)  # doctest: +SKIP
    0.31
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import field as fields
from echocast import plugins
from echocast.data import windows
from echocast.errors import MissingFrames
from echocast.models.base import Forecaster
from echocast.verification.base import THRESHOLDS_MM_H, Sums, add, ratio

_SCORES = "echocast.verification.scores"
_BATCH_PIXELS = 5e6
"""Forecast pixels at a time, for memory."""


@dataclass(frozen=True)
class Row:
    """One number of a report."""

    forecaster: str
    score: str
    threshold_mm_h: float | None
    lead_minutes: float
    value: float


@dataclass(frozen=True)
class Evaluation:
    """The pooled sums of some forecasters over the same cases.

    `values` holds by forecaster and score an array (lead,) or (lead, threshold).
    """

    values: Mapping[str, Mapping[str, np.ndarray]]
    lead_minutes: tuple[float, ...]
    thresholds: tuple[float, ...]
    cases: int
    first: np.datetime64
    last: np.datetime64

    def rows(self) -> Iterator[Row]:
        """Every number, tidy."""
        for forecaster, scores in self.values.items():
            for score, array in scores.items():
                for lead, value in zip(self.lead_minutes, array, strict=True):
                    columns = zip(self.thresholds, value, strict=True) if array.ndim == 2 else [(None, value)]
                    for threshold, number in columns:
                        yield Row(forecaster, score, threshold, lead, float(number))

    def mean(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> float:
        """A score's mean over leads, those left out where it is not defined; NaN if it is nowhere."""
        array = self.values[forecaster][score]
        column = array if threshold_mm_h is None else array[:, self.thresholds.index(threshold_mm_h)]
        defined = column[np.isfinite(column)]
        return float(defined.mean()) if defined.size else math.nan


def evaluate(
    field: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    *,
    runs: Sequence[slice] | None = None,
    past: int = 10,
    leads: int = 18,
    stride: int = 6,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
    on_batch: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Score forecasters on the windows of a field.

    Args:
        field: an archive's field; read a batch of windows at a time.
        forecasters: by the name they have in the report.
        runs: the stretches of frames to use; all unbroken ones by default.
        past: frames before each forecast.
        leads: steps to forecast and score.
        stride: frames between the starts of neighbouring cases.
        thresholds: rain rates (mm/h) of the contingency scores.
        on_batch: called with the number of cases done and in all.

    Raises:
        MissingFrames: no run is long enough, or a forecaster does not know the field's time step.
    """
    starts = windows.starts(windows.runs(field) if runs is None else runs, past, leads, stride)
    if not len(starts):
        raise MissingFrames(f"no unbroken run holds {past} + {leads} frames; give a longer archive or fewer --minutes")
    step = float(fields.step(field.time.values) / np.timedelta64(1, "m"))
    for forecaster in forecasters.values():
        forecaster.require(past, step)
    pooled: dict[str, dict[str, Sums]] = {}
    batch = max(1, int(_BATCH_PIXELS // (field[0].size * leads)))
    for begin in range(0, len(starts), batch):
        on_batch(begin, len(starts))
        cases = windows.Windows(field, starts[begin : begin + batch], past=past, future=leads)
        _pool(pooled, _batch_sums(cases, forecasters, fields.grid_km(field), thresholds))
    on_batch(len(starts), len(starts))
    return Evaluation(
        values={name: _values(sums) for name, sums in pooled.items()},
        lead_minutes=tuple(step * (1 + number) for number in range(leads)),
        thresholds=tuple(float(t) for t in thresholds),
        cases=len(starts),
        first=field.time.values[starts[0]],
        last=field.time.values[starts[-1] + past + leads - 1],
    )


def _batch_sums(
    cases: windows.Windows, forecasters: Mapping[str, Forecaster], grid_km: float, thresholds: Sequence[float]
) -> dict[str, dict[str, Sums]]:
    """The sums of one batch of windows, by forecaster and score."""
    frames = windows.stack(cases)
    past, observed = frames[:, : cases.past], frames[:, cases.past :, 0].numpy()
    made = {
        name: forecaster.forecast(past, observed.shape[1], grid_km=grid_km)[:, :, 0].numpy()
        for name, forecaster in forecasters.items()
    }
    spoken = np.all([np.isfinite(forecast) for forecast in made.values()], axis=0)
    common = np.where(spoken, observed, np.nan)
    sums = {}
    for name, forecast in made.items():
        sums[name] = {score: _score(score).statistics(forecast, common, thresholds=thresholds) for score in scores()}
        sums[name]["coverage"] = {
            "observed": np.isfinite(observed).sum(axis=(0, 2, 3)).astype(float),
            "said": (np.isfinite(forecast) & np.isfinite(observed)).sum(axis=(0, 2, 3)).astype(float),
        }
    return sums


def scores() -> list[str]:
    """The names of the scores' modules."""
    return plugins.names(_SCORES)


def _score(name: str) -> "plugins.ModuleType":
    return plugins.load(_SCORES, name)


def _pool(pooled: dict[str, dict[str, Sums]], batch: dict[str, dict[str, Sums]]) -> None:
    for name, by_score in batch.items():
        known = pooled.setdefault(name, {})
        for score, sums in by_score.items():
            known[score] = add(known[score], sums) if score in known else sums


def _values(by_score: dict[str, Sums]) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    for score in scores():
        values |= _score(score).values(by_score[score])
    return values | {"coverage": ratio(by_score["coverage"]["said"], by_score["coverage"]["observed"])}
