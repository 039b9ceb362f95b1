"""Kriging: the best linear unbiased estimate at places from values at others.

The covariance of two places falls exponentially with their distance, ``exp(-h / range)``, beside a nugget at distance 0
that stands for what a gauge says about itself alone. Only the ratio of the two matters, so the sill is 1.

Source: Wackernagel 2003, Multivariate Geostatistics, chapters 11 (ordinary) and 37 (external drift).

>>> import numpy as np
>>> a, b = np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[5.0, 0.0]])
>>> float(kriged(np.array([1.0, 3.0]), a, b, Covariance(20.0)).round(6)[0])
2.0
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

_TARGETS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Covariance:
    """How alike the rain at two places is.

    Args:
        range_km: the distance at which the covariance has fallen to 1 / e.
        nugget: beside a sill of 1; 0 makes the estimate at a gauge its value.
    """

    range_km: float
    nugget: float = 0.0

    def __call__(self, distance_km: np.ndarray) -> np.ndarray:
        """The covariance at some distances."""
        return np.asarray(np.exp(-distance_km / self.range_km) + self.nugget * (distance_km == 0))


def kriged(
    values: Float[np.ndarray, "gauge"],
    gauges_km: Float[np.ndarray, "gauge 2"],
    targets_km: Float[np.ndarray, "target 2"],
    covariance: Covariance,
    *,
    drift: tuple[Float[np.ndarray, "gauge"], Float[np.ndarray, "target"]] | None = None,
) -> Float[np.ndarray, "target"]:
    """Estimates at the targets.

    Args:
        values: at the gauges, all known.
        gauges_km: x and y of the gauges.
        targets_km: x and y of the targets.
        covariance: of the values, or of what is left of them after the drift.
        drift: another quantity at the gauges and at the targets of which the values are a linear function, plus a
            residual: the radar. None for ordinary kriging. A drift that is the same at all gauges says nothing, and is
            left out.

    Returns:
        In the unit of the values; negative where the extrapolated drift says so.
    """
    count = len(values)
    has_drift = drift is not None and float(np.ptp(drift[0])) > 0
    constraints = (
        np.ones((count, 1)) if not has_drift or drift is None else np.stack([np.ones(count), drift[0]], axis=1)
    )
    extra = constraints.shape[1]
    matrix = np.zeros((count + extra, count + extra))
    matrix[:count, :count] = covariance(cdist(gauges_km, gauges_km))
    matrix[:count, count:], matrix[count:, :count] = constraints, constraints.T
    dual = np.linalg.solve(matrix, np.concatenate([values, np.zeros(extra)]))
    made = np.empty(len(targets_km))
    for first in range(0, len(made), _TARGETS_AT_ONCE):
        part = slice(first, first + _TARGETS_AT_ONCE)
        made[part] = covariance(cdist(targets_km[part], gauges_km)) @ dual[:count] + dual[count]
        if has_drift and drift is not None:
            made[part] += dual[count + 1] * drift[1][part]
    return made
