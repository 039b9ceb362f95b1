"""Brier score with its parts, and the area under the ROC curve, of the share of members that exceed a rain rate.

With M members the forecast probability p of "rate >= threshold" is one of 0, 1/M, ..., 1. For n pixels and cases, n_k
with probability p_k of which o_k had the event, and the observed share o = sum o_k / n:

- brier = mean (p - event)^2, 0 is perfect; = brier_reliability - brier_resolution + brier_uncertainty, exactly;
- brier_reliability = sum n_k (p_k - o_k / n_k)^2 / n: 0 if probabilities mean what they say;
- brier_resolution = sum n_k (o_k / n_k - o)^2 / n: how far they go from the mean share;
- brier_uncertainty = o (1 - o), what the weather gives;
- brier_skill = 1 - brier / brier_uncertainty, against the mean share of these cases;
- roc_area = area under POD against the probability of false detection as the deciding p falls, by trapezes: 1 is
  perfect, 0.5 knows nothing; NaN without events or without their absence.

The same sums are the reliability diagram and the ROC curve. By hand: two members; probabilities 0, 0.5, 0.5, 1 with
events 0, 0, 1, 1 give Brier 0.125 = 0 - 0.125 + 0.25 and an area of 0.875.

Source: Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2; Jolliffe and Stephenson 2012, chapters 3, 7.

    >>> import numpy as np
    >>> seen = np.array([0, 0, 1, 1], np.float32).reshape(1, 1, 1, 4)
    >>> members = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], np.float32).reshape(1, 2, 1, 1, 4)
    >>> float(values(statistics(members, seen, thresholds=(0.5,)))["brier"][0, 0])
    0.125
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Sums, of_members, ratio

MEMBERS = True
PERFECT = {
    "brier": 0.0,
    "brier_reliability": 0.0,
    "brier_resolution": np.nan,
    "brier_uncertainty": np.nan,
    "brier_skill": 1.0,
    "roc_area": 1.0,
}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """How often each probability was forecast, and with an event, (lead, threshold, members + 1)."""
    counts = of_members(forecast, observed)
    members, leads = forecast.shape[1:3]
    shape = (leads, len(thresholds), members + 1)
    sums: Sums = {"forecasts": np.zeros(shape), "events": np.zeros(shape)}
    for column, threshold in enumerate(thresholds):
        exceeding = (forecast >= threshold).sum(axis=1)
        event = observed >= threshold
        for lead in range(leads):
            seen = counts[:, lead]
            said, came = exceeding[:, lead][seen], event[:, lead][seen]
            sums["forecasts"][lead, column] = np.bincount(said, minlength=members + 1)
            sums["events"][lead, column] = np.bincount(said[came], minlength=members + 1)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead, threshold)."""
    forecasts, events = sums["forecasts"], sums["events"]
    n, o = forecasts.sum(axis=-1), events.sum(axis=-1)
    p = np.linspace(0.0, 1.0, forecasts.shape[-1])
    share, mean = np.nan_to_num(ratio(events, forecasts)), ratio(o, n)
    brier = ratio((forecasts * p**2 - 2 * p * events + events).sum(axis=-1), n)
    uncertainty = mean * (1 - mean)
    return {
        "brier": brier,
        "brier_reliability": ratio((forecasts * (p - share) ** 2).sum(axis=-1), n),
        "brier_resolution": ratio((forecasts * (share - mean[..., None]) ** 2).sum(axis=-1), n),
        "brier_uncertainty": uncertainty,
        "brier_skill": 1.0 - ratio(brier, uncertainty),
        "roc_area": _area(*roc(sums)),
    }


def roc(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Probability of false detection and POD of deciding by p >= 1, ..., 1/M, 0, each from (0, 0) to (1, 1)."""
    events, none = sums["events"], sums["forecasts"] - sums["events"]
    caught, fooled = (np.cumsum(counts[..., ::-1], axis=-1) for counts in (events, none))
    start = np.zeros_like(caught[..., :1])
    pod = np.concatenate([start, ratio(caught, np.broadcast_to(caught[..., -1:], caught.shape))], axis=-1)
    pofd = np.concatenate([start, ratio(fooled, np.broadcast_to(fooled[..., -1:], fooled.shape))], axis=-1)
    return pofd, pod


def _area(pofd: np.ndarray, pod: np.ndarray) -> np.ndarray:
    return np.asarray((np.diff(pofd, axis=-1) * 0.5 * (pod[..., 1:] + pod[..., :-1])).sum(axis=-1))
