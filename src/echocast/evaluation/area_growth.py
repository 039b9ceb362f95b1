"""How far areas of heavy rain grow within the lead times of a nowcast: the bounds of `lagrangian`, from an archive.

With a(t) the part of the observed cells that reach a rate at time t, over all pairs of a frame and one up to 90 minutes
later in the same unbroken stretch:

- new area = mean a(t + lead) of the pairs whose first frame has rain, but none of that rate; 0 without such pairs;
- growth = (a(t + lead) - new area) / a(t) of the pairs whose first frame has that rate: its quantile, each pair
  weighted by a(t), since the growth of a few cells has no end, and all rates together.

    >>> growth = area_growth(rain, rates_mm_h=(2.0, 5.0, 10.0))  # doctest: +SKIP
    >>> growth.max_area_growth, growth.new_area_fraction  # doctest: +SKIP
    (1.9, (0.0002, 0.0001))
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from echocast import fields
from echocast.errors import DataError, MissingFrames
from echocast.models import resolution
from echocast.samples import segments

MINUTES = 90.0
QUANTILE = 0.9
MIN_DAYS = 5
"""Days (UTC) with a rate, without which nothing is said of it."""
_RAIN_MM_H = 0.1
_CHUNK_PIXELS = 2e7


@dataclass(frozen=True)
class AreaGrowth:
    """What an archive says of areas of heavy rain.

    Args:
        rates_mm_h: rising; nothing is said of the first.
        max_area_growth: the quantile of growth, at least 1; NaN where no rate has enough days, or pairs.
        new_area_fraction: the new area of each rate but the first; NaN of one that does not have enough days.
        days: on how many each rate but the first was reached.
    """

    rates_mm_h: tuple[float, ...]
    max_area_growth: float
    new_area_fraction: tuple[float, ...]
    days: tuple[int, ...]


def area_growth(
    rain: xr.DataArray,
    *,
    rates_mm_h: Sequence[float],
    coarsen: int = 1,
    minutes: float = MINUTES,
    quantile: float = QUANTILE,
    on_frame: Callable[[int, int], None] = lambda *_: None,
) -> AreaGrowth:
    """Measure an archive's field.

    Args:
        rain: in mm/h, (time, y, x); read in parts.
        rates_mm_h: rising.
        coarsen: how many cells, along a side, make one that areas are counted in.
        minutes: the longest lead time.
        quantile: of growth, above 0 and below 1.
        on_frame: called with the number of frames read and in all.

    Raises:
        DataError: a quantile out of its range.
        MissingFrames: no two frames are within the lead times of each other.
    """
    if not 0.0 < quantile < 1.0:
        raise DataError(f"quantile {quantile:g} must be above 0 and below 1")
    steps = max(1, int(minutes // (fields.time_step(rain.time.values) / np.timedelta64(1, "m"))))
    areas = _areas(rain, [_RAIN_MM_H, *rates_mm_h[1:]], coarsen, on_frame)
    pairs = [_pairs(areas[part], steps) for part in segments.segments(rain)]
    before, after = (np.concatenate([np.zeros((0, areas.shape[1])), *(p[n] for p in pairs)]) for n in (0, 1))
    if not len(before):
        raise MissingFrames("the archive has no unbroken frames to see rain grow in; give one with longer stretches")
    days = rain.time.values.astype("datetime64[D]")
    found_days = [len(np.unique(days[areas[:, column] > 0])) for column in range(1, areas.shape[1])]
    new, ratios, weights = [], [], []
    for column, count in enumerate(found_days, start=1):
        a, b = before[:, column], after[:, column]
        none_yet = (before[:, 0] > 0) & (a == 0)
        new.append((float(b[none_yet].mean()) if none_yet.any() else 0.0) if count >= MIN_DAYS else math.nan)
        if count >= MIN_DAYS:
            ratios.append((b[a > 0] - new[-1]) / a[a > 0])
            weights.append(a[a > 0])
    none = np.zeros(0)
    growth = _quantile(np.concatenate([none, *ratios]), np.concatenate([none, *weights]), quantile)
    at_least = growth if math.isnan(growth) else max(1.0, growth)
    return AreaGrowth(tuple(rates_mm_h), at_least, tuple(new), tuple(found_days))


def _areas(
    rain: xr.DataArray, rates: Sequence[float], coarsen: int, on_frame: Callable[[int, int], None]
) -> Float[np.ndarray, "time rate"]:
    """The part of the observed cells that reach each rate; NaN of a frame that observed nothing."""
    size = max(1, int(_CHUNK_PIXELS // rain[0].size))
    found = []
    for begin in range(0, len(rain), size):
        on_frame(begin, len(rain))
        frames = torch.from_numpy(np.ascontiguousarray(rain[begin : begin + size].values))[None, :, None]
        cells = resolution.coarsen(frames, coarsen)[0, :, 0].numpy() if coarsen > 1 else frames[0, :, 0].numpy()
        observed = np.isfinite(cells).sum(axis=(1, 2))
        hit = np.stack([(cells >= rate).sum(axis=(1, 2)) for rate in rates], axis=1)
        found.append(np.where(observed[:, None] > 0, hit / np.maximum(observed, 1)[:, None], np.nan))
    on_frame(len(rain), len(rain))
    return np.concatenate(found)


def _pairs(areas: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The areas of the first and the second frame of all pairs up to so many steps apart."""
    leads = range(1, min(steps, len(areas) - 1) + 1)
    none = np.zeros((0, areas.shape[1]))
    before = np.concatenate([none, *(areas[:-lead] for lead in leads)])
    return before, np.concatenate([none, *(areas[lead:] for lead in leads)])


def _quantile(values: np.ndarray, weights: np.ndarray, quantile: float) -> float:
    """The value below which so much of the weight lies; NaN without any."""
    if not len(values):
        return math.nan
    order = values.argsort(kind="stable")
    below = weights[order].cumsum()
    return float(values[order][np.searchsorted(below, quantile * below[-1])])
