"""CSI, POD, FAR, bias, HSS, GSS, HK, MCC, F1, SEDI and accuracy of exceeding a rain rate, from pooled counts.

With hits h, misses m, false alarms f and correct rejections c of the event "rain rate >= threshold", n = h + m + f + c:

- CSI = h / (h + m + f), critical success index: 1 is perfect, 0 is no skill at all;
- POD = h / (h + m), probability of detection;
- FAR = f / (h + f), false alarm ratio: 0 is perfect;
- bias = (h + f) / (h + m): events forecast for each event observed;
- accuracy = (h + c) / n, proportion correct;
- GSS = (h - r) / (h + m + f - r) with r = (h + m) (h + f) / n, Gilbert skill score (equitable threat score, ETS);
- HSS = 2 (h c - m f) / ((h + m) (m + c) + (h + f) (f + c)), Heidke skill score, = 2 GSS / (GSS + 1);
- HK = h / (h + m) - f / (f + c), Hanssen-Kuipers discriminant (Peirce skill score);
- MCC = (h c - m f) / sqrt((h + m) (h + f) (c + m) (c + f)), Matthews correlation coefficient;
- F1 = 2 h / (2 h + m + f);
- SEDI = (ln F - ln H - ln(1 - F) + ln(1 - H)) / (ln F + ln H + ln(1 - F) + ln(1 - H)) with H = POD, F = f / (f + c),
  symmetric extremal dependence index; 1 for a perfect table, undefined where H or F alone is 0 or 1.

An undefined quotient (no event) is NaN. By hand: h = 3, m = 1, f = 2, c = 4 give CSI 0.5, POD 0.75,
FAR 0.4, bias 1.25, accuracy 0.7, GSS 0.25, HSS 0.4, HK 0.4167, MCC 0.4082, F1 0.6667 and SEDI 0.5646.

Source: Jolliffe and Stephenson, Forecast Verification, 2nd ed. 2012, chapter 3, doi:10.1002/9781119960003; Ferro and
Stephenson 2011, doi:10.1175/WAF-D-10-05030.1, for the SEDI.

    >>> import numpy as np
    >>> forecast = np.array([1, 1, 1, 1, 1, 0, 0], np.float32).reshape(1, 1, 1, 7)
    >>> observed = np.array([1, 1, 1, 0, 0, 1, 0], np.float32).reshape(1, 1, 1, 7)
    >>> float(values(statistics(forecast, observed, thresholds=(0.5,)))["csi"][0, 0])
    0.5
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import THRESHOLDS_MM_H, Score, Sums, each_lead, ratio, valid_pixels

SCORES = {
    "csi": Score("Critical success index", 1.0, abbreviation="CSI", main=True),
    "pod": Score("Probability of detection", 1.0, abbreviation="POD"),
    "far": Score("False alarm ratio", 0.0, abbreviation="FAR"),
    "bias": Score("Frequency bias", 1.0),
    "accuracy": Score("Proportion correct", 1.0),
    "gss": Score("Gilbert skill score, equitable threat score", 1.0, abbreviation="GSS"),
    "hss": Score("Heidke skill score", 1.0, abbreviation="HSS"),
    "hk": Score("Hanssen-Kuipers discriminant, Peirce skill score", 1.0, abbreviation="HK"),
    "mcc": Score("Matthews correlation coefficient", 1.0, abbreviation="MCC"),
    "f1": Score("F1 score", 1.0),
    "sedi": Score("Symmetric extremal dependence index", 1.0, abbreviation="SEDI"),
}


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
) -> Sums:
    """Hits, misses, false alarms and correct rejections by lead and threshold (mm/h)."""
    counts = valid_pixels(forecast, observed)
    shape = (forecast.shape[1], len(thresholds))
    names = ("hits", "misses", "false_alarms", "correct_rejections")
    sums: Sums = {name: np.zeros(shape) for name in names}

    def work(lead: int) -> None:
        valid = counts[:, lead]
        pixels = np.count_nonzero(valid)
        f, o = (np.where(valid, rain[:, lead], -np.inf) for rain in (forecast, observed))
        event_f, event_o = np.empty(valid.shape, bool), np.empty(valid.shape, bool)
        for column, threshold in enumerate(thresholds):
            np.greater_equal(f, threshold, out=event_f)
            np.greater_equal(o, threshold, out=event_o)
            forecasts, events = np.count_nonzero(event_f), np.count_nonzero(event_o)
            hits = np.count_nonzero(np.logical_and(event_f, event_o, out=event_f))
            table = (hits, events - hits, forecasts - hits, pixels - forecasts - events + hits)
            for name, count in zip(names, table, strict=True):
                sums[name][lead, column] = count

    each_lead(work, shape[0])
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, each (lead, threshold)."""
    h, m, f, c = (sums[name] for name in ("hits", "misses", "false_alarms", "correct_rejections"))
    n = h + m + f + c
    by_chance = np.nan_to_num(ratio((h + m) * (h + f), n))
    spread = np.sqrt((h + m) * (h + f)) * np.sqrt((c + m) * (c + f))
    return {
        "csi": ratio(h, h + m + f),
        "pod": ratio(h, h + m),
        "far": ratio(f, h + f),
        "bias": ratio(h + f, h + m),
        "accuracy": ratio(h + c, n),
        "gss": ratio(h - by_chance, h + m + f - by_chance),
        "hss": ratio(2 * (h * c - m * f), (h + m) * (m + c) + (h + f) * (f + c)),
        "hk": ratio(h, h + m) - ratio(f, f + c),
        "mcc": ratio(h * c - m * f, spread),
        "f1": ratio(2 * h, 2 * h + m + f),
        "sedi": _sedi(h, m, f, c),
    }


def _sedi(h: np.ndarray, m: np.ndarray, f: np.ndarray, c: np.ndarray) -> np.ndarray:
    detected, falsely = ratio(h, h + m), ratio(f, f + c)
    inside = (detected > 0) & (detected < 1) & (falsely > 0) & (falsely < 1)
    a, b = np.where(inside, detected, 0.5), np.where(inside, falsely, 0.5)
    above = np.log(b) - np.log(a) - np.log1p(-b) + np.log1p(-a)
    below = np.log(b) + np.log(a) + np.log1p(-b) + np.log1p(-a)
    perfect = (h > 0) & (c > 0) & (m == 0) & (f == 0)
    return np.asarray(np.where(perfect, 1.0, np.where(inside, above / below, np.nan)))
