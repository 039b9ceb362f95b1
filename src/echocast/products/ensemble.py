"""What an ensemble forecast says: its mean, quantiles, and the chance of rain rates and amounts.

A forecast with members has the dims (member, lead, y, x). The chance of an event is the share of members that have it;
a pixel that not all members know is NaN everywhere here.

    >>> products(forecast).data_vars  # doctest: +SKIP
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from echocast import fields

RATES_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
AMOUNTS_MM = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SPANS_MIN = (30.0, 60.0, 90.0)
_STRIP = 16_000
"""Pixels of all members that are sorted at a time."""

_HOUR = np.timedelta64(1, "h")
_MINUTE = np.timedelta64(1, "m")


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
    """Mean, quantiles and chances of an ensemble.

    Args:
        forecast: rain rate in mm/h, (member, lead, y, x).
        rates: rain rates (mm/h) to be reached or exceeded.
        amounts: amounts (mm) to be reached or exceeded over a span.
        quantiles: shares of members at or below.
        spans: minutes from the issue time; those that the forecast does not reach are left out.

    Returns:
        ``rainfall_rate_mean(lead, y, x)``, ``rainfall_rate_quantile(quantile, lead, y, x)``,
        ``rainfall_rate_probability(rate_threshold, lead, y, x)`` and, if a span fits,
        ``rainfall_amount_probability(span, amount_threshold, y, x)``.
    """
    values = forecast.transpose("member", "lead", "y", "x").values
    grid = ("lead", "y", "x")
    about = {"grid_mapping": "crs"}
    averages, cuts, chances = _of_rates(values, rates, quantiles)
    made = {
        "rainfall_rate_mean": (grid, averages, about | _described("mean rain rate of the members")),
        "rainfall_rate_quantile": (
            ("quantile", *grid),
            cuts,
            about | _described("rain rate that this share of the members does not exceed"),
        ),
        "rainfall_rate_probability": (
            ("rate_threshold", *grid),
            chances,
            about | {"long_name": "probability of a rain rate of at least rate_threshold", "units": "1"},
        ),
    }
    coords: dict[str, object] = {
        "quantile": ("quantile", list(quantiles), {"long_name": "share of the members", "units": "1"}),
        "rate_threshold": (
            "rate_threshold",
            list(rates),
            {"standard_name": "rainfall_rate", "long_name": "rain rate reached or exceeded", "units": fields.UNITS},
        ),
    }
    fitting = [span for span in spans if _reaches(forecast, span)]
    if fitting:
        over = np.stack([_chances(_amount(forecast, values, span), amounts) for span in fitting])
        made["rainfall_amount_probability"] = (
            ("span", "amount_threshold", "y", "x"),
            over,
            about
            | {
                "long_name": "probability of at least amount_threshold of rain from the issue time over span",
                "units": "1",
            },
        )
        coords["span"] = ("span", fitting, {"long_name": "time from the issue of the forecast", "units": "minutes"})
        coords["amount_threshold"] = (
            "amount_threshold",
            list(amounts),
            {"long_name": "amount of rain reached or exceeded", "units": "mm"},
        )
    return xr.Dataset(made, coords=coords)


def _of_rates(
    values: np.ndarray, rates: Sequence[float], quantiles: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (lead, y, x), quantiles (quantile, lead, y, x) and chances (rate, lead, y, x)."""
    count, *grid = values.shape
    averages = np.empty(grid, np.float32)
    cuts, chances = (np.empty((len(one), *grid), np.float32) for one in (quantiles, rates))
    height = max(1, _STRIP // grid[2])

    def fill(lead: int) -> None:
        for first in range(0, grid[1], height):  # few rows at a time stay in the cache
            here = (lead, slice(first, first + height))
            part = np.ascontiguousarray(values[:, *here], np.float32)
            averages[here] = part.mean(axis=0)
            chances[:, *here] = _chances(part, rates)
            part.sort(axis=0)
            for cut, quantile in zip(cuts, quantiles, strict=True):
                below, rest = divmod(quantile * (count - 1), 1.0)
                low, high = part[int(below)], part[min(int(below) + 1, count - 1)]
                cut[here] = low + np.float32(rest) * (high - low)
            cuts[:, *here][:, np.isnan(averages[here])] = np.nan

    with ThreadPoolExecutor() as pool:  # NumPy lets other threads run while it sorts
        list(pool.map(fill, range(grid[0])))
    return averages, cuts, chances


def _chances(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """The share of members (the first axis) at each level or above; NaN where not all are known."""
    unknown = np.isnan(values.sum(axis=0))
    made = np.empty((len(levels), *values.shape[1:]), np.float32)
    for chance, level in zip(made, levels, strict=True):
        reached = (values >= np.float32(level)).view(np.uint8)
        np.divide(reached.sum(axis=0, dtype=np.min_scalar_type(len(values))), len(values), out=chance)
        chance[unknown] = np.nan
    return made


def _amount(forecast: xr.DataArray, values: np.ndarray, span: float) -> np.ndarray:
    """Millimetres (member, y, x) from the issue time over a span: each lead's rate holds for the step before it."""
    leads = forecast.lead.values
    steps = np.diff(leads, prepend=np.timedelta64(0, "ns")) / _HOUR
    fallen = np.zeros((len(values), *values.shape[2:]), np.float32)
    for lead in np.flatnonzero(leads <= np.timedelta64(round(span * 60), "s")):
        fallen += np.float32(steps[lead]) * values[:, lead]
    return fallen


def _reaches(forecast: xr.DataArray, span: float) -> bool:
    """Whether a lead ends where the span does."""
    return bool(np.isclose(forecast.lead.values / _MINUTE, span).any())


def _described(long_name: str) -> dict[str, str]:
    return {"standard_name": "rainfall_rate", "long_name": long_name, "units": fields.UNITS}
