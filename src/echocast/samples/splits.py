"""Which frames are for training, validation and test: by segments, by dates, or by the blocks of the paper.

However frames are shared out, two parts never share a segment, so no window looks into another part.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from echocast.errors import DataError
from echocast.samples.segments import observed, segments, window_starts

PARTS = ("all", "train", "validation", "test")
FRACTIONS = (0.7, 0.15, 0.15)
"""How a field's frames go to train, validation and test, in the order of time."""

_THREE = (0.6, 0.8)
"""Where an archive is cut to train, validate and test in the order of time."""
_TRAINED = 0.75
"""The share of the windows of few events that are trained on."""

BLOCK = 40
BLOCKS_A_DAY = 6


def by_fractions(field: xr.DataArray, part: str, *, fractions: tuple[float, float, float] = FRACTIONS) -> list[slice]:
    """The segments of one part of a field; each belongs to one part only.

    Raises:
        DataError: an unknown part, or fewer than three segments to share out.
    """
    if part not in PARTS:
        raise DataError(f"there is no split {part!r}; there are {', '.join(PARTS)}")
    found = segments(field)
    if part == "all":
        return found
    if len(found) < 3:
        raise DataError(
            f"{len(found)} unbroken segments cannot be split into train, validation and test;"
            " archive these parts as stores of their own, or use --split all"
        )
    frames = np.cumsum([one.stop - one.start for one in found]) / sum(one.stop - one.start for one in found)
    first = int(np.clip(np.abs(frames - fractions[0]).argmin() + 1, 1, len(found) - 2))
    second = int(np.clip(np.abs(frames - fractions[0] - fractions[1]).argmin() + 1, first + 1, len(found) - 1))
    bounds = {"train": (0, first), "validation": (first, second), "test": (second, len(found))}
    return found[slice(*bounds[part])]


def by_time(field: xr.DataArray, past: int, future: int) -> dict[str, list[slice]]:
    """Of few events, the first three quarters of their windows to train and the last quarter for validation.

    Between the two lies a gap as long as a window, whose frames are in neither: minutes after the last training frame
    it still rains where it did. There is no test part.

    Args:
        field: an archive's field.
        past: frames of input of a window.
        future: frames to forecast.

    Raises:
        DataError: the field is too short for a window in each part and the gap.
    """
    found, window = segments(field), past + future
    starts = window_starts(found, past, future, 1)
    cuts = np.arange(field.sizes["time"] + 1)
    train = np.searchsorted(starts, cuts - window, side="right")
    validation = len(starts) - np.searchsorted(starts, cuts + window)
    fits = (train > 0) & (validation > 0)
    if not fits.any():
        longest = max((one.stop - one.start for one in found), default=0)
        raise DataError(
            f"{len(found)} unbroken segments, the longest of {longest} frames, are too short to learn from and to"
            f" validate with: that takes {3 * window} frames, for windows of {window} and a gap as long; archive more,"
            " give data.validation, or lower data.past and data.future"
        )
    share = np.where(fits, train / np.maximum(train + validation, 1), np.inf)
    cut = int(cuts[np.abs(share - _TRAINED).argmin()])
    number = np.arange(field.sizes["time"])
    return {"train": _within(field, number < cut), "validation": _within(field, number >= cut + window), "test": []}


def in_three(
    field: xr.DataArray, past: int, future: int, weights: Sequence[float] | np.ndarray | None = None
) -> dict[str, list[slice]]:
    """The first part of an archive to train, then a part for validation, the last for test, whatever its segments.

    Of the frames, and of their weights, 60 % lie before the first cut and 80 % before the second, in the mean of both.
    After each cut lies a gap as long as a window, whose frames are in no part: minutes after the last frame it still
    rains where it did.

    Args:
        field: an archive's field.
        past: frames of input of a window.
        future: frames to forecast.
        weights: of each frame, such as how much of it is wet; all alike if None.

    Raises:
        DataError: the field is too short for a window in each part.
    """
    window, count = past + future, field.sizes["time"]
    seen = observed(field).astype(float)
    total = np.cumsum(seen) / max(1.0, seen.sum())
    if weights is not None and np.sum(weights) > 0:
        total = (total + np.cumsum(weights) / np.sum(weights)) / 2
    number = np.arange(count)
    first, second = (int(np.searchsorted(total, share * total[-1])) for share in _THREE) if count else (0, 0)
    inside = {
        "train": number < first,
        "validation": (number >= first + window) & (number < second),
        "test": number >= second + window,
    }
    parts = {name: _within(field, chosen) for name, chosen in inside.items()}
    short = [name for name, found in parts.items() if not len(window_starts(found, past, future, 1))]
    if short:
        raise DataError(
            f"{int(seen.sum())} frames in {len(segments(field))} unbroken segments leave no {short[0]} window of"
            f" {window} frames, when the last fifth is kept for a test and the fifth before it for validation;"
            " archive more"
        )
    return parts


