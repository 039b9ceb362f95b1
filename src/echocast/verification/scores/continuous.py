"""RMSE, MAE, mean error, ratio of means, NMSE, correlation and rainfall-MSE of rain rates, pixel by pixel.

Over the pixels that count, with forecast f and observed o in mm/h:

- rainfall_mse = mean (f - o)^2, the rainfall mean square error of the ConvLSTM paper;
- rmse = its square root, mae = mean |f - o|, mean_error = mean (f - o);
- mean_ratio = sum f / sum o, the multiplicative bias: above 1 the forecast has too much rain; NaN where none fell;
- nmse = sum (f - o)^2 / sum (f + o)^2, normalised mean square error: 0 is perfect, 1 if either is dry;
- correlation = Pearson's, of all pixels and cases of a lead together; NaN if either does not vary.

By hand: f = 1, 2, 3 against o = 1, 4, 5 gives rainfall-MSE 8/3, MAE 4/3, mean error -4/3, ratio of means 0.6,
NMSE 8 / 104 = 0.0769, correlation 0.9608.

Source: Jolliffe and Stephenson, Forecast Verification, 2nd ed. 2012, chapter 5, doi:10.1002/9781119960003; Shi et al.
2015 (arXiv:1506.04214), section 4.2, for the rainfall-MSE; pysteps for the NMSE.

    >>> import numpy as np
    >>> forecast = np.array([1, 2, 3], np.float32).reshape(1, 1, 1, 3)
    >>> observed = np.array([1, 4, 5], np.float32).reshape(1, 1, 1, 3)
    >>> round(float(values(statistics(forecast, observed))["mae"][0]), 4)
    1.3333
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, each_lead, ratio, valid_pixels

SCORES = {
    "rmse": Score("Root mean square error", 0.0, abbreviation="RMSE", unit="mm h-1", main=True),
    "mae": Score("Mean absolute error", 0.0, abbreviation="MAE", unit="mm h-1"),
    "mean_error": Score("Mean error", 0.0, abbreviation="ME", unit="mm h-1"),
    "mean_ratio": Score("Ratio of means", 1.0),
    "nmse": Score("Normalised mean square error", 0.0, abbreviation="NMSE"),
    "correlation": Score("Pearson correlation", 1.0),
    "rainfall_mse": Score("Rainfall mean square error", 0.0, unit="mm2 h-2"),
}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (these scores have none)
) -> Sums:
    """Number of pixels, sums, and sums of products by lead."""
    counts = valid_pixels(forecast, observed)
    names = ("n", "f", "o", "ff", "oo", "fo", "absolute", "squared")
    sums: Sums = {name: np.zeros(forecast.shape[1]) for name in names}

    def work(lead: int) -> None:
        valid = counts[:, lead]
        f, o = (np.where(valid, rain[:, lead], 0.0).astype(np.float64).ravel() for rain in (forecast, observed))
        error = f - o
        parts = (np.count_nonzero(valid), f.sum(), o.sum(), f @ f, o @ o, f @ o, np.abs(error).sum(), error @ error)
        for name, part in zip(names, parts, strict=True):
            sums[name][lead] = part

    each_lead(work, forecast.shape[1])
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, each (lead,)."""
    n = sums["n"]
    squared = ratio(sums["squared"], n)
    covariance = sums["fo"] - ratio(sums["f"] * sums["o"], n)
    spread = [sums[2 * side] - ratio(sums[side] ** 2, n) for side in "fo"]
    # A field that does not vary has a variance of a rounding error, which counts as none.
    varies = [s > 1e-12 * sums[2 * side] for s, side in zip(spread, "fo", strict=True)]
    variance = np.where(varies[0] & varies[1], spread[0] * spread[1], 0.0)
    return {
        "rmse": np.sqrt(squared),
        "mae": ratio(sums["absolute"], n),
        "mean_error": ratio(sums["f"] - sums["o"], n),
        "mean_ratio": ratio(sums["f"], sums["o"]),
        "nmse": ratio(sums["squared"], sums["ff"] + 2 * sums["fo"] + sums["oo"]),
        "correlation": ratio(covariance, np.sqrt(np.maximum(variance, 0.0))),
        "rainfall_mse": squared,
    }
