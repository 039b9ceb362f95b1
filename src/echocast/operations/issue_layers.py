"""What an issue shows: its layers, each a quantity on some leads.

======================== =========================================================================================
``rate``                 rain rate; of an ensemble the median
``rate.mean``            mean rain rate of the members
``rate.p10`` ... ``p90`` rain rate that 10, 25, 50, 75, 90 % of the members do not exceed
``amount.60``            amount over the 60 min from the issue; of an ensemble the mean of its members
``prob.rate.5``          probability of a rain rate of at least 5 mm/h
``prob.amount.60.10``    probability of at least 10 mm over the 60 min from the issue
``coverage``             1 where the forecast is known, and NaN elsewhere
======================== =========================================================================================

Without members there are ``rate``, ``amount.*`` and ``coverage`` alone.
"""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.operations.layer_file import Layer
from echocast.products import accumulations, ensemble

_MINUTE = np.timedelta64(1, "m")


def layers_of(forecast: xr.DataArray, products: xr.Dataset | None) -> dict[str, Layer]:
    """The layers of a forecast of rain rate and of the products of its members; none of another quantity.

    Args:
        forecast: (lead, y, x), or (member, lead, y, x) with products.
        products: as `echocast.products.ensemble.products` makes them.
    """
    if forecast.name != fields.NAME or (products is None and "member" in forecast.dims):
        return {}
    leads = tuple(float(lead) for lead in forecast.lead.values / _MINUTE)
    if products is None:
        made = {"rate": Layer(forecast.values, leads, "rate", "rain rate")}
        mean = forecast
    else:
        made = _of_members(products, leads)
        mean = forecast.isel(member=0, drop=True).copy(data=products["rainfall_rate_mean"].values)
    made |= _amounts(mean)
    made |= {} if products is None else _chances(products, leads)
    known = np.where(np.isnan(mean.values), np.float32(np.nan), np.float32(1))
    return made | {"coverage": Layer(known, leads, "coverage", "where the forecast is known")}


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


def _amounts(mean: xr.DataArray) -> dict[str, Layer]:
    spans = [span for span in ensemble.SPANS_MIN if accumulations.covers(mean, span)]
    return {
        f"amount.{span:g}": Layer(
            accumulations.accumulation(mean, span)[None], (span,), "amount", f"rain amount over {span:g} min"
        )
        for span in spans
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