def by_dates(field: xr.DataArray, *, validation: tuple[str, str], test: tuple[str, str]) -> dict[str, list[slice]]:
    """The segments of each part by date; what is in neither span is for training.

    Args:
        field: an archive's field.
        validation: first time and the first after it (UTC), as 2016-07-01.
        test: the same; the spans must not overlap.

    Raises:
        DataError: spans that overlap, are empty or are no times.
    """
    spans = {}
    for name, (begin, until) in (("validation", validation), ("test", test)):
        try:
            spans[name] = (np.datetime64(begin, "ns"), np.datetime64(until, "ns"))
        except ValueError as bad:
            raise DataError(f"{name} = {begin!r} to {until!r} are no times; write them as 2016-07-01") from bad
        if not spans[name][0] < spans[name][1]:
            raise DataError(f"{name} = {begin} to {until} is no span; the second must be later")
    (a, b), (c, d) = spans["validation"], spans["test"]
    if a < d and c < b:
        raise DataError(f"validation ({validation[0]} to {validation[1]}) and test ({test[0]} to {test[1]}) overlap")
    part = np.full(field.sizes["time"], "train", dtype="<U10")
    for name, (start, stop) in spans.items():
        part[(field.time.values >= start) & (field.time.values < stop)] = name
    return {name: _within(field, part == name) for name in ("train", "validation", "test")}


def rainiest_days(field: xr.DataArray, days: int) -> list[np.datetime64]:
    """The days (UTC) of most rain, by the mean over all that was seen, in their order of time."""
    day = field.time.values.astype("datetime64[D]")
    total = {}
    for one in np.unique(day):
        where = np.flatnonzero(day == one)
        values = field[where[0] : where[-1] + 1].values
        total[one] = float(np.nanmean(values)) if np.isfinite(values).any() else -1.0
    return sorted(sorted(total, key=lambda one: (-total[one], one))[:days])


def blocks(
    field: xr.DataArray, *, days: Sequence[np.datetime64] | None = None, seed: int = 0
) -> dict[str, list[slice]]:
    """The paper's split: each day in blocks of 40 frames, one drawn for test, one for validation, the rest to train.

    97 days of 240 frames give, in windows of 20, 8148 for training, 2037 for validation and 2037 for test.

    Args:
        field: an archive's field.
        days: the days to take, all whole ones by default (see `rainiest_days`).
        seed: of the draw.

    Raises:
        DataError: no day has three whole blocks.

    Source: Shi et al. 2015, section 4.2.
    """
    drawn = np.random.default_rng(seed)
    day = field.time.values.astype("datetime64[D]")
    observed = field.coords["observed"].values if "observed" in field.coords else np.ones(len(day), bool)
    parts: dict[str, list[slice]] = {"train": [], "validation": [], "test": []}
    for one in np.unique(day) if days is None else days:
        where = np.flatnonzero(day == one)
        count = min(len(where) // BLOCK, BLOCKS_A_DAY)
        found = [slice(int(where[0]) + n * BLOCK, int(where[0]) + (n + 1) * BLOCK) for n in range(count)]
        found = [block for block in found if observed[block].all()]
        if len(found) < 3:
            continue
        test, validation = drawn.choice(len(found), 2, replace=False)
        parts["test"].append(found[test])
        parts["validation"].append(found[validation])
        parts["train"] += [block for n, block in enumerate(found) if n not in (test, validation)]
    if not parts["test"]:
        raise DataError(f"no day has three whole blocks of {BLOCK} frames; this split needs days without gaps")
    return parts


def _within(field: xr.DataArray, chosen: np.ndarray) -> list[slice]:
    """The segments of the frames that are chosen."""
    found = []
    for one in segments(field):
        inside = np.flatnonzero(chosen[one]) + one.start
        found += [
            slice(int(s[0]), int(s[-1]) + 1)
            for s in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
            if len(s)
        ]
    return found
