"""The sums of one bootstrap block: forecasts of its windows, and the statistics of every family of scores.

>>> sums_of_block(rain, {"persistence": Persistence()}, config, block).sums  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from echocast import fields
from echocast.evaluation import brier_climate, forecasts
from echocast.evaluation.brier_climate import BRIER_CLIMATE
from echocast.evaluation.by_mask import COMMON, MASKS, mask_sums
from echocast.evaluation.climate import Climate, ClimateOfCases
from echocast.evaluation.config import PROBABILITY, BootstrapBlock, VerificationConfig, masks
from echocast.evaluation.forecasts import ForecastSource
from echocast.evaluation.result import CASE_THRESHOLD, COVERAGE, BlockSums
from echocast.samples import windows
from echocast.verification import families
from echocast.verification.base import Sums, add


def sums_of_block(
    rain: xr.DataArray,
    sources: Mapping[str, ForecastSource],
    config: VerificationConfig,
    block: BootstrapBlock,
    climate: Climate | None = None,
) -> BlockSums:
    """All sums of one block.

    Args:
        rain: the archive's field.
        sources: by name.
        config: how to verify.
        block: which windows.
        climate: the frequencies that probabilities are compared with, too.
    """
    minutes = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    leads = config.lead_indices(time_step_minutes=minutes)
    ensembles = any(forecasts.members_of(source, config) for source in sources.values())
    chosen = config.chosen_families(ensembles=ensembles, climate=climate is not None)
    regions = masks(rain, config)
    size = forecasts.batch_size(rain, sources, config)
    total = BlockSums({}, {name: [] for name in sources}, [])
    for begin in range(0, len(block.starts), size):
        starts = np.array(block.starts[begin : begin + size])
        cases = windows.Windows(rain, starts, past=config.past, future=config.leads)
        observed, made = forecasts.forecasts_of(sources, cases, rain=rain, config=config)
        observed = observed[:, leads]
        made = {name: forecast[:, :, leads] for name, forecast in made.items()}
        valid = rain.time.values[starts[:, None] + config.past + np.array(leads)]
        add_batch(
            total,
            observed,
            made,
            chosen=chosen,
            regions=regions,
            thresholds=config.thresholds,
            mask=config.mask,
            climate=climate.at(valid) if climate else None,
        )
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
    mask: str = COMMON,
    climate: ClimateOfCases | None = None,
) -> None:
    """Score the forecasts (case, member, lead, y, x) of some windows.

    With the mask ``common`` each is scored on the pixels that all of them forecast: scores of the mean of an ensemble
    where any member does, scores of members where all members do. With ``own`` all observed pixels count, and what is
    not forecast is dry. With a climate the probabilities are also compared with its frequencies.
    """
    means = {name: _mean(forecast) for name, forecast in made.items()}
    if mask == COMMON:
        of_mean = [np.isfinite(mean) for mean in means.values()]
        of_members = [np.isfinite(forecast).all(axis=1) for forecast in made.values()]
        truths = [np.where(np.logical_and.reduce(known), observed, np.nan) for known in (of_mean, of_members)]
        scored, members = means, made
    else:
        truths = [observed, observed]
        scored, members = ({n: np.nan_to_num(f) for n, f in some.items()} for some in (means, made))
    for name in made:
        for region, inside in regions.items():
            masked = [truth if inside is None else np.where(inside, truth, np.nan) for truth in truths]
            for family in chosen:
                takes_members = families.takes_members(family)
                given, truth = (members if takes_members else scored)[name], masked[takes_members]
                for part in _parts(made[name]):
                    sums = families.load(family).statistics(given[part], truth[part], thresholds=thresholds)
                    _pool(total.sums, (name, region, family), sums)
                    if family == PROBABILITY and climate:
                        against = brier_climate.statistics(
                            given[part], truth[part], climate.of(part), thresholds=thresholds
                        )
                        _pool(total.sums, (name, region, BRIER_CLIMATE), against)
            _pool(total.sums, (name, region, COVERAGE), _coverage(means[name], observed, inside))
        total.case_scores[name] += _case_csi(scored[name], truths[0])
    for (name, which), sums in mask_sums(means, observed, thresholds=thresholds).items():
        _pool(total.sums, (name, which, MASKS), sums)


def _mean(forecast: np.ndarray) -> np.ndarray:
    """The mean of the members that are finite, (case, lead, y, x); NaN where none is."""
    if forecast.shape[1] == 1:
        return np.asarray(forecast[:, 0])
    known = np.isfinite(forecast)
    total = forecast.sum(axis=1) if known.all() else np.where(known, forecast, 0).sum(axis=1)
    count = known.sum(axis=1).astype(forecast.dtype)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan, total.dtype), where=count > 0))


def _coverage(forecast: np.ndarray, observed: np.ndarray, region: np.ndarray | None) -> Sums:
    """How many pixels were observed, and how many of these were forecast, by lead."""
    seen = np.isfinite(observed) if region is None else np.isfinite(observed) & region
    pixels = {"observed": seen, "forecast": seen & np.isfinite(forecast)}
    return {key: one.sum(axis=(0, 2, 3)).astype(float) for key, one in pixels.items()}


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
