"""The rain of a run on the radar's grid, at any time, for each member."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast import fields

_HANDOVER_MIN = 60.0
"""So long before a lead that the run does not have, its weight begins to fall to 0."""
_BORDER_KM = 30.0
"""So far from the border of the run's grid its weight begins to fall to 0."""


@dataclass(frozen=True)
class ModelRain:
    """Rain of one run (mm/h) on the grid of the radar.

    Args:
        rain: in time, on the radar's grid and `margin` cells more on each side; it may have members.
        times: that the forecast is for, (lead,), UTC.
        margin: cells.
        shifts: rows and columns by which each member of the forecast takes the rain displaced.
        border: how far its values count in each cell, 0 to 1, for the cells near the border of the run's grid.
    """

    rain: fields.InTime
    times: np.ndarray
    margin: int
    shifts: tuple[tuple[int, int], ...]
    border: Float[np.ndarray, "y x"]
    _trust: np.ndarray = field(init=False, repr=False, compare=False)
    _newest: list[tuple[np.datetime64, np.ndarray]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = np.array([self.rain.knows(time) for time in self.times])
        object.__setattr__(self, "_trust", _of_leads(known, self.times))

    def known(self) -> np.ndarray:
        """For each lead whether the run has it."""
        return np.array([self.rain.knows(time) for time in self.times])

    def trust(self, lead: int) -> Float[np.ndarray, "y x"]:
        """How far its values count at a lead, 0 to 1."""
        return np.asarray(self._trust[lead] * self.border)

    def is_whole(self) -> bool:
        """Whether it has all leads and all cells."""
        return bool(self._trust.min() >= 1.0 and self.border.min() >= 1.0)

    def at(self, lead: int, member: int = 0) -> Float[np.ndarray, "y x"]:
        """The rain at the lead of a number, for a member of the forecast."""
        return self.at_time(self.times[lead], member)

    def at_time(self, time: np.datetime64, member: int = 0) -> Float[np.ndarray, "y x"]:
        """The rain at a time, for a member of the forecast; NaN where the run knows nothing."""
        if not self._newest or self._newest[0][0] != time:  # members ask for one time after the other
            self._newest[:] = [(time, self.rain(time))]
        frames = self._newest[0][1]
        frame = frames[member % len(frames)] if frames.ndim == 3 else frames
        down, right = self.shifts[member % len(self.shifts)]
        rows, columns = (n - 2 * self.margin for n in frame.shape)
        top, left = self.margin + down, self.margin + right
        shifted = frame[top : top + rows, left : left + columns]
        if down or right:
            own = frame[self.margin : self.margin + rows, self.margin : self.margin + columns]
            shifted = np.where(np.isfinite(shifted), shifted, own)
        return np.asarray(shifted)


def on_grid(
    run: xr.DataArray, past: xr.DataArray, times: np.ndarray, shifts: tuple[tuple[int, int], ...] = ((0, 0),)
) -> ModelRain:
    """The rain of a run on the grid of the radar's frames.

    Args:
        run: of rain rates, (lead, y, x), or with ``member`` first.
        past: the radar's frames.
        times: that the forecast is for.
        shifts: rows and columns by which each member takes the rain displaced.
    """
    margin = max(abs(n) for shift in shifts for n in shift)
    wider = _wider(past, margin)
    places = fields.Places.of(run, wider)
    rain = fields.regridded(run.isel(lead=_steps_for(run, past.time.values[0], times[-1])), wider, places)
    inner = tuple(slice(margin, n - margin) for n in wider.shape)
    border = _of_cells((places.covered() & _known_cells(rain))[inner], fields.grid_km(past))
    return ModelRain(fields.InTime(rain, fields.usual_step(run)), times, margin, shifts, border)


def _steps_for(run: xr.DataArray, first: np.datetime64, last: np.datetime64) -> slice:
    """The steps of a run that the values between two times are made of: those around them too."""
    ends = run.time.values
    start = max(0, int(np.searchsorted(ends, first, "right")) - 1)
    return slice(min(start, ends.size - 1), int(np.searchsorted(ends, last, "left")) + 2)


def _known_cells(rain: xr.DataArray) -> np.ndarray:
    """The cells that are known at every step, but for steps of which no cell is."""
    known = np.isfinite(rain.values)
    known = known.all(axis=0) if known.ndim == 4 else known  # a cell counts where all members know it
    steps = known.any(axis=(1, 2))
    return np.asarray(known[steps].all(axis=0))


def covered(run: xr.DataArray, past: xr.DataArray) -> float:
    """The share of the radar's observed cells that lie on the grid of a run."""
    seen = np.isfinite(past.values).any(axis=0)
    return float(fields.Places.of(run, past).covered()[seen].mean()) if seen.any() else 0.0


def _wider(past: xr.DataArray, margin: int) -> xr.DataArray:
    """The grid of the frames, wider by so many cells on each side; without values."""

    def longer(centres: np.ndarray) -> np.ndarray:
        step = (centres[-1] - centres[0]) / max(centres.size - 1, 1)
        return np.asarray(centres[0] + step * np.arange(-margin, centres.size + margin))

    y, x = longer(past.y.values), longer(past.x.values)
    values = np.broadcast_to(np.float32(np.nan), (y.size, x.size))
    return xr.DataArray(
        values, dims=("y", "x"), coords={"y": ("y", y, past.y.attrs), "x": ("x", x, past.x.attrs), "crs": past.crs}
    )


def _of_leads(known: np.ndarray, times: np.ndarray) -> Float[np.ndarray, " lead"]:
    """1 at leads far from those that are not known, 0 at these, linear between."""
    if known.all():
        return np.ones(len(known))
    apart = np.abs(times[:, None] - times[~known]).min(axis=1) / np.timedelta64(1, "m")
    return np.asarray(np.minimum(1.0, apart / _HANDOVER_MIN))


def _of_cells(inside: np.ndarray, grid_km: float) -> Float[np.ndarray, "y x"]:
    if inside.all():
        return np.ones(inside.shape)
    size = 2 * max(1, round(_BORDER_KM / grid_km)) + 1
    outside = cv2.blur((~inside).astype(np.float32), (size, size), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.where(inside, np.maximum(0.0, 1.0 - 2.0 * outside), 0.0))
