"""The CSI of each forecaster on different pixels, for all forecasters of a verification.

What is compared on the pixels that all forecasters have is fair, but hides what each one leaves out, and one forecaster
with large gaps decides for all. So the CSI is also kept

- ``own``: on all observed pixels, where what a forecaster does not know is dry. Who forecasts more of the rain gains;
- ``pair``: of a forecaster and the first one, on the pixels that these two have.

Each is kept as pooled counts and as the sum of each case's CSI: their mean weighs a shower as much as a front.

    >>> observed = np.ones((1, 1, 1, 4), np.float32)
    >>> whole, half = observed.copy(), np.array([1, 1, np.nan, np.nan], np.float32).reshape(1, 1, 1, 4)
    >>> sums = mask_sums({"whole": whole, "half": half}, observed, thresholds=(0.5,))
    >>> [csi(sums["half", mask])[0].item() for mask in (COMMON, OWN, pair("whole"))]
    [1.0, 0.5, 1.0]
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from echocast.verification.base import Sums, each_lead, ratio

MASKS = "csi_by_mask"
"""The family of these sums; it is no family of scores."""
COMMON, OWN = "common", "own"


def pair(other: str) -> str:
    """The mask of the pixels that a forecaster shares with another."""
    return f"pair {other}"


def mask_sums(
    forecasts: Mapping[str, Float[np.ndarray, "case lead y x"]],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float],
) -> dict[tuple[str, str], Sums]:
    """By forecaster and mask, sums that add over cases, (lead, threshold).

    ``hits`` and ``either`` (pixels with an event, forecast or observed) are pooled; ``csi`` is the sum over those
    ``cases`` that have an event.

    Args:
        forecasts: by name, in mm/h; NaN where a forecaster has none. The first is the reference of the pairs.
        observed: in mm/h; NaN where not observed.
        thresholds: of the events, mm/h.
    """
    first, *others = forecasts
    shape = (observed.shape[1], len(thresholds))
    wanted = [(name, mask) for name in forecasts for mask in (COMMON, OWN)]
    wanted += [key for name in others for key in ((name, pair(first)), (first, pair(name)))]
    names = ("hits", "either", "csi", "cases")
    made: dict[tuple[str, str], Sums] = {key: {name: np.zeros(shape) for name in names} for key in wanted}

    def work(lead: int) -> None:
        seen = np.isfinite(observed[:, lead])
        known = {name: np.isfinite(rain[:, lead]) & seen for name, rain in forecasts.items()}
        common = np.logical_and.reduce(list(known.values()))
        for column, threshold in enumerate(thresholds):
            event = observed[:, lead] >= threshold  # never where it is NaN
            for name, mask in wanted:
                forecast = (forecasts[name][:, lead] >= threshold) & known[name]
                other = mask.removeprefix("pair ")
                inside = common if mask == COMMON else (None if mask == OWN else known[name] & known[other])
                _count(made[name, mask], (lead, column), forecast, event, inside)

    each_lead(work, shape[0])
    return made


def _count(
    sums: Sums,
    at: tuple[int, int],
    forecast: Bool[np.ndarray, "case y x"],
    event: Bool[np.ndarray, "case y x"],
    inside: Bool[np.ndarray, "case y x"] | None,
) -> None:
    if inside is not None:
        forecast, event = forecast & inside, event & inside
    hits, forecasts, events = (_by_case(what) for what in (forecast & event, forecast, event))
    either = forecasts + events - hits
    sums["hits"][at], sums["either"][at] = hits.sum(), either.sum()
    sums["csi"][at] = (hits / np.maximum(either, 1)).sum()
    sums["cases"][at] = np.count_nonzero(either)


def _by_case(what: Bool[np.ndarray, "case y x"]) -> Int[np.ndarray, "case"]:
    """How many pixels of each case; to count a whole array is many times faster than along its axes."""
    return np.array([np.count_nonzero(case) for case in what])


def csi(sums: Sums) -> tuple[Float[np.ndarray, "lead threshold"], Float[np.ndarray, "lead threshold"]]:
    """The CSI of pooled counts, and the mean of the CSIs of the cases with an event."""
    return ratio(sums["hits"], sums["either"]), ratio(sums["csi"], sums["cases"])
