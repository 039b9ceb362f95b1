"""The energy score: the CRPS of whole frames, so that members must have rain at the right places together.

For the M members x_i and the observation y of one frame, over its n pixels that count,

    energy_score = mean_i |x_i - y| - 1 / (2 M^2) sum_ij |x_i - x_j|,   |d| = sqrt(sum d^2 / n), in mm/h,

averaged over frames; 0 is perfect. Of one member it is the mean of the frames' RMSE. It tells errors of the mean field
well and wrong correlations between pixels badly; the variogram score does those. By hand: members 0 and 2 against 1, in
all of two pixels: 1 - 0.5 = 0.5.

Source: Gneiting and Raftery 2007, doi:10.1198/016214506000001437, section 4.3; the division by n makes grids
comparable.

    >>> import numpy as np
    >>> members = np.array([[0, 0], [2, 2]], np.float32).reshape(1, 2, 1, 1, 2)
    >>> float(values(statistics(members, np.ones((1, 1, 1, 2), np.float32)))["energy_score"][0])
    0.5
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
SCORES = {"energy_score": Score("Energy score", 0.0, unit="mm h-1")}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (this score has none)
) -> Sums:
    """Sums of the frames' scores, and the number of frames, (lead,)."""
    counts = valid_ensemble_pixels(forecast, observed)
    sums: Sums = {name: np.zeros(forecast.shape[2]) for name in ("energy", "frames")}
    for case, lead in np.ndindex(*observed.shape[:2]):
        valid = counts[case, lead]
        if valid.any():
            x = forecast[case, :, lead][:, valid].astype(np.float64)
            sums["energy"][lead] += _energy(x, observed[case, lead][valid].astype(np.float64))
            sums["frames"][lead] += 1
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The score, (lead,)."""
    return {"energy_score": ratio(sums["energy"], sums["frames"])}


def _energy(x: np.ndarray, y: np.ndarray) -> float:
    members = len(x)
    error = sum(_length(member - y) for member in x) / members
    spread = sum(_length(x[i] - x[j]) for i in range(members) for j in range(i))
    return error - spread / members**2


def _length(difference: np.ndarray) -> float:
    return float(np.sqrt((difference * difference).mean()))
