"""A forecast of rain at places or over areas, as series of lead times.

A series is made of what each member says there, so that an area's maximum or sum is that of one possible future, and a
probability is a share of such futures.

    >>> at_cells(forecast, ["Kew"], np.array([3]), np.array([7]))  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from echocast import fields
from echocast.errors import DataError
from echocast.fields.amounts import for_amounts
from echocast.products.probabilities import probability_of_exceedance
from echocast.products.quantiles import quantiles_of_sorted

_LEAST_OBSERVED = 0.5
"""A mean or maximum over an area of which less is known is unknown."""
_RATE = {"units": "mm h-1"}
_AMOUNT = {"units": "mm"}


def at_cells(
    forecast: xr.DataArray,
    names: Sequence[str],
    rows: Int[np.ndarray, "place"],
    columns: Int[np.ndarray, "place"],
) -> xr.Dataset:
    """The forecast in single cells.

    Args:
        forecast: rain rate in mm/h, (lead, y, x) or (member, lead, y, x); amounts are those of the expected rain, if
            it carries that.
        names: of the places.
        rows: of their cells.
        columns: likewise.

    Returns:
        ``rain_rate`` and ``amount`` (since the issue), each (member, place, lead); NaN where the forecast is.

    Raises:
        WrongUnits: it is no forecast of rain.
    """
    rates = _members(forecast)[:, :, rows, columns].transpose(0, 2, 1)
    described = {"rain_rate": "rain rate at the place"}
    summed = _members(for_amounts(forecast))[:, :, rows, columns].transpose(0, 2, 1)
    return _dataset(forecast, names, {"rain_rate": rates, "amount": _amounts(summed, forecast)}, described)


def over_areas(
    forecast: xr.DataArray,
    cells: Mapping[str, tuple[Int[np.ndarray, "cell"], Int[np.ndarray, "cell"], float]],
) -> xr.Dataset:
    """The forecast over areas.

    Args:
        forecast: rain rate in mm/h, (lead, y, x) or (member, lead, y, x); mean and amount are those of the expected
            rain, if it carries that.
        cells: by the name of an area the rows and columns of its cells, and the share of it that lies beyond the grid.

    Returns:
        ``rain_rate`` (the mean over the area), ``maximum`` (of its cells) and ``amount`` (the area's mean since the
        issue), each (member, place, lead), and ``known(place, lead)``, the share of the area that the forecast knows in
        every member. Where it is less than half the others are NaN.

    Raises:
        WrongUnits: it is no forecast of rain.
    """
    rates, summed = _members(forecast), _members(for_amounts(forecast))
    shape = rates.shape[0], len(cells), rates.shape[1]
    mean, highest = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    known = np.zeros(shape[1:], np.float32)
    for number, (rows, columns, outside) in enumerate(cells.values()):
        if not len(rows):
            continue
        inside = rates[:, :, rows, columns]
        seen = np.isfinite(inside).all(axis=0)
        known[number] = seen.mean(axis=-1) * (1 - outside)
        enough = known[number] >= _LEAST_OBSERVED
        count = np.maximum(seen.sum(axis=-1), 1)
        total = np.where(seen, summed[:, :, rows, columns], 0.0).sum(axis=-1, dtype=np.float64)
        mean[:, number] = np.where(enough, total / count, np.nan)
        highest[:, number] = np.where(enough, np.where(seen, inside, -np.inf).max(axis=-1), np.nan)
    described = {"rain_rate": "mean rain rate over the area", "maximum": "highest rain rate in the area"}
    values = {"rain_rate": mean, "maximum": highest, "amount": _amounts(mean, forecast)}
    made = _dataset(forecast, list(cells), values, described)
    share = {"long_name": "share of the area that the forecast knows", "units": "1"}
    return made.assign(known=(("place", "lead"), known, share))


def summary(
    series: xr.Dataset, *, quantiles: Sequence[float], rates: Sequence[float], amounts: Sequence[float]
) -> xr.Dataset:
    """What the members say together: mean and quantiles of each variable, and probabilities of exceedance.

    Args:
        series: of `at_cells` or `over_areas`.
        quantiles: shares of the members, from 0 to 1.
        rates: thresholds (mm/h) of ``rain_rate`` and ``maximum``.
        amounts: thresholds (mm) of ``amount``.

    Returns:
        For each variable V of the series ``V`` (the mean over members, or the value of the only one), ``V_quantile``
        and ``V_probability``; the last two only of an ensemble.
    """
    made: dict[str, Any] = {}
    ensemble = series.sizes["member"] > 1
    for name, variable in series.data_vars.items():
        if "member" not in variable.dims:
            made[str(name)] = variable
            continue
        values = variable.values
        about = dict(variable.attrs)
        made[str(name)] = (("place", "lead"), values.mean(axis=0), about)
        if not ensemble:
            continue
        by_share = quantiles_of_sorted(np.sort(values, axis=0), quantiles)
        by_share[:, np.isnan(values).any(axis=0)] = np.nan
        made[f"{name}_quantile"] = (("quantile", "place", "lead"), by_share, about)
        limits, axis = (amounts, "amount_threshold") if name == "amount" else (rates, "rate_threshold")
        share = {"long_name": f"probability of at least {axis}: {about['long_name']}", "units": "1"}
        made[f"{name}_probability"] = ((axis, "place", "lead"), probability_of_exceedance(values, limits), share)
    coords: dict[str, Any] = {str(name): one for name, one in series.drop_vars("member").coords.items()}
    if ensemble:
        coords["quantile"] = ("quantile", list(quantiles), {"long_name": "share of the members", "units": "1"})
        coords["rate_threshold"] = ("rate_threshold", list(rates), {"long_name": "rain rate", **_RATE})
        coords["amount_threshold"] = ("amount_threshold", list(amounts), {"long_name": "rain amount", **_AMOUNT})
    return xr.Dataset(made, coords, series.attrs)


def _members(forecast: xr.DataArray) -> Float[np.ndarray, "member lead y x"]:
    fields.check(forecast, quantity=fields.NAME)
    if "lead" not in forecast.dims:
        raise DataError("this field is observed, not forecast; give a forecast, as `echocast nowcast` writes")
    return forecast.values if "member" in forecast.dims else forecast.values[None]


def _amounts(rates: np.ndarray, forecast: xr.DataArray) -> np.ndarray:
    """The amount since the issue by the end of each lead; unknown from the first unknown lead on."""
    hours = np.diff(forecast.lead.values, prepend=np.timedelta64(0, "ns")) / np.timedelta64(1, "h")
    return np.cumsum(rates * hours, axis=-1, dtype=np.float64).astype(np.float32)


def _dataset(
    forecast: xr.DataArray, names: Sequence[str], values: Mapping[str, np.ndarray], described: Mapping[str, str]
) -> xr.Dataset:
    about = {name: {"long_name": text, **_RATE} for name, text in described.items()}
    about["amount"] = {"long_name": "rain amount since the issue of the forecast", **_AMOUNT}
    coords: dict[str, Any] = {
        "place": ("place", np.asarray(names, object), {"long_name": "name of the place"}),
        "lead": ("lead", forecast.lead.values),
        "member": np.arange(len(next(iter(values.values())))),
        "forecast_reference_time": forecast.forecast_reference_time.values,
    }
    data = {name: (("member", "place", "lead"), array, about[name]) for name, array in values.items()}
    return xr.Dataset(data, coords, {key: forecast.attrs[key] for key in ("model", "source") if key in forecast.attrs})
