"""The PIT histogram of all pixels, randomised where values are equal, as nearly all are at zero.

The probability integral transform of an observation that has rank k among M members (0 below all of them) is uniform in
[k / (M + 1), (k + 1) / (M + 1)]; where members equal the observation, it has each of their ranks in equal parts. That
is the expectation of drawing at random, without its noise. What is below 0.1 mm/h is dry, equal to all that is. So a
dry pixel where 15 of 20 members are dry has a PIT between 0 and 16 / 21: unlike the rank histogram (`ensemble`), all
pixels count. For a calibrated ensemble the PIT is uniform:

- pit_reliability_index = sum over ten bins of |share - 1/10|: 0 is flat;
- pit_mean: 0.5; below it the members have too much rain, above it too little;
- pit_dispersion = 12 times the variance: 1; above it the members differ too little, below it too much.

By hand: members 1 and 2 against 0: rank 0 of three, PIT in [0, 1/3]: mean 1/6, 12 (1/3)^2 / 12 = 1/9, and 3 1/3 bins
with 0.3 each, or 0.1 for the last: index 3 * 0.2 + 0 + 6 * 0.1 = 1.2.

Source: Czado, Gneiting and Held 2009, doi:10.1111/j.1541-0420.2009.01191.x, for the PIT without drawing.

    >>> import numpy as np
    >>> members = np.array([1, 2], np.float32).reshape(1, 2, 1, 1, 1)
    >>> round(float(values(statistics(members, np.zeros((1, 1, 1, 1), np.float32)))["pit_mean"][0]), 4)
    0.1667
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_ensemble_pixels
from echocast.verification.scores.ensemble import or_dry, rank_counts

MEMBERS = True
BINS = 10
SCORES = {
    "pit_reliability_index": Score("PIT histogram reliability index", 0.0),
    "pit_mean": Score("Mean PIT", 0.5),
    "pit_dispersion": Score("PIT variance relative to that of a uniform distribution", 1.0),
}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (these scores have none)
) -> Sums:
    """How often the observation has each rank, (lead, members + 1)."""
    counts = valid_ensemble_pixels(forecast, observed)
    sums: Sums = {"ranks": np.zeros((forecast.shape[2], forecast.shape[1] + 1))}
    for lead in range(forecast.shape[2]):
        valid = counts[:, lead]
        x = np.moveaxis(forecast[:, :, lead], 1, 0)[:, valid]
        sums["ranks"][lead] = rank_counts(or_dry(x), or_dry(observed[:, lead][valid]))
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, each (lead,)."""
    ranks = sums["ranks"]
    total = np.broadcast_to(ranks.sum(axis=-1, keepdims=True), ranks.shape)
    share, edges = ratio(ranks, total), np.linspace(0.0, 1.0, ranks.shape[-1] + 1)
    mean = (share * (edges[1:] + edges[:-1]) / 2).sum(axis=-1)
    square = (share * (edges[1:] ** 2 + edges[1:] * edges[:-1] + edges[:-1] ** 2) / 3).sum(axis=-1)
    return {
        "pit_reliability_index": np.abs(histogram(sums) - 1 / BINS).sum(axis=-1),
        "pit_mean": mean,
        "pit_dispersion": 12.0 * (square - mean**2),
    }


def histogram(sums: Sums) -> Float[np.ndarray, "*lead 10"]:
    """The share of PIT values in each of ten bins of equal width."""
    ranks = sums["ranks"]
    total = np.broadcast_to(ranks.sum(axis=-1, keepdims=True), ranks.shape)
    edges, bins = np.linspace(0.0, 1.0, ranks.shape[-1] + 1), np.linspace(0.0, 1.0, BINS + 1)
    shared = np.minimum(edges[1:, None], bins[1:]) - np.maximum(edges[:-1, None], bins[:-1])
    return np.asarray(ratio(ranks, total) @ (np.maximum(shared, 0.0) * ranks.shape[-1]))
