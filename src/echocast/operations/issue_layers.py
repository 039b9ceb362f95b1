"""What an issue shows: its layers, each a quantity on some leads.

======================== =========================================================================================
``rate``                 rain rate; of an ensemble the median
``rate.mean``            expected rain rate: the mean of the members
``rate.p10`` ... ``p90`` rain rate that 10, 25, 50, 75, 90 % of the members do not exceed
``amount.60``            expected amount over the 60 min from the issue: of an ensemble the mean of its members
``prob.rate.5``          probability of a rain rate of at least 5 mm/h
``prob.amount.60.10``    probability of at least 10 mm over the 60 min from the issue
``coverage``             1 where the forecast is known, and NaN elsewhere
======================== =========================================================================================

Without members there are ``rate``, ``amount.*`` and ``coverage`` alone, and ``rate.mean`` where the amounts are made of
another field than ``rate`` (`echocast.fields.amounts`).

Rates and amounts are rounded to 7 significant bits, within 0.8 %: radars tell them in steps of about 8 %, and the files
become a third smaller. Probabilities are not rounded.

Maps (layers.bin) have no quantiles of 25 and 75 %, which the series of a place are for. points.bin also has
``arrival``, or of an ensemble ``arrival.p10``, ``arrival.p50`` and ``arrival.p90``: the minutes until the first lead
with rain (0.1 mm/h) by which so many of the members have had some; infinite where they do not.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from echocast import fields
from echocast.fields.amounts import for_amounts
from echocast.io import packing
from echocast.operations.layer_file import Layer, unlike
from echocast.products import accumulations, ensemble

_MINUTE = np.timedelta64(1, "m")
_WET = 0.1
"""Rain begins at this rate, in mm/h."""
_SHARES = (10, 50, 90)
_OF_SERIES = ("rate.p25", "rate.p75")
BITS = 7
"""Significant bits of rates and amounts in the files of an issue."""


def layers_of(
    forecast: xr.DataArray, products: xr.Dataset | None, spans: Sequence[float] = ensemble.SPANS_MIN
) -> dict[str, Layer]:
    """The layers of a forecast of rain rate and of the products of its members; none of another quantity.

    Args:
        forecast: (lead, y, x), or (member, lead, y, x) with products.
        products: of members, as `echocast.products.ensemble.products` makes them.
        spans: of the amounts, in minutes; those that no lead ends with are left out.
    """
    if forecast.name != fields.NAME or (products is None and "member" in forecast.dims):
        return {}
    leads = tuple(float(lead) for lead in forecast.lead.values / _MINUTE)
    if products is None or "member" not in forecast.dims:
        made, products = {"rate": Layer(forecast.values, leads, "rate", "rain rate")}, None
        mean = for_amounts(forecast)
        if mean is not forecast:
            made["rate.mean"] = Layer(mean.values, leads, "rate", "expected rain rate")
    else:
        made = _of_members(products, leads)
        mean = forecast.isel(member=0, drop=True).copy(data=products["rainfall_rate_mean"].values)
    made |= _amounts(mean, spans)
    made |= {} if products is None else _chances(products, leads)
    known = np.where(np.isnan(mean.values), np.float32(np.nan), np.float32(1))
    return made | {"coverage": Layer(known, leads, "coverage", "where the forecast is known")}


def of_maps(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The layers that maps draw."""
    return {name: layer for name, layer in layers.items() if name not in _OF_SERIES}


