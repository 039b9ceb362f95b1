"""What a score is: two pure functions.

A module of `echocast.verification.scores` has

- ``statistics(forecast, observed, *, thresholds) -> Sums``: sums over cases and pixels, kept apart by lead, that add;
- ``values(sums) -> dict[str, array]``: the scores by name, made of those sums, with dims (lead,) or (lead, threshold);
- ``PERFECT``: the value of each score for a perfect forecast, NaN where it depends on the weather;
- ``MEMBERS = True`` if it scores ensembles: its `forecast` is then (case, member, lead, y, x).

So chunks, days and machines add, and ratios are pooled rather than averaged. `forecast` and `observed` are rain rates
(mm/h) of shape (case, lead, y, x); a pixel counts where both are finite. A score that nothing defines (0 / 0) is NaN.

    >>> import numpy as np
    >>> add({"n": np.ones(2)}, {"n": np.ones(2)})["n"].tolist()
    [2.0, 2.0]
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Num

from echocast.parallel import thread_count
from echocast.zr import ZR_RELATIONS

Sums = dict[str, np.ndarray]
"""Named float64 sums whose first axis is the lead; then come thresholds, ranks, rings or nothing."""

THRESHOLDS_MM_H = (0.5, 1.0, 2.0, 5.0, 10.0)


def each_lead(work: Callable[[int], None], leads: int) -> None:
    """Do something for each lead, several at a time: NumPy and OpenCV let other threads run while they work."""
    threads = thread_count()
    if threads == 1 or leads == 1:
        for lead in range(leads):
            work(lead)
        return
    with ThreadPoolExecutor(min(threads, leads)) as pool:
        list(pool.map(work, range(leads)))


def add(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Sums:
    """The sums of two disjoint sets of cases together."""
    if a.keys() != b.keys():
        raise ValueError(f"sums of different scores do not add: {sorted(a)} and {sorted(b)}")
    return {name: a[name] + b[name] for name in a}


def both(
    forecast: Float[np.ndarray, "case lead y x"], observed: Float[np.ndarray, "case lead y x"]
) -> Bool[np.ndarray, "case lead y x"]:
    """Where a pixel counts: forecast and observed are both finite."""
    if forecast.shape != observed.shape or forecast.ndim != 4:
        raise ValueError(f"forecast {forecast.shape} and observed {observed.shape} must both be (case, lead, y, x)")
    return np.asarray(np.isfinite(forecast) & np.isfinite(observed))


def of_members(
    forecast: Float[np.ndarray, "case member lead y x"], observed: Float[np.ndarray, "case lead y x"]
) -> Bool[np.ndarray, "case lead y x"]:
    """Where a pixel of an ensemble counts: observed, and forecast by every member."""
    if forecast.ndim != 5 or (forecast.shape[0], *forecast.shape[2:]) != observed.shape or forecast.shape[1] < 1:
        raise ValueError(
            f"forecast {forecast.shape} must be (case, member, lead, y, x) and observed {observed.shape} the same"
            " without members"
        )
    return np.asarray(np.isfinite(forecast).all(axis=1) & np.isfinite(observed))


def ratio(above: Num[np.ndarray, "*shape"], below: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """A quotient that is NaN, without a warning, where the divisor is 0."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) != 0))


def grey(rain_mm_h: Float[np.ndarray, "*shape"], relation: str = "hko-2015") -> Float[np.ndarray, "*shape"]:
    """The grey level of a rain rate in the papers' scores: (Z + 10) / 70 in [0, 1], Z in dBZ by a named relation.

    NaN stays NaN; dry is 0.

    Args:
        rain_mm_h: rain rate.
        relation: of `echocast.zr.ZR_RELATIONS`: ``hko-2015`` for the ConvLSTM paper, ``hko-7`` for its successor.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2, and Shi et al. 2017 (arXiv:1706.03458), with their code.
    """
    rate = np.maximum(rain_mm_h, np.float32(1e-6))  # far below grey level 0, which is about 0.01 mm/h
    dbz = ZR_RELATIONS[relation].dbz(np.log10(rate))
    return np.asarray(np.clip((dbz + 10.0) / 70.0, 0.0, 1.0))
