"""The sums of one bootstrap block: forecasts of its windows, and the statistics of every family of scores.

>>> sums_of_block(rain, {"persistence": Persistence()}, config, block).sums  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from echocast import fields
from echocast.evaluation import forecasts
from echocast.evaluation.config import BootstrapBlock, VerificationConfig, masks
from echocast.evaluation.forecasts import ForecastSource
from echocast.evaluation.result import CASE_THRESHOLD, COVERAGE, BlockSums
from echocast.samples import windows
from echocast.verification import families
from echocast.verification.base import Sums, add


def sums_of_block(
    rain: xr.DataArray, sources: Mapping[str, ForecastSource], config: VerificationConfig, block: BootstrapBlock
) -> BlockSums:
    """All sums of one block.

    Args:
        rain: the archive's field.
        sources: by name.
        config: how to verify.
        block: which windows.
    """
    minutes = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    leads = config.lead_indices(time_step_minutes=minutes)
    chosen = config.chosen_families(ensembles=any(forecasts.members_of(s, config) for s in sources.values()))
    regions = masks(rain, config)
    size = forecasts.batch_size(rain, sources, config)
    total = BlockSums({}, {name: [] for name in sources}, [])
    for begin in range(0, len(block.starts), size):
        starts = np.array(block.starts[begin : begin + size])
        cases = windows.Windows(rain, starts, past=config.past, future=config.leads)
        observed, made = forecasts.forecasts_of(sources, cases, rain=rain, config=config)
        observed = observed[:, leads]
        made = {name: forecast[:, :, leads] for name, forecast in made.items()}
        add_batch(total, observed, made, chosen=chosen, regions=regions, thresholds=config.thresholds)
        total.cases += [(int(start), wet) for start, wet in zip(starts, _wet_fraction(observed), strict=True)]
    return total


def add_batch(
    total: BlockSums,
    observed: np.ndarray,
    made: Mapping[str, np.ndarray],
    *,
    chosen: Sequence[str],
    regions: Mapping[str, np.ndarray | None],
    thresholds: Sequence[float],
) -> None:
    """Score the forecasts (case, member, lead, y, x) of some windows, each on the pixels that all of them forecast."""
    valid = np.isfinite(observed)
    forecast_valid = {name: np.isfinite(forecast).all(axis=1) for name, forecast in made.items()}
    common = np.where(np.logical_and.reduce(list(forecast_valid.values())), observed, np.nan)
    for name, forecast in made.items():
        mean = forecast[:, 0] if forecast.shape[1] == 1 else forecast.mean(axis=1)
        for region, mask in regions.items():
            truth = common if mask is None else np.where(mask, common, np.nan)
            for family in chosen:
                given = forecast if families.takes_members(family) else mean
                for part in _parts(forecast):
                    sums = families.load(family).statistics(given[part], truth[part], thresholds=thresholds)
                    _pool(total.sums, (name, region, family), sums)
            inside = valid if mask is None else valid & mask
            coverage = {"observed": inside, "forecast": forecast_valid[name] & inside}
            counts = {key: pixels.sum(axis=(0, 2, 3)).astype(float) for key, pixels in coverage.items()}
            _pool(total.sums, (name, region, COVERAGE), counts)
        total.case_scores[name] += _case_csi(mean, common)


def _parts(forecast: np.ndarray) -> list[slice]:
    """How to add up cases: all of a batch at a time, which is fast, and of an ensemble one by one.

    Sums of floating-point numbers depend on their order in the last digit. How many cases a batch has depends on the
    other sources, and no digit of an ensemble's score is to depend on those.
    """
    cases, members = forecast.shape[:2]
    return [slice(None)] if members == 1 else [slice(case, case + 1) for case in range(cases)]


def _case_csi(forecast: np.ndarray, observed: np.ndarray) -> list[float]:
    """The CSI of each case over all its leads, by which the report picks the cases that it shows."""
    forecast_event = (forecast >= CASE_THRESHOLD) & np.isfinite(observed)
    event = observed >= CASE_THRESHOLD
    hits = (forecast_event & event).sum(axis=(1, 2, 3))
    either = (forecast_event | event).sum(axis=(1, 2, 3))
    return [float(h / e) if e else float("nan") for h, e in zip(hits, either, strict=True)]


def _wet_fraction(observed: np.ndarray) -> list[float]:
    """Of the observed pixels of each case, those with rain."""
    valid = np.isfinite(observed)
    wet = ((observed >= CASE_THRESHOLD) & valid).sum(axis=(1, 2, 3)) / np.maximum(valid.sum(axis=(1, 2, 3)), 1)
    return [float(fraction) for fraction in wet]


def _pool(pooled: dict[tuple[str, str, str], Sums], key: tuple[str, str, str], sums: Sums) -> None:
    pooled[key] = add(pooled[key], sums) if key in pooled else sums