def rounded(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The layers with rates and amounts as the files of an issue hold them; those of one array stay of one array."""
    some = [layer.values for layer in unlike(layers) if layer.scale in ("rate", "amount")]
    with ThreadPoolExecutor() as pool:
        made = dict(zip(map(id, some), pool.map(partial(packing.rounded, bits=BITS), some), strict=True))
    return {name: replace(layer, values=made.get(id(layer.values), layer.values)) for name, layer in layers.items()}


def _of_members(products: xr.Dataset, leads: tuple[float, ...]) -> dict[str, Layer]:
    """The median, the mean and the quantiles of the rates."""
    quantiles = {
        f"rate.p{100 * share:g}": Layer(values, leads, "rate", _of_share(share))
        for share, values in _by(products, "rainfall_rate_quantile", "quantile")
    }
    mean = Layer(products["rainfall_rate_mean"].values, leads, "rate", "mean rain rate of the members")
    median = quantiles["rate.p50"]
    return {"rate": Layer(median.values, leads, "rate", median.title), "rate.mean": mean} | quantiles


def _of_share(share: float) -> str:
    return "median rain rate of the members" if share == 0.5 else f"rain rate that {share:.0%} do not exceed"


def _amounts(mean: xr.DataArray, spans: Sequence[float]) -> dict[str, Layer]:
    return {
        f"amount.{span:g}": Layer(
            accumulations.accumulation(mean, span)[None], (span,), "amount", f"rain amount over {span:g} min"
        )
        for span in spans
        if accumulations.covers(mean, span)
    }


def _chances(products: xr.Dataset, leads: tuple[float, ...]) -> dict[str, Layer]:
    made = {
        f"prob.rate.{least:g}": Layer(values, leads, "probability", f"probability of at least {least:g} mm/h")
        for least, values in _by(products, "rainfall_rate_probability", "rate_threshold")
    }
    if "rainfall_amount_probability" not in products:
        return made
    for span, values in _by(products, "rainfall_amount_probability", "span"):
        for least, chance in zip(products["amount_threshold"].values, values, strict=True):
            title = f"probability of at least {least:g} mm over {span:g} min"
            made[f"prob.amount.{span:g}.{least:g}"] = Layer(chance[None], (span,), "probability", title)
    return made


def _by(products: xr.Dataset, name: str, axis: str) -> list[tuple[float, np.ndarray]]:
    return [(float(at), values) for at, values in zip(products[axis].values, products[name].values, strict=True)]


def arrivals_of(forecast: xr.DataArray) -> dict[str, Layer]:
    """When rain begins, in minutes from the issue; of an ensemble as shares of its members.

    Args:
        forecast: (lead, y, x) or (member, lead, y, x).

    Returns:
        Layers of one lead, 0; infinite where no lead has rain, NaN where it is not known for some lead.
    """
    if forecast.name != fields.NAME:
        return {}
    leads = np.append(forecast.lead.values / _MINUTE, np.inf).astype(np.float32)
    if "member" not in forecast.dims:
        first = _first_wet(forecast.values)
        return {"arrival": _arrival(leads[first], _known(forecast.values), "minutes until rain begins")}
    members = forecast.transpose("member", "lead", "y", "x").values
    with ThreadPoolExecutor() as pool:
        first = np.sort(np.stack(list(pool.map(_first_wet, members))), axis=0)
        known: np.ndarray = np.logical_and.reduce(list(pool.map(_known, members)))
    found = {}
    for share in _SHARES:
        begins = leads[first[math.ceil(share / 100 * len(members)) - 1]]
        title = f"minutes until {share} % of the members have had rain"
        found[f"arrival.p{share}"] = _arrival(begins, known, title)
    return found


def _first_wet(rates: np.ndarray) -> np.ndarray:
    """The number of the first lead with rain, (y, x); that of leads where there is none."""
    kind = np.min_scalar_type(len(rates))
    first = np.full(rates.shape[1:], len(rates), kind)
    for lead in range(len(rates) - 1, -1, -1):
        np.copyto(first, kind.type(lead), where=rates[lead] >= np.float32(_WET))
    return first


def _known(rates: np.ndarray) -> np.ndarray:
    """Where all leads are known, (y, x)."""
    known: np.ndarray = ~np.isnan(rates.sum(axis=0))
    return known


def _arrival(begins: np.ndarray, known: np.ndarray, title: str) -> Layer:
    return Layer(np.where(known, begins, np.float32(np.nan))[None], (0.0,), "minutes", title)
