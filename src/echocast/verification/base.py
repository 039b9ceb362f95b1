"""What a score is: two pure functions, and what a report calls it.

A module of `echocast.verification.scores`, or of a package that names it as an entry point, has

- ``statistics(forecast, observed, *, thresholds) -> Sums``: sums over cases and pixels, kept apart by lead, that add;
- ``values(sums) -> dict[str, array]``: the scores by name, made of those sums, with dims (lead,) or (lead, threshold);
- ``SCORES``: by the names that `values` gives, the `Score` of each: its title, unit and perfect value;
- ``MEMBERS = True`` if it scores ensembles: its `forecast` is then (case, member, lead, y, x).

So the sums of cases, days and machines add, and ratios are pooled rather than averaged. `forecast` and `observed` are
rain rates (mm/h) of shape (case, lead, y, x); a pixel counts where both are finite. An undefined score (0 / 0) is NaN.

    >>> import numpy as np
    >>> add({"n": np.ones(2)}, {"n": np.ones(2)})["n"].tolist()
    [2.0, 2.0]
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from echocast.parallel import thread_count
from echocast.zr import ZR_RELATIONS

Sums = dict[str, np.ndarray]
"""Named float64 sums whose first axis is the lead; then come thresholds, ranks, rings or nothing."""

THRESHOLDS_MM_H = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Score:
    """What tables, figures and files say of a score.

    Args:
        title: its name as a textbook has it.
        perfect: its value for a perfect forecast; NaN where that depends on the weather.
        abbreviation: as figures and column heads have it; the title if empty.
        unit: as UDUNITS writes it, ``mm h-1``; ``1`` without one.
        of_independent: whether it holds only for members that are drawn independently; of others it is NaN.
        main: whether the report also shows it by lead time and tests the differences between forecasters.
    """

    title: str
    perfect: float
    _: KW_ONLY
    abbreviation: str = ""
    unit: str = "1"
    main: bool = False
    of_independent: bool = False

    @property
    def full_title(self) -> str:
        """Title, abbreviation and unit: ``Root mean square error (RMSE) in mm/h``."""
        return self._with_unit(self.title + (f" ({self.abbreviation})" if self.abbreviation else ""))

    @property
    def short_title(self) -> str:
        """Abbreviation and unit: ``RMSE in mm/h``."""
        return self._with_unit(self.abbreviation or self.title)

    @property
    def plain_unit(self) -> str:
        """The unit as people write it, ``mm/h``; empty without one."""
        return "" if self.unit == "1" else re.sub(r" ([a-z]+)-(\d)", _per, self.unit)

    def _with_unit(self, title: str) -> str:
        return f"{title} in {self.plain_unit}" if self.plain_unit else title


def _per(found: re.Match[str]) -> str:
    name, power = found.groups()
    return f"/{name}" if power == "1" else f"/{name}{power}"


def each_lead(work: Callable[[int], None], leads: int) -> None:
    """Do something for each lead, in `thread_count` threads: NumPy and OpenCV let others run while they work."""
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


def valid_pixels(
    forecast: Float[np.ndarray, "case lead y x"], observed: Float[np.ndarray, "case lead y x"]
) -> Bool[np.ndarray, "case lead y x"]:
    """Where a pixel counts: forecast and observed are both finite.

    Raises:
        ValueError: shapes that differ, or are not (case, lead, y, x).
    """
    if forecast.shape != observed.shape or forecast.ndim != 4:
        raise ValueError(f"forecast {forecast.shape} and observed {observed.shape} must both be (case, lead, y, x)")
    return np.asarray(np.isfinite(forecast) & np.isfinite(observed))


def valid_ensemble_pixels(
    forecast: Float[np.ndarray, "case member lead y x"], observed: Float[np.ndarray, "case lead y x"]
) -> Bool[np.ndarray, "case lead y x"]:
    """Where a pixel of an ensemble counts: observed, and forecast by every member.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    if forecast.ndim != 5 or (forecast.shape[0], *forecast.shape[2:]) != observed.shape or forecast.shape[1] < 1:
        raise ValueError(
            f"forecast {forecast.shape} must be (case, member, lead, y, x) and observed {observed.shape} the same"
            " without members"
        )
    return np.asarray(np.isfinite(forecast).all(axis=1) & np.isfinite(observed))


def ratio(above: Num[np.ndarray, "*shape"], below: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`above` / `below`; NaN, without a warning, where the divisor is 0."""
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
