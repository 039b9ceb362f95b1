"""Sources of covariates: each gives its values at some times, on the grid of the frames, as known at the time of issue.

>>> import numpy as np
>>> noon = np.array(["2024-03-20T12:00"], "datetime64[ns]")
>>> Angle("hour", longitude=0.0)(noon, noon[0]).round(6).ravel().tolist()
[0.0, -1.0]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast import fields
from echocast.fields import InTime

_MINUTE = np.timedelta64(60 * 10**9, "ns")
_HOUR = 60 * _MINUTE
_DAY_H, _YEAR_DAYS = 24.0, 365.2425
_MOST_RUNS = 4


@runtime_checkable
class Source(Protocol):
    """A covariate's values on a grid."""

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "frames channel y x"]:
        """The values at some times (datetime64, UTC) that were known at the time of issue, NaN where none is.

        What does not change has one frame; what is the same everywhere has one cell.
        """


@dataclass(frozen=True, eq=False)
class Fixed:
    """A field that does not change.

    Args:
        values: (y, x), on the grid of the frames.
    """

    values: Float[np.ndarray, "y x"]

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "1 1 y x"]:
        """One frame."""
        return self.values[None, None]


@dataclass(frozen=True)
class Angle:
    """The sine and cosine of the hour of the day, or of the day of the year; one cell.

    Args:
        of: which of them.
        longitude: degrees east, for the hour: mean solar time.
    """

    of: Literal["hour", "season"]
    longitude: float = 0.0

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "frames 2 1 1"]:
        """Known at any time."""
        when = times.astype("datetime64[ns]")
        if self.of == "hour":
            turns = ((when - when.astype("datetime64[D]")) / _HOUR + self.longitude / 15.0) / _DAY_H
        else:
            turns = (when - when.astype("datetime64[Y]")) / _HOUR / _DAY_H / _YEAR_DAYS
        angle = 2.0 * np.pi * turns
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)[..., None, None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Moments:
    """Fields of the times that they hold for, interpolated between two that are known.

    After the last that is known at a time, that one goes on for as long as two are usually apart.

    Args:
        frames: (time, y, x), on the grid of the frames that are forecast.
        ahead: how long after the time of issue they are known.
    """

    frames: xr.DataArray
    ahead: np.timedelta64

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "frames 1 y x"]:
        """The values at some times."""
        return np.stack([self._at(time, issued + self.ahead) for time in times.astype("datetime64[ns]")])[:, None]

    def _at(self, time: np.datetime64, until: np.datetime64) -> np.ndarray:
        own = self.frames.time.values.astype("datetime64[ns]")
        before = int(np.searchsorted(own, time, side="right")) - 1
        nothing = np.full(self.frames.shape[1:], np.nan, np.float32)
        if time > until or before < 0:
            return nothing
        values = self.frames.values
        if own[before] == time:
            return np.asarray(values[before])
        usual = np.median(np.diff(own)) if len(own) > 1 else np.timedelta64(0, "ns")
        after = before + 1
        if after < len(own) and own[after] <= until and own[after] - own[before] <= 2 * usual:
            share = np.float32((time - own[before]) / (own[after] - own[before]))
            return np.asarray(values[before] + share * (values[after] - values[before]))
        return np.asarray(values[before]) if time - own[before] < usual else nothing


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of a weather model: at each time the newest that knows it, of those begun by then and by the time of issue.

    Args:
        runs: forecasts, the oldest first, on any grid.
        grid: a field on the grid of the frames.
    """

    runs: Sequence[xr.DataArray]
    grid: xr.DataArray
    _kept: dict[int, InTime] = field(default_factory=dict)

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "frames 1 y x"]:
        """The values at some times."""
        return np.stack([self._at(time, min(time, issued)) for time in times.astype("datetime64[ns]")])[:, None]

    def _at(self, time: np.datetime64, begun_by: np.datetime64) -> np.ndarray:
        for number in reversed(range(len(self.runs))):
            if self.runs[number].forecast_reference_time.values <= begun_by and InTime(self.runs[number]).knows(time):
                return self._on_grid(number)(time)
        return np.full((self.grid.sizes["y"], self.grid.sizes["x"]), np.nan, np.float32)

    def _on_grid(self, number: int) -> InTime:
        """A run on the grid of the frames; only the last few stay in memory."""
        if number not in self._kept:
            while len(self._kept) >= _MOST_RUNS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = InTime(fields.regridded(_first_member(self.runs[number]), self.grid))
        return self._kept[number]


def _first_member(run: xr.DataArray) -> xr.DataArray:
    return run.isel(member=0) if "member" in run.dims else run


@dataclass(frozen=True, eq=False)
class Stations:
    """Values of stations on the cells that they lie in, the mean where several do; NaN in all other cells.

    At a time the newest value of a station counts, if it is not older than its values are usually apart.

    Args:
        values: (time, station).
        times: of the values, increasing.
        cells: row and column of each station.
        shape: rows and columns of the grid.
        ahead: how long after the time of issue they are known.
    """

    values: Float[np.ndarray, "time station"]
    times: np.ndarray
    cells: tuple[np.ndarray, np.ndarray]
    shape: tuple[int, int]
    ahead: np.timedelta64

    def __call__(self, times: np.ndarray, issued: np.datetime64) -> Float[np.ndarray, "frames 1 y x"]:
        """The values at some times."""
        return np.stack([self._at(time, issued + self.ahead) for time in times.astype("datetime64[ns]")])[:, None]

    def _at(self, time: np.datetime64, until: np.datetime64) -> np.ndarray:
        made = np.full(self.shape, np.nan, np.float32)
        if time > until:
            return made
        usual = np.median(np.diff(self.times)) if len(self.times) > 1 else np.timedelta64(0, "ns")
        first = int(np.searchsorted(self.times, time - usual, side="right")) if usual else 0
        last = int(np.searchsorted(self.times, time, side="right"))
        newest = np.full(self.values.shape[1], np.nan, np.float32)
        for row in self.values[first:last]:
            newest = np.where(np.isfinite(row), row, newest)
        known = np.isfinite(newest)
        total, count = np.zeros(self.shape), np.zeros(self.shape)
        where = (self.cells[0][known], self.cells[1][known])
        np.add.at(total, where, newest[known])
        np.add.at(count, where, 1.0)
        return np.where(count > 0, total / np.maximum(count, 1.0), np.nan).astype(np.float32)
