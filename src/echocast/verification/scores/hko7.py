"""The scores of the HKO-7 benchmark: pooled counts of "rate >= threshold", B-MSE, B-MAE and GDL on its grey levels.

- hko7_csi = h / (h + m + f), hko7_pod = h / (h + m), hko7_far = f / (h + f), hko7_hss = 2 GSS / (GSS + 1) with
  GSS = (h - r) / (h + m + f - r), r = (h + m)(h + f) / n; nothing is added to a quotient, 0 / 0 is undefined;
- hko7_b_mse, hko7_b_mae = sum over a frame's pixels of w (g_f - g_o)^2 and of w |g_f - g_o|, averaged over frames, with
  grey levels g = (Z + 10) / 70, Z = 10 lg 58.53 + 15.6 lg R in dBZ, and weights w by the observed rate of 1 below 2
  mm/h, 2 below 5, 5 below 10, 10 below 30 and 30 from there on;
- hko7_gdl = sum of ||d_y g_f| - |d_y g_o|| + ||d_x g_f| - |d_x g_o||, differences of neighbours, averaged over frames.

Sums over pixels grow with the grid: they compare on one grid only (the benchmark's is 480x480). Its thresholds are 0.5,
2, 5, 10 and 30 mm/h.

By hand: one pixel with 3 mm/h (Z = 25.117 dBZ, g = 0.50167, weight 2) forecast as dry counts 2 g^2 = 0.50335 in B-MSE
and 2 g = 1.00334 in B-MAE.

Source: Shi et al. 2017 (arXiv:1706.03458), section 3.3, and the published benchmark; Mathieu et al. 2016
(arXiv:1511.05440) for the GDL.

    >>> import numpy as np
    >>> rain = np.ones((1, 1, 4, 4), np.float32)
    >>> float(values(statistics(rain, rain))["hko7_b_mse"][0])
    0.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, grey, ratio, valid_pixels
from echocast.verification.scores import contingency

THRESHOLDS = (0.5, 2.0, 5.0, 10.0, 30.0)
SCORES = {
    "hko7_csi": Score("CSI of the HKO-7 benchmark", 1.0),
    "hko7_pod": Score("POD of the HKO-7 benchmark", 1.0),
    "hko7_far": Score("FAR of the HKO-7 benchmark", 0.0),
    "hko7_hss": Score("HSS of the HKO-7 benchmark", 1.0),
    "hko7_b_mse": Score("Balanced mean square error of the HKO-7 benchmark", 0.0, abbreviation="B-MSE"),
    "hko7_b_mae": Score("Balanced mean absolute error of the HKO-7 benchmark", 0.0, abbreviation="B-MAE"),
    "hko7_gdl": Score("Gradient difference loss of the HKO-7 benchmark", 0.0, abbreviation="GDL"),
}
_EDGES = np.array([2.0, 5.0, 10.0, 30.0])
_WEIGHTS = np.array([1.0, 2.0, 5.0, 10.0, 30.0])


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Sums:
    """Counts by lead and threshold; sums of errors and the number of frames by lead."""
    counts = valid_pixels(forecast, observed)
    g_f, g_o = (np.where(counts, grey(rain, "hko-7"), 0.0).astype(np.float64) for rain in (forecast, observed))
    weight = _WEIGHTS[np.digitize(np.where(counts, observed, 0.0), _EDGES)] * counts
    error = np.abs(g_f - g_o)
    gdl = np.zeros(forecast.shape[:2])
    for axis in (2, 3):
        pair = np.diff(counts.astype(np.int8), axis=axis) == 0
        pair &= np.take(counts, range(counts.shape[axis] - 1), axis=axis)
        change = np.abs(np.abs(np.diff(g_f, axis=axis)) - np.abs(np.diff(g_o, axis=axis)))
        gdl += (change * pair).sum(axis=(2, 3))
    return contingency.statistics(forecast, observed, thresholds=thresholds) | {
        "frames": counts.any(axis=(2, 3)).sum(axis=0).astype(float),
        "b_mse": (weight * error**2).sum(axis=(0, 2, 3)),
        "b_mae": (weight * error).sum(axis=(0, 2, 3)),
        "gdl": gdl.sum(axis=0),
    }


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead, threshold) or (lead,)."""
    table = {name: sums[name] for name in ("hits", "misses", "false_alarms", "correct_rejections")}
    pooled = contingency.values(table)
    found = {f"hko7_{name}": pooled[name] for name in ("csi", "pod", "far")}
    found["hko7_hss"] = ratio(2 * pooled["gss"], pooled["gss"] + 1)
    return found | {f"hko7_{name}": ratio(sums[name], sums["frames"]) for name in ("b_mse", "b_mae", "gdl")}
