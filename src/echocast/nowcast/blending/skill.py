"""How well nowcast and NWP agreed with the newest frames, by scale, and how that fades with the lead.

Nowcast: the forecaster forecasts the newest frames from those before them; the correlation of each band fades
exponentially, at the rate fitted to these leads. NWP: the correlation of its rain with the newest frames, which goes
back to the usual one of a model as the lead grows.

Source: Bowler et al. 2004 (equation 24) and 2006, doi:10.1256/qj.04.100; usual skill and times as in pysteps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.models.base import Forecaster
from echocast.nowcast.blending import bands
from echocast.nowcast.blending.rain import ModelRain
from echocast.samples import tensors
from echocast.samples.covariates import context_of

_MOST_LEADS, _MOST_FRAMES = 4, 4
_LOWEST, _HIGHEST = 0.02, 0.999
_WET_MM_H, _LEAST_WET_CELLS = 0.1, 30
_USUAL_KM = np.array([630.0, 290.0, 134.0, 61.0, 28.0, 13.0, 6.0, 3.0])[::-1]
_USUAL = np.array([0.848, 0.537, 0.237, 0.065, 0.020, 0.0044, 0.0052, 0.0040])[::-1]
_BACK_MIN = np.array([130.0, 165.0, 120.0, 55.0, 50.0, 15.0, 15.0, 10.0])[::-1]
_SLOW_MIN = np.array([155.0, 220.0, 200.0, 75.0, 1e5, 1e5, 1e5, 1e5])[::-1]
"""Of eight bands of a domain of 1000 km: wavelength, usual correlation of a model with radar, both times of eq. 24."""
_PLACE_KM = (5.0, 50.0)


@dataclass(frozen=True)
class Skill:
    """Correlations with the radar by scale.

    Args:
        widths: of the windows between the bands (`echocast.nowcast.blending.bands`).
        wavelengths_km: of the bands, the finest first.
        shares: of the variance of the newest frame in each band; their sum is 1.
        fading_min: the minutes after which the nowcast's correlation has fallen to 1/e.
        model: the NWP's correlation with the newest frames; NaN if its run does not cover them.
    """

    widths: list[int]
    wavelengths_km: Float[np.ndarray, " band"]
    shares: Float[np.ndarray, " band"]
    fading_min: Float[np.ndarray, " band"]
    model: Float[np.ndarray, " band"]

    def nowcast_at(self, minutes: float) -> Float[np.ndarray, " band"]:
        """The correlation of the nowcast to expect at a lead."""
        return np.asarray(np.exp(-minutes / self.fading_min))

    def model_at(self, minutes: float) -> Float[np.ndarray, " band"]:
        """The correlation of the NWP to expect at a lead."""
        usual, back, slow = (_by_wavelength(self.wavelengths_km, one) for one in (_USUAL, _BACK_MIN, _SLOW_MIN))
        kept = np.exp(-minutes / back) * (2.0 - np.exp(-minutes / slow))
        return np.asarray(np.where(np.isfinite(self.model), kept * self.model + (1.0 - kept) * usual, usual))

    def weights_at(self, minutes: float) -> Float[np.ndarray, " band"]:
        """The weight of the NWP in each band: its share of the sum of r^2 / (1 - r^2) of both."""
        nowcast, model = (
            np.clip(one, 1e-4, _HIGHEST) ** 2 for one in (self.nowcast_at(minutes), self.model_at(minutes))
        )
        odds = [one / (1.0 - one) for one in (nowcast, model)]
        return np.asarray(odds[1] / (odds[0] + odds[1]))

    def place_error_km(self) -> float:
        """By how much (standard deviation along each axis) the NWP's rain is out of place, by its lost correlation.

        Fields displaced at random by s have the correlation exp(-k^2 s^2 / 2) in the band of the wavenumber k. The
        finest band with a correlation of 0.5 or more tells it, else the coarsest; 5 to 50 km.
        """
        known = np.clip(np.nan_to_num(self.model), _LOWEST, _HIGHEST)
        telling = np.flatnonzero(known >= 0.5)
        band = int(telling[0]) if telling.size else len(known) - 1
        found = np.sqrt(-2.0 * np.log(known[band])) * self.wavelengths_km[band] / (2.0 * np.pi)
        return float(np.clip(found, *_PLACE_KM))


def recent(past: xr.DataArray, forecaster: Forecaster, model: ModelRain, grid_km: float) -> Skill | None:
    """The skill on the newest frames; None where they are too few or too dry to tell it."""
    newest = past.values[-1]
    leads = min(_MOST_LEADS, past.sizes["time"] - max(2, forecaster.min_frames))
    if leads < 1 or np.count_nonzero(newest >= _WET_MM_H) < _LEAST_WET_CELLS:
        return None
    widths = bands.windows((past.sizes["y"], past.sizes["x"]), grid_km)
    earlier, later = past.isel(time=slice(None, -leads)), past.isel(time=slice(-leads, None))
    context = context_of(earlier, forecaster.covariates, steps=leads)
    made = forecaster.forecast(tensors.to_tensor(earlier), leads, context=context)
    told = [
        bands.correlations(one, frame, widths) for one, frame in zip(made[0, :, 0].numpy(), later.values, strict=True)
    ]
    step = float((later.time.values[-1] - earlier.time.values[-1]) / np.timedelta64(1, "m")) / leads
    known = np.isfinite(newest)
    variance = bands.parted(bands.to_db(np.where(known, newest, 0.0)), widths)[:, known].var(axis=1)
    return Skill(
        widths,
        bands.wavelengths_km(widths, grid_km),
        variance / variance.sum(),
        _fading(np.stack(told), step),
        _of_model(past, model, widths),
    )


def _fading(told: Float[np.ndarray, "lead band"], step: float) -> Float[np.ndarray, " band"]:
    """The minutes of an exponential through 1 at no lead, fitted to the logarithms."""
    minutes = step * np.arange(1, len(told) + 1)[:, None]
    lost = -np.log(np.clip(np.nan_to_num(told, nan=_LOWEST), _LOWEST, _HIGHEST))
    return np.asarray((minutes**2).sum() / (minutes * lost).sum(axis=0))


def _of_model(past: xr.DataArray, model: ModelRain, widths: list[int]) -> Float[np.ndarray, " band"]:
    """The mean correlation with the newest frames that the run covers."""
    frames = [(frame, model.at_time(time)) for frame, time in _spread(past)]
    known = [(frame, rain) for frame, rain in frames if (np.isfinite(frame) & np.isfinite(rain)).any()]
    if not known:
        return np.full(len(widths) + 1, np.nan)
    told = np.stack([bands.correlations(frame, rain, widths) for frame, rain in known])
    return np.asarray(np.clip(np.nan_to_num(told).mean(axis=0), 0.0, _HIGHEST))


def _spread(past: xr.DataArray) -> Sequence[tuple[np.ndarray, np.datetime64]]:
    """Some of the newest frames, evenly spread, and their times."""
    chosen = np.unique(np.linspace(0, past.sizes["time"] - 1, _MOST_FRAMES).round().astype(int))
    return [(past.values[n], past.time.values[n]) for n in chosen]


def _by_wavelength(wavelengths_km: np.ndarray, table: np.ndarray) -> np.ndarray:
    return np.asarray(np.interp(np.log(wavelengths_km), np.log(_USUAL_KM), table))
