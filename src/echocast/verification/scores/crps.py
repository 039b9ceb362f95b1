"""CRPS of ensembles: of the members as they are, fair, and weighted towards heavy rain.

For members x_1 ... x_M and the observation y, all in mm/h,

- crps = mean_i |x_i - y| - 1 / (2 M^2) sum_ij |x_i - x_j|, the score of the members taken as the whole distribution;
- crps_fair = the same with 1 / (2 M (M - 1)): what the distribution that they were drawn from scores, whatever their
  number; NaN for one member, and in a verification of members that are not drawn independently, whose differences
  are not those of the distribution (those of `lagrangian` have the mean of their noise at 0);
- twcrps = crps of max(x, t) and max(y, t): only what happens above the threshold t counts.

All are means over pixels and cases, 0 is perfect; for one member the CRPS is the absolute error. By hand: members 0 and
2 against 1 give 1 - 0.5 = 0.5, fair 1 - 1 = 0, and above 1 mm/h (members 1, 2 against 1) 0.5 - 0.25 = 0.25.

Source: Gneiting and Raftery 2007, doi:10.1198/016214506000001437; Ferro 2014, doi:10.1002/qj.2270, for the fair one;
Gneiting and Ranjan 2011, doi:10.1198/jbes.2010.08110, and Allen et al. 2023, doi:10.1137/22M1532184, for the weighted
one by chaining. The numbers are those of the library scores.

    >>> import numpy as np
    >>> members = np.array([0, 2], np.float32).reshape(1, 2, 1, 1, 1)
    >>> float(values(statistics(members, np.ones((1, 1, 1, 1), np.float32)))["crps"][0])
    0.5
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
SCORES = {
    "crps": Score("Continuous ranked probability score", 0.0, abbreviation="CRPS", unit="mm h-1", main=True),
    "crps_fair": Score(
        "Fair continuous ranked probability score", 0.0, abbreviation="fair CRPS", unit="mm h-1", of_independent=True
    ),
    "twcrps": Score(
        "Threshold-weighted continuous ranked probability score", 0.0, abbreviation="twCRPS", unit="mm h-1"
    ),
}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Sums of absolute errors and of differences between members by lead (and threshold), and the number of pixels."""
    counts = valid_ensemble_pixels(forecast, observed)
    leads, members = forecast.shape[2], forecast.shape[1]
    sums: Sums = {"n": counts.sum(axis=(0, 2, 3)).astype(float)}
    sums |= {name: np.zeros(leads) for name in ("error", "spread")}
    sums["members"] = sums["n"] * members
    sums["tw"] = np.zeros((leads, len(thresholds)))
    for lead in range(leads):
        valid = counts[:, lead]
        x = np.sort(np.moveaxis(forecast[:, :, lead], 1, 0)[:, valid].astype(np.float64), axis=0)
        y = observed[:, lead][valid].astype(np.float64)
        sums["error"][lead], sums["spread"][lead] = _terms(x, y)
        for column, threshold in enumerate(thresholds):
            error, spread = _terms(np.maximum(x, threshold), np.maximum(y, threshold))
            sums["tw"][lead, column] = error - spread / members**2
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead,) and (lead, threshold)."""
    n, error, spread = sums["n"], sums["error"], sums["spread"]
    members = ratio(sums["members"], n)
    return {
        "crps": ratio(error - ratio(spread, members**2), n),
        "crps_fair": ratio(error - ratio(spread, members * (members - 1)), n),
        "twcrps": ratio(sums["tw"], np.broadcast_to(n[..., None], sums["tw"].shape)),
    }


def _terms(members: np.ndarray, observed: np.ndarray) -> tuple[float, float]:
    """Sums over pixels of the mean error, and of half the sum of all differences; members sorted along axis 0."""
    count = len(members)
    weights = 2.0 * np.arange(1, count + 1) - count - 1
    return float(np.abs(members - observed).mean(axis=0).sum()), float(np.tensordot(weights, members, axes=1).sum())
