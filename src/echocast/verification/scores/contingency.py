"""CSI, POD, FAR and frequency bias of exceeding a rain rate, from pooled counts.

With hits h, misses m and false alarms f of the event "rain rate >= threshold":

- CSI = h / (h + m + f), critical success index: 1 is perfect, 0 is no skill at all;
- POD = h / (h + m), probability of detection;
- FAR = f / (h + f), false alarm ratio: 0 is perfect;
- bias = (h + f) / (h + m): events forecast for each event observed.

An undefined quotient (no event on either side) is NaN. By hand: h = 3, m = 1, f = 2 give CSI 0.5, POD 0.75, FAR 0.4 and
bias 1.25.

Source: Jolliffe and Stephenson, Forecast Verification, 2nd ed. 2012, chapter 3, doi:10.1002/9781119960003.

    >>> import numpy as np
    >>> forecast = np.array([1, 1, 1, 1, 1, 0, 0], np.float32).reshape(1, 1, 1, 7)
    >>> observed = np.array([1, 1, 1, 0, 0, 1, 0], np.float32).reshape(1, 1, 1, 7)
    >>> float(values(statistics(forecast, observed, thresholds=(0.5,)))["csi"][0, 0])
    0.5
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Sums, both, ratio

PERFECT = {"csi": 1.0, "pod": 1.0, "far": 0.0, "bias": 1.0}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Hits, misses and false alarms by lead and threshold (mm/h)."""
    counts = both(forecast, observed)
    sums: Sums = {name: np.zeros((forecast.shape[1], len(thresholds))) for name in ("hits", "misses", "false_alarms")}
    for column, threshold in enumerate(thresholds):
        yes, seen = (forecast >= threshold) & counts, (observed >= threshold) & counts
        hits = (yes & seen).sum(axis=(0, 2, 3))
        sums["hits"][:, column] = hits
        sums["misses"][:, column] = seen.sum(axis=(0, 2, 3)) - hits
        sums["false_alarms"][:, column] = yes.sum(axis=(0, 2, 3)) - hits
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """CSI, POD, FAR and bias, each (lead, threshold)."""
    h, m, f = sums["hits"], sums["misses"], sums["false_alarms"]
    return {
        "csi": ratio(h, h + m + f),
        "pod": ratio(h, h + m),
        "far": ratio(f, h + f),
        "bias": ratio(h + f, h + m),
    }
