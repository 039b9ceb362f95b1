"""What an ensemble forecast says: its mean, quantiles, and the chance of rain rates and amounts.

A forecast with members has the dims (member, lead, y, x). The chance of an event is the share of members that have it;
a pixel that not all members know is NaN everywhere here.

    >>> products(forecast).data_vars  # doctest: +SKIP
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from echocast import field as fields

RATES_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
AMOUNTS_MM = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SPANS_MIN = (30.0, 60.0, 90.0)

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
    known = np.isfinite(values).all(axis=0)
    grid = ("lead", "y", "x")
    about = {"grid_mapping": "crs"}
    chances = np.stack([np.where(known, (values >= rate).mean(axis=0), np.nan) for rate in rates])
    with np.errstate(invalid="ignore"):
        cut = np.quantile(np.where(known, values, 0.0), list(quantiles), axis=0)
    made = {
        "rainfall_rate_mean": (grid, _single(values.mean(axis=0)), about | _described("mean rain rate of the members")),
        "rainfall_rate_quantile": (
            ("quantile", *grid),
            _single(np.where(known, cut, np.nan)),
            about | _described("rain rate that this share of the members does not exceed"),
        ),
        "rainfall_rate_probability": (
            ("rate_threshold", *grid),
            _single(chances),
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
        fallen = np.stack([_amount(forecast, values, span) for span in fitting])
        over = np.stack([(fallen >= amount).mean(axis=1) for amount in amounts], axis=1)
        known_all = np.isfinite(fallen).all(axis=1)[:, None]
        made["rainfall_amount_probability"] = (
            ("span", "amount_threshold", "y", "x"),
            _single(np.where(known_all, over, np.nan)),
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


def _amount(forecast: xr.DataArray, values: np.ndarray, span: float) -> np.ndarray:
    """Millimetres from the issue time over a span, by member: each lead's rate holds for the step before it."""
    leads = forecast.lead.values
    steps = np.diff(leads, prepend=np.timedelta64(0, "ns")) / _HOUR
    inside = leads <= np.timedelta64(round(span * 60), "s")
    return np.asarray(np.tensordot(steps[inside], values[:, inside], axes=(0, 1)))


def _reaches(forecast: xr.DataArray, span: float) -> bool:
    """Whether a lead ends where the span does."""
    return bool(np.isclose(forecast.lead.values / _MINUTE, span).any())


def _described(long_name: str) -> dict[str, str]:
    return {"standard_name": "rainfall_rate", "long_name": long_name, "units": fields.UNITS}


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)
