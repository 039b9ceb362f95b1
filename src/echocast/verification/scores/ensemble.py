"""Rank histogram, spread-skill ratio, and the errors of the ensemble mean.

- `spread_skill` = sqrt((M + 1) / M mean variance) / RMSE of the ensemble mean, with the variance of M members around
  their mean (divided by M - 1): 1 if the spread is as large as the error, below 1 if the ensemble is underdispersive,
  NaN for one member or without any error;
- `rank_reliability_index` = sum_k |share_k - 1 / (M + 1)| over the M + 1 ranks that the observation can have among the
  members: 0 for a flat rank histogram. Equal values share their ranks evenly, and what is below 0.1 mm/h is dry, equal
  to all that is. Only pixels with 0.1 mm/h or more, observed or in any member, enter it, for among equal dry
  values the rank says nothing;
- `ensemble_rmse`, `ensemble_mae`: of the ensemble mean, in mm/h.

By hand: members 0 and 2 against 1: the mean 1 has no error (RMSE 0), the observation ranks second of three: index
1/3 + 2/3 + 1/3 = 4/3.

Source: Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1, for the spread; Hamill 2001,
doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2; Delle Monache et al. 2006, doi:10.1029/2005JD006917, for the index.

    >>> import numpy as np
    >>> members = np.array([0, 2], np.float32).reshape(1, 2, 1, 1, 1)
    >>> round(float(values(statistics(members, np.ones((1, 1, 1, 1), np.float32)))["rank_reliability_index"][0]), 4)
    1.3333
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
SCORES = {
    "spread_skill": Score("Spread-skill ratio", 1.0),
    "rank_reliability_index": Score("Rank histogram reliability index", 0.0),
    "ensemble_rmse": Score("RMSE of the ensemble mean", 0.0, unit="mm h-1"),
    "ensemble_mae": Score("MAE of the ensemble mean", 0.0, unit="mm h-1"),
}
_WET_MM_H = 0.1


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (these scores have none)
) -> Sums:
    """Ranks (lead, members + 1), and sums of variances, squared and absolute errors and pixels, (lead,)."""
    counts = valid_ensemble_pixels(forecast, observed)
    members, leads = forecast.shape[1:3]
    sums: Sums = {name: np.zeros(leads) for name in ("n", "variance", "squared", "absolute")}
    sums["ranks"] = np.zeros((leads, members + 1))
    for lead in range(leads):
        valid = counts[:, lead]
        x = np.moveaxis(forecast[:, :, lead], 1, 0)[:, valid].astype(np.float64)
        y = observed[:, lead][valid].astype(np.float64)
        mean = x.mean(axis=0)
        sums["n"][lead] = y.size
        sums["variance"][lead] = x.var(axis=0, ddof=1).sum() if members > 1 else 0.0
        sums["squared"][lead] = ((mean - y) ** 2).sum()
        sums["absolute"][lead] = np.abs(mean - y).sum()
        wet = (y >= _WET_MM_H) | (x >= _WET_MM_H).any(axis=0)
        sums["ranks"][lead] = rank_counts(or_dry(x[:, wet]), or_dry(y[wet]))
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, each (lead,)."""
    n, count = sums["n"], sums["ranks"].shape[-1]
    rmse = np.sqrt(ratio(sums["squared"], n))
    spread = np.sqrt(ratio(sums["variance"], n) * count / (count - 1)) if count > 2 else np.full_like(rmse, np.nan)
    total = sums["ranks"].sum(axis=-1, keepdims=True)
    share = ratio(sums["ranks"], np.broadcast_to(total, sums["ranks"].shape))
    return {
        "spread_skill": ratio(spread, rmse),
        "rank_reliability_index": np.abs(share - 1 / count).sum(axis=-1),
        "ensemble_rmse": rmse,
        "ensemble_mae": ratio(sums["absolute"], n),
    }


def or_dry(rain: np.ndarray) -> np.ndarray:
    """Below 0.1 mm/h is dry: drizzle that one radar measures and another one omits has no rank of its own."""
    return np.where(rain < _WET_MM_H, 0.0, rain)


def rank_counts(members: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """How often the observation has each rank; among equal values it has each of theirs in equal parts."""
    count = len(members)
    below = (members < observed).sum(axis=0)
    equal = (members == observed).sum(axis=0)
    ranks = np.zeros(count + 1)
    for ties in np.unique(equal):
        lowest = np.bincount(below[equal == ties], minlength=count + 1)
        for tie in range(ties + 1):
            ranks[tie:] += lowest[: count + 1 - tie] / (ties + 1)
    return ranks
