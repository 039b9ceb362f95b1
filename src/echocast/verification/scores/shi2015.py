"""The five scores of Shi et al. 2015 (the ConvLSTM paper), as its code computes them: by frame, then averaged.

For a frame, with hits h, misses m and false alarms f of the event "rain rate > threshold" (strictly above), e = 1e-9:

- shi2015_csi = (h + e) / (h + m + f + e), shi2015_pod = (h + e) / (h + m + e), shi2015_far = f / (h + f + e);
- shi2015_correlation = sum g_f g_o / (sqrt(sum g_f^2) sqrt(sum g_o^2) + e) of grey levels g = (Z + 10) / 70, with
  Z = 10 lg 118.239 + 15.241 lg R in dBZ: the means are not subtracted;
- shi2015_rainfall_mse = mean squared difference of rain rates, in mm2/h2.

So a frame without any event, forecast or observed, counts as CSI = POD = 1 and FAR = 0 (in the pooled scores it adds
nothing), and a small shower weighs as much as a front. Means are over the frames of a lead; the paper's
table is their mean over leads. The paper has one threshold, 0.5 mm/h.

By hand: h = 1, m = 1, f = 0 in one frame and nothing at all in another give CSI (0.5 + 1) / 2 = 0.75.

Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2, and the authors' published code.

    >>> import numpy as np
    >>> dry = np.zeros((1, 1, 2, 2), np.float32)
    >>> float(values(statistics(dry, dry, thresholds=(0.5,)))["shi2015_csi"][0, 0])
    1.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, grey, ratio, valid_pixels

SCORES = {
    "shi2015_csi": Score("CSI of Shi et al. 2015, mean over frames", 1.0),
    "shi2015_pod": Score("POD of Shi et al. 2015, mean over frames", 1.0),
    "shi2015_far": Score("FAR of Shi et al. 2015, mean over frames", 0.0),
    "shi2015_correlation": Score("Correlation of Shi et al. 2015, mean over frames", 1.0),
    "shi2015_rainfall_mse": Score("Rainfall-MSE of Shi et al. 2015, mean over frames", 0.0, unit="mm2 h-2"),
}
_EPS = 1e-9


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Sums of each frame's scores, and the number of frames, by lead (and threshold)."""
    counts = valid_pixels(forecast, observed)
    pixels = counts.sum(axis=(2, 3))
    valid = pixels > 0
    f, o = (np.where(counts, rain, 0.0) for rain in (forecast, observed))
    g_f, g_o = (np.where(counts, grey(rain), 0.0).astype(np.float64) for rain in (forecast, observed))
    length = np.sqrt((g_f**2).sum(axis=(2, 3))) * np.sqrt((g_o**2).sum(axis=(2, 3)))
    correlation = (g_f * g_o).sum(axis=(2, 3)) / (length + _EPS)
    error = ratio(((f.astype(np.float64) - o) ** 2).sum(axis=(2, 3)), pixels)
    sums: Sums = {
        "frames": valid.sum(axis=0).astype(float),
        "correlation": np.where(valid, correlation, 0.0).sum(axis=0),
        "rainfall_mse": np.where(valid, error, 0.0).sum(axis=0),
    }
    sums |= {name: np.zeros((forecast.shape[1], len(thresholds))) for name in ("csi", "pod", "far")}
    for column, threshold in enumerate(thresholds):
        event_f, event_o = (forecast > threshold) & counts, (observed > threshold) & counts
        h, either = (event_f & event_o).sum(axis=(2, 3)), (event_f | event_o).sum(axis=(2, 3))
        forecasts, events = event_f.sum(axis=(2, 3)), event_o.sum(axis=(2, 3))
        sums["csi"][:, column] = np.where(valid, (h + _EPS) / (either + _EPS), 0.0).sum(axis=0)
        sums["pod"][:, column] = np.where(valid, (h + _EPS) / (events + _EPS), 0.0).sum(axis=0)
        sums["far"][:, column] = np.where(valid, (forecasts - h) / (forecasts + _EPS), 0.0).sum(axis=0)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead, threshold) or (lead,)."""
    frames = sums["frames"]
    found = {
        f"shi2015_{name}": ratio(sums[name], np.broadcast_to(frames[..., None], sums[name].shape))
        for name in ("csi", "pod", "far")
    }
    return found | {f"shi2015_{name}": ratio(sums[name], frames) for name in ("correlation", "rainfall_mse")}
