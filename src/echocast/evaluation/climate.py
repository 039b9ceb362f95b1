"""How often it rains at least so much at each place in each month: the reference that probabilities have to beat.

The frequency of a threshold at a pixel in a calendar month is the share of an archive's frames of that month, in all
its years, that reach it. Where events are few they are pooled, alike at all pixels of a month and threshold: in the
smallest square of 1, 3, 9, 27 ... pixels, or the whole grid, in which `MIN_HOURS` of events are expected; and if the
whole grid has fewer in that month, with those of the months before and after it that the archive holds. A frame counts
as its time step.

    >>> climate = climate_of(rain, months=[6, 7], thresholds=(0.5, 5.0))  # doctest: +SKIP
    >>> climate.at(valid_times).frequency(lead=0, threshold=1)  # (case, y, x)  # doctest: +SKIP

Source: the climate as the reference of skill scores, Murphy 1973 (doi:10.1175/1520-0450(1973)012<0215:HASSFP>2.0.CO;2);
that it must not be pooled over places and seasons, Hamill and Juras 2006 (doi:10.1256/qj.06.25). The rule of pooling is
our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import xarray as xr
from jaxtyping import Float, Int, Shaped

from echocast import fields
from echocast.errors import DataError
from echocast.evaluation.config import BootstrapBlock, VerificationConfig

MIN_HOURS = 100.0
"""Hours of events, at all pixels that are pooled together, that a frequency is to be made of."""
_CHUNK_PIXELS = 2e7
MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
"""Their names, January first."""


@dataclass(frozen=True)
class Pooled:
    """How a frequency was made: the side of the square in pixels (None: the whole grid), and the months."""

    side: int | None
    months: tuple[int, ...]


@dataclass(frozen=True)
class Climate:
    """Frequencies of exceedance by calendar month, threshold and pixel.

    Args:
        months: 1 to 12.
        thresholds: in mm/h.
        frequencies: by month and threshold, 0 to 1.
        pooled: how each was made, by month and threshold.
        words: which archive they are from, for reports.
    """

    months: tuple[int, ...]
    thresholds: tuple[float, ...]
    frequencies: Float[np.ndarray, "month threshold y x"]
    pooled: tuple[tuple[Pooled, ...], ...] = ()
    words: str = ""

    def check(self, thresholds: Sequence[float]) -> None:
        """Raise `DataError` for other thresholds than its own."""
        if tuple(thresholds) != self.thresholds:
            own, other = (", ".join(f"{one:g}" for one in some) for some in (self.thresholds, thresholds))
            raise DataError(f"the climate has the thresholds {own} mm/h, and {other} are scored; make it with those")

    def at(self, times: Shaped[np.ndarray, "case lead"]) -> "ClimateOfCases":
        """Those of the months of some valid times; raises `DataError` for a month that it does not have."""
        found = months_of(times)
        place = np.zeros(found.shape, int)
        for month in np.unique(found).tolist():
            if month not in self.months:
                raise DataError(f"the climate has no {MONTHS[month - 1]}, which is scored; make it with that month")
            place[found == month] = self.months.index(month)
        return ClimateOfCases(self, place)


@dataclass(frozen=True)
class ClimateOfCases:
    """The frequencies for the valid times of some forecasts; `place` is the number of each one's month."""

    climate: Climate
    place: Int[np.ndarray, "case lead"] = field(repr=False)

    def of(self, cases: slice) -> "ClimateOfCases":
        """Those of some of the forecasts."""
        return ClimateOfCases(self.climate, self.place[cases])

    def frequency(self, lead: int, threshold: int) -> Float[np.ndarray, "case y x"]:
        """Of the lead and the threshold of these numbers."""
        return np.asarray(self.climate.frequencies[self.place[:, lead], threshold])


def climate_of(rain: xr.DataArray, *, months: Sequence[int], thresholds: Sequence[float], words: str = "") -> Climate:
    """The frequencies of an archive's field.

    Args:
        rain: in mm/h, (time, y, x); read in parts.
        months: which calendar months, 1 to 12.
        thresholds: in mm/h.
        words: what reports call the archive.

    Raises:
        DataError: the archive has no observed frame in a month.
    """
    hours = float(fields.time_step(rain.time.values) / np.timedelta64(1, "h"))
    near = sorted({(month + by - 1) % 12 + 1 for month in months for by in (-1, 0, 1)})
    frames, events = _counts(rain, near, thresholds)
    for month in months:
        if not frames[near.index(month)].any():
            raise DataError(
                f"{words or 'the climate'}: holds no observed frame of {MONTHS[month - 1]}, which is scored; give an"
                " archive that has that month, or score others (--months)"
            )
    made = np.empty((len(months), len(thresholds), *rain.shape[-2:]), np.float32)
    how = []
    for row, month in enumerate(months):
        rules = []
        for column in range(len(thresholds)):
            rule = _rule(frames, events[:, column], near, month, hours)
            chosen = [near.index(one) for one in rule.months]
            made[row, column] = _frequency(frames[chosen].sum(axis=0), events[chosen, column].sum(axis=0), rule.side)
            rules.append(rule)
        how.append(tuple(rules))
    return Climate(tuple(months), tuple(thresholds), made, tuple(how), words)


