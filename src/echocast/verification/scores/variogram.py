"""The variogram score: whether members vary from pixel to pixel as the observation does.

For pairs of pixels a and b that lie h = 1, 2, 4, 8 or 16 pixels apart along a row or column, weighted by 1 / h,

    variogram_score = mean (|y_a - y_b|^0.5 - mean_i |x_ia - x_ib|^0.5)^2

over all pairs whose pixels both count; 0 is perfect. It sees what the energy score hardly sees: members that are too
smooth, or whose rain varies over wrong distances; and it does not see a bias that all pixels share. By hand: one member
with 0 and 1 against 0 and 4 in two neighbours: (2 - 1)^2 = 1.

Source: Scheuerer and Hamill 2015, doi:10.1175/MWR-D-14-00269.1, equation 4 with p = 0.5; only pairs along rows and
columns at those distances are used.

    >>> import numpy as np
    >>> member = np.array([0, 1], np.float32).reshape(1, 1, 1, 1, 2)
    >>> float(values(statistics(member, np.array([0, 4], np.float32).reshape(1, 1, 1, 2)))["variogram_score"][0])
    1.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
DISTANCES = (1, 2, 4, 8, 16)
SCORES = {"variogram_score": Score("Variogram score of order 0.5", 0.0, unit="mm h-1")}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (this score has none)
) -> Sums:
    """Sums over pairs of weighted squared differences, and of the weights, (lead,)."""
    counts = valid_ensemble_pixels(forecast, observed)
    sums: Sums = {name: np.zeros(forecast.shape[2]) for name in ("squared", "weight")}
    for case, lead in np.ndindex(*observed.shape[:2]):
        x, y, valid = forecast[case, :, lead], observed[case, lead], counts[case, lead]
        for axis in (-2, -1):
            for apart in DISTANCES:
                if apart < y.shape[axis]:
                    both = _ends(valid, apart, axis)
                    pairs = both[0] & both[1]
                    squared = (_rough(y, apart, axis) - _rough(x, apart, axis).mean(axis=0))[pairs] ** 2
                    sums["squared"][lead] += squared.sum() / apart
                    sums["weight"][lead] += np.count_nonzero(pairs) / apart
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The score, (lead,)."""
    return {"variogram_score": ratio(sums["squared"], sums["weight"])}


def _rough(rain: np.ndarray, apart: int, axis: int) -> np.ndarray:
    """The square root of the difference of each pair of pixels so far apart."""
    first, second = _ends(rain, apart, axis)
    return np.asarray(np.sqrt(np.abs(second.astype(np.float64) - first)))


def _ends(array: np.ndarray, apart: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    along = np.moveaxis(array, axis, 0)
    return np.moveaxis(along[:-apart], 0, axis), np.moveaxis(along[apart:], 0, axis)
