"""Brier score, its decomposition and skill score, and the area under the ROC curve, of exceeding a rain rate.

The forecast probability p of "rate >= threshold" is the share of the M members with it: 0, 1/M, ..., 1. For n pixels
and cases, n_k with probability p_k of which o_k had the event, and the observed frequency o = sum o_k / n:

- brier = mean (p - event)^2, 0 is perfect; = brier_reliability - brier_resolution + brier_uncertainty, exactly;
- brier_reliability = sum n_k (p_k - o_k / n_k)^2 / n: 0 if each probability is the observed frequency;
- brier_resolution = sum n_k (o_k / n_k - o)^2 / n: larger is better;
- brier_uncertainty = o (1 - o), which does not depend on the forecast;
- brier_skill = 1 - brier / brier_uncertainty, against the observed frequency of these cases;
- roc_area = area under POD against the probability of false detection as the decision threshold on p falls,
  by trapezoids: 1 is perfect, 0.5 has no skill; NaN without events or without non-events.

The same sums are the reliability diagram and the ROC curve. By hand: two members; probabilities 0, 0.5, 0.5, 1 with
events 0, 0, 1, 1 give Brier 0.125 = 0 - 0.125 + 0.25 and an area of 0.875.

Source: Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2; Jolliffe and Stephenson 2012, chapters 3, 7.

    >>> import numpy as np
    >>> observed = np.array([0, 0, 1, 1], np.float32).reshape(1, 1, 1, 4)
    >>> members = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], np.float32).reshape(1, 2, 1, 1, 4)
    >>> float(values(statistics(members, observed, thresholds=(0.5,)))["brier"][0, 0])
    0.125
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
SCORES = {
    "brier": Score("Brier score", 0.0, abbreviation="BS"),
    "brier_reliability": Score("Reliability of the Brier score", 0.0),
    "brier_resolution": Score("Resolution of the Brier score", np.nan),
    "brier_uncertainty": Score("Uncertainty of the Brier score", np.nan),
    "brier_skill": Score("Brier skill score", 1.0, abbreviation="BSS"),
    "roc_area": Score("Area under the ROC curve", 1.0),
}


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Number of forecasts of each probability, and of events at each, (lead, threshold, members + 1)."""
    counts = valid_ensemble_pixels(forecast, observed)
    members, leads = forecast.shape[1:3]
    shape = (leads, len(thresholds), members + 1)
    sums: Sums = {"forecasts": np.zeros(shape), "events": np.zeros(shape)}
    for column, threshold in enumerate(thresholds):
        exceeding = (forecast >= threshold).sum(axis=1)
        event = observed >= threshold
        for lead in range(leads):
            valid = counts[:, lead]
            number, occurred = exceeding[:, lead][valid], event[:, lead][valid]
            sums["forecasts"][lead, column] = np.bincount(number, minlength=members + 1)
            sums["events"][lead, column] = np.bincount(number[occurred], minlength=members + 1)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, (lead, threshold)."""
    forecasts, events = sums["forecasts"], sums["events"]
    n, o = forecasts.sum(axis=-1), events.sum(axis=-1)
    p = np.linspace(0.0, 1.0, forecasts.shape[-1])
    frequency, mean = np.nan_to_num(ratio(events, forecasts)), ratio(o, n)
    brier = ratio((forecasts * p**2 - 2 * p * events + events).sum(axis=-1), n)
    uncertainty = mean * (1 - mean)
    return {
        "brier": brier,
        "brier_reliability": ratio((forecasts * (p - frequency) ** 2).sum(axis=-1), n),
        "brier_resolution": ratio((forecasts * (frequency - mean[..., None]) ** 2).sum(axis=-1), n),
        "brier_uncertainty": uncertainty,
        "brier_skill": 1.0 - ratio(brier, uncertainty),
        "roc_area": _area(*roc(sums)),
    }


def roc(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Probability of false detection and POD of a warning at p >= 1, ..., 1/M, 0, each from (0, 0) to (1, 1)."""
    events, non_events = sums["events"], sums["forecasts"] - sums["events"]
    hits, false_alarms = (np.cumsum(counts[..., ::-1], axis=-1) for counts in (events, non_events))
    start = np.zeros_like(hits[..., :1])
    pod = np.concatenate([start, ratio(hits, np.broadcast_to(hits[..., -1:], hits.shape))], axis=-1)
    all_non_events = np.broadcast_to(false_alarms[..., -1:], false_alarms.shape)
    pofd = np.concatenate([start, ratio(false_alarms, all_non_events)], axis=-1)
    return pofd, pod


def _area(pofd: np.ndarray, pod: np.ndarray) -> np.ndarray:
    return np.asarray((np.diff(pofd, axis=-1) * 0.5 * (pod[..., 1:] + pod[..., :-1])).sum(axis=-1))
