"""The Brier skill score against the climate of the place and month.

With p the share of members that reach a threshold, c the frequency of the climate (`echocast.evaluation.climate`) at
the pixel in the month of the valid time, and an event of 0 or 1, over all pixels and cases that count:

- brier_climate = mean (c - event)^2;
- brier_skill_climate = 1 - mean (p - event)^2 / brier_climate: 1 is perfect, 0 no better than the climate.

The Brier skill score of the family ``probability`` has one frequency for all pixels and cases, that of the scored
sample: it counts as skill that mountains are wetter than plains, and July than January. This one needs the times and
the place, which the families of `echocast.verification.scores` are not given.

    >>> sums = {"forecast": np.array([[0.5]]), "climate": np.array([[2.0]]), "n": np.array([[10.0]])}
    >>> {name: value.item() for name, value in values(sums).items()}
    {'brier_climate': 0.2, 'brier_skill_climate': 0.75}
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.evaluation.climate import ClimateOfCases
from echocast.verification.base import Score, Sums, each_lead, ratio, valid_ensemble_pixels

BRIER_CLIMATE = "brier_climate"
"""The family of these sums."""
SCORES = {
    "brier_climate": Score("Brier score of the climate", np.nan),
    "brier_skill_climate": Score("Brier skill score against the climate of place and month", 1.0, abbreviation="BSSc"),
}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    climate: ClimateOfCases,
    *,
    thresholds: Sequence[float],
) -> Sums:
    """Squared errors of the forecast's probabilities and of the climate's, and the pixels that count, (lead,
    threshold)."""
    counts = valid_ensemble_pixels(forecast, observed)
    shape = (observed.shape[1], len(thresholds))
    sums: Sums = {name: np.zeros(shape) for name in ("forecast", "climate", "n")}

    def work(lead: int) -> None:
        valid = counts[:, lead]
        for column, threshold in enumerate(thresholds):
            event = observed[:, lead] >= threshold
            shares = (forecast[:, :, lead] >= threshold).mean(axis=1)
            for name, told in (("forecast", shares), ("climate", climate.frequency(lead, column))):
                sums[name][lead, column] = np.square(told[valid] - event[valid], dtype=np.float64).sum()
            sums["n"][lead, column] = np.count_nonzero(valid)

    each_lead(work, shape[0])
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead, threshold)."""
    return {
        "brier_climate": ratio(sums["climate"], sums["n"]),
        "brier_skill_climate": 1.0 - ratio(sums["forecast"], sums["climate"]),
    }
