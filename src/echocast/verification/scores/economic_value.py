"""The relative economic value of warnings: what a user saves by the forecast, of what a perfect one would save.

A user can protect at the cost C against a loss L, and protects where the forecast probability of "rate >= threshold",
the share of members with it, is at least the cost-loss ratio a = C / L. With the observed frequency s, the hits H and
the false alarms F as shares of all pixels, a user spends, in units of L, (H + F) a + (s - H). Without a forecast it is
min(a, s): always or never protect; with a perfect one s a.

    value = (min(a, s) - (H + F) a - (s - H)) / (min(a, s) - s a)

1 is perfect; below 0 the user had better not look at the forecast. `value_10` is that of a cost of 10 % of the loss. A
deterministic forecast has the probabilities 0 and 1. By hand: s = 0.5, a = 0.5, half of the events hit without a false
alarm: (0.5 - 0.125 - 0.25) / (0.5 - 0.25) = 0.5.

Source: Richardson 2000, doi:10.1002/qj.49712656313, equation 8; Zhu et al. 2002,
doi:10.1175/1520-0477(2002)083<0073:TEVOEB>2.3.CO;2.

    >>> import numpy as np
    >>> observed = np.array([0, 0, 1, 1], np.float32).reshape(1, 1, 1, 4)
    >>> member = np.array([0, 0, 0, 1], np.float32).reshape(1, 1, 1, 1, 4)
    >>> float(values(statistics(member, observed, thresholds=(0.5,)))["value_50"][0, 0])
    0.5
"""

import numpy as np

from echocast.verification.base import Score, Sums, ratio
from echocast.verification.scores import probability

MEMBERS = True
PERCENT = (2, 5, 10, 20, 50)
"""Cost-loss ratios."""
SCORES = {f"value_{percent}": Score(f"Economic value at a cost of {percent} % of the loss", 1.0) for percent in PERCENT}

statistics = probability.statistics
"""Number of forecasts of each probability, and of events at each."""


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The value for each cost-loss ratio, (lead, threshold)."""
    return {f"value_{percent}": _value(sums, percent / 100) for percent in PERCENT}


def _value(sums: Sums, cost: float) -> np.ndarray:
    forecasts, events = sums["forecasts"], sums["events"]
    protects = np.linspace(0.0, 1.0, forecasts.shape[-1]) >= cost - 1e-9  # 2 of 20 members are 10 %
    n = forecasts.sum(axis=-1)
    happens = ratio(events.sum(axis=-1), n)
    hits, protected = (ratio(counts[..., protects].sum(axis=-1), n) for counts in (events, forecasts))
    without = np.minimum(cost, happens)
    return ratio(without - protected * cost - (happens - hits), without - happens * cost)