def climate_for(
    name: str, climate: xr.DataArray, rain: xr.DataArray, config: VerificationConfig, blocks: Sequence[BootstrapBlock]
) -> Climate:
    """The frequencies for what is scored, from another archive.

    Args:
        name: what messages and reports call that archive.
        climate: its field.
        rain: the field that is scored.
        config: how.
        blocks: which windows.

    Raises:
        GridMismatch: it lies on another grid.
        DataError: it holds a time that is scored, or lacks a month.
    """
    fields.check(climate, quantity=fields.NAME)
    fields.check_same_grid(rain, climate, name)
    starts = np.array([start for block in blocks for start in block.starts])
    steps = np.unique(starts[:, None] + config.past + np.arange(config.leads))
    times = rain.time.values[steps]
    if len(both := np.intersect1d(times, climate.time.values)):
        raise DataError(
            f"{name}: holds {len(both)} of the {len(times)} frames that are scored (the first at"
            f" {fields.format_time(both[0])}), so it would know them; give an archive of other times as --climate"
        )
    months = sorted(set(months_of(times).tolist()))
    first, last = (fields.format_time(climate.time.values[n]) for n in (0, -1))
    return climate_of(climate, months=months, thresholds=config.thresholds, words=f"{name} ({first} to {last})")


def months_of(times: Shaped[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """The calendar months, 1 to 12."""
    return np.asarray(times.astype("datetime64[M]").astype(int) % 12 + 1)


def _counts(
    rain: xr.DataArray, months: Sequence[int], thresholds: Sequence[float]
) -> tuple[Int[np.ndarray, "month y x"], Int[np.ndarray, "month threshold y x"]]:
    """How many frames observed each pixel in each month, and how many of them reached each threshold."""
    grid = rain.shape[-2:]
    frames = np.zeros((len(months), *grid), np.int32)
    events = np.zeros((len(months), len(thresholds), *grid), np.int32)
    of_frame, size = months_of(rain.time.values), max(1, int(_CHUNK_PIXELS // (grid[0] * grid[1])))
    for row, month in enumerate(months):
        chosen = np.flatnonzero(of_frame == month)
        for begin in range(0, len(chosen), size):
            part = rain[chosen[begin : begin + size]].values
            frames[row] += np.isfinite(part).sum(axis=0, dtype=np.int32)
            for column, threshold in enumerate(thresholds):
                events[row, column] += (part >= threshold).sum(axis=0, dtype=np.int32)  # never where it is NaN
    return frames, events


def _rule(frames: np.ndarray, events: np.ndarray, near: Sequence[int], month: int, hours: float) -> Pooled:
    """The smallest square, and then the months, in which enough hours of events are expected."""
    own = near.index(month)
    months: tuple[int, ...] = (month,)
    if events[own].sum() * hours < MIN_HOURS:
        around = [(month + by - 1) % 12 + 1 for by in (-1, 0, 1)]
        months = tuple(one for one in around if frames[near.index(one)].any())
    chosen = [near.index(one) for one in months]
    observed = np.count_nonzero(frames[chosen].any(axis=0))
    by_pixel = events[chosen].sum() * hours / observed
    side = 1
    while side < min(frames.shape[-2:]):
        if side**2 * by_pixel >= MIN_HOURS:
            return Pooled(side, months)
        side *= 3
    return Pooled(None, months)


def _frequency(frames: np.ndarray, events: np.ndarray, side: int | None) -> Float[np.ndarray, "y x"]:
    """In squares of so many pixels; where none of them was observed, in the next larger ones, and then the whole."""
    made = np.full(frames.shape, np.nan)
    while side is not None and side < min(frames.shape) and np.isnan(made).any():
        seen, hit = (_in_squares(counts, side) for counts in (frames, events))
        made = np.where(np.isnan(made) & (seen > 0), hit / np.maximum(seen, 1), made)
        side *= 3
    return np.where(np.isnan(made), events.sum() / frames.sum(), made)


def _in_squares(counts: np.ndarray, side: int) -> np.ndarray:
    """Sums over squares around each pixel, whose part beyond the grid is left out."""
    sums = cv2.boxFilter(counts.astype(np.float64), -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.rint(sums)
