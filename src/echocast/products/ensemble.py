"""Products of an ensemble forecast of rain: mean, quantiles, and probabilities of rain rates and amounts.

The forecast has the dims (member, lead, y, x). A pixel that is unknown in any member is NaN in every product.

    >>> products(forecast).data_vars  # doctest: +SKIP
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.products.accumulations import accumulation, covers
from echocast.products.probabilities import probability_of_exceedance
from echocast.products.quantiles import quantiles_of_sorted

RATES_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
AMOUNTS_MM = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SPANS_MIN = (30.0, 60.0, 90.0)


@dataclass(frozen=True)
class Thresholds:
    """Of which rates (mm/h) and amounts (mm) probabilities are told, and over which spans (minutes)."""

    rates: tuple[float, ...] = RATES_MM_H
    amounts: tuple[float, ...] = AMOUNTS_MM
    spans: tuple[float, ...] = SPANS_MIN

    def also(self, rates: Iterable[float], amounts: Iterable[float], spans: Iterable[float]) -> "Thresholds":
        """These and others, ascending."""
        pairs = ((self.rates, rates), (self.amounts, amounts), (self.spans, spans))
        return Thresholds(*(tuple(sorted({*mine, *others})) for mine, others in pairs))


USUAL = Thresholds()
"""What is told unless more is asked for."""

_STRIP = 16_000
"""Pixels whose members are sorted at a time: they stay in the processor's cache."""


def mean(forecast: xr.DataArray) -> xr.DataArray:
    """The mean over members, (lead, y, x); a forecast without members as it is."""
    if "member" not in forecast.dims:
        return forecast
    made = forecast.mean("member", skipna=False).astype(np.float32)
    made.attrs = dict(forecast.attrs)
    return fields.check(made.drop_vars("member", errors="ignore"))


def products(
    forecast: xr.DataArray,
    *,
    rates: Sequence[float] = RATES_MM_H,
    amounts: Sequence[float] = AMOUNTS_MM,
    quantiles: Sequence[float] = QUANTILES,
    spans: Sequence[float] = SPANS_MIN,
) -> xr.Dataset:
    """Mean, quantiles and probabilities of exceedance of an ensemble.

    Args:
        forecast: rain rate in mm/h, (member, lead, y, x).
        rates: thresholds of rain rate in mm/h.
        amounts: thresholds of rain amount in mm.
        quantiles: shares of the members, from 0 to 1.
        spans: minutes from the issue time over which amounts are summed; those that no lead ends with are left out.

    Returns:
        ``rainfall_rate_mean(lead, y, x)``, ``rainfall_rate_quantile(quantile, lead, y, x)``,
        ``rainfall_rate_probability(rate_threshold, lead, y, x)`` and, if a span fits,
        ``rainfall_amount_probability(span, amount_threshold, y, x)``.
    """
    forecast = forecast.transpose("member", "lead", "y", "x")
    averages, values, shares = _of_rates(forecast.values, rates, quantiles)
    made = {
        "rainfall_rate_mean": (("lead", "y", "x"), averages, _rate("mean rain rate of the members")),
        "rainfall_rate_quantile": (
            ("quantile", "lead", "y", "x"),
            values,
            _rate("rain rate that this share of the members does not exceed"),
        ),
        "rainfall_rate_probability": (
            ("rate_threshold", "lead", "y", "x"),
            shares,
            _share("probability of a rain rate of at least rate_threshold"),
        ),
    }
    coords: dict[str, Any] = {
        "quantile": ("quantile", list(quantiles), {"long_name": "share of the members", "units": "1"}),
        "rate_threshold": ("rate_threshold", list(rates), _of_quantity("rain rate reached or exceeded")),
    }
    fitting = [span for span in spans if covers(forecast, span)]
    if fitting:
        over = _of_amounts(forecast, amounts, fitting)
        about = _share("probability of at least amount_threshold of rain from the issue time over span")
        made["rainfall_amount_probability"] = (("span", "amount_threshold", "y", "x"), over, about)
        issued = {"long_name": "time from the issue of the forecast", "units": "minutes"}
        reached = {"long_name": "amount of rain reached or exceeded", "units": "mm"}
        coords["span"] = ("span", fitting, issued)
        coords["amount_threshold"] = ("amount_threshold", list(amounts), reached)
    return xr.Dataset(made, coords=coords)


def _of_rates(
    members: np.ndarray, rates: Sequence[float], quantiles: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (lead, y, x), quantiles (quantile, lead, y, x) and probabilities (rate, lead, y, x)."""
    grid = members.shape[1:]
    averages = np.empty(grid, np.float32)
    values, shares = (np.empty((len(one), *grid), np.float32) for one in (quantiles, rates))
    height = max(1, _STRIP // grid[2])

    def fill(lead: int) -> None:
        for first in range(0, grid[1], height):
            here = (lead, slice(first, first + height))
            strip = np.ascontiguousarray(members[:, *here], np.float32)
            averages[here] = strip.mean(axis=0)
            shares[:, *here] = probability_of_exceedance(strip, rates)
            strip.sort(axis=0)
            values[:, *here] = quantiles_of_sorted(strip, quantiles)
            values[:, *here][:, np.isnan(averages[here])] = np.nan

    with ThreadPoolExecutor() as pool:  # NumPy lets other threads run while it sorts
        list(pool.map(fill, range(grid[0])))
    return averages, values, shares


def _of_amounts(forecast: xr.DataArray, amounts: Sequence[float], spans: Sequence[float]) -> np.ndarray:
    """Probabilities (span, amount, y, x), a few rows at a time."""
    height, width = forecast.shape[-2:]
    shares = np.empty((len(spans), len(amounts), height, width), np.float32)
    rows = max(1, _STRIP // width)

    def fill(first: int) -> None:
        here = slice(first, first + rows)
        for number, span in enumerate(spans):
            shares[number, :, here] = probability_of_exceedance(accumulation(forecast[:, :, here], span), amounts)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, height, rows)))
    return shares


def _of_quantity(long_name: str) -> dict[str, str]:
    return {"standard_name": "rainfall_rate", "long_name": long_name, "units": fields.UNITS}


def _rate(long_name: str) -> dict[str, str]:
    return {"grid_mapping": "crs"} | _of_quantity(long_name)


def _share(long_name: str) -> dict[str, str]:
    return {"grid_mapping": "crs", "long_name": long_name, "units": "1"}
