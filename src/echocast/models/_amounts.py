"""Rain rates corrected by how forecasts came true: a table of areas for each lead time, and the correction from it.

A table counts, in km², where the forecast was at least each of `EDGES` and the observation at least each of
`RATES_MM_H`. For each of these rates the correction looks for the forecast rate that hits it best: the one with the
highest critical success index, among those whose frequency bias lies within limits. It becomes the rate.

    >>> table = Areas.none(leads=1)
    >>> forecast = np.full((10, 10), 2.5, np.float32)
    >>> table.add(0, forecast, observed=2 * forecast, cell_km2=1.0)
    >>> round(float(table.correction(0)(forecast)[0, 0]))
    5
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RATES_MM_H = (2.0, 5.0, 10.0)
"""The rates that a correction is to hit; between them it is interpolated."""
UNCHANGED_MM_H = (1.0, 40.0)
"""Rates up to the first stay as they are, as nothing was gained there, and from the second on: of these there is too
little to learn from, and errors are largest."""
EDGES = np.geomspace(0.05, 100.0, 156)
"""The forecast rates among which those are looked for, in mm/h."""
BIAS_LIMITS = (0.8, 1.25)
"""Of the frequency bias of a corrected forecast, on what the table holds."""
MOST_CHANGE = 4.0
"""A rate becomes at most so many times itself, and at least this part of it."""

_LEAST_GAP = 1.2
"""What becomes the least of the rates is at least so many times what stays as it is."""
_TIE = 1e-6
"""Of rates that hit equally well the one is taken that changes least."""
_FIRST, _STEP = float(np.log(EDGES[0])), float(np.log(EDGES[1] / EDGES[0]))


@dataclass
class Areas:
    """Where which rates were forecast and observed, by lead time.

    Args:
        km2: areas where the forecast was at least an edge and the observation at least a rate. Rate 0 is any
            observation, edge 0 any forecast; then come `RATES_MM_H` and `EDGES`.
    """

    km2: Float[np.ndarray, "lead rate edge"]

    @classmethod
    def none(cls, leads: int) -> "Areas":
        """A table that knows of no forecast."""
        return cls(np.zeros((leads, len(RATES_MM_H) + 1, len(EDGES) + 1)))

    def add(
        self,
        lead: int,
        forecast: Float[np.ndarray, "y x"],
        observed: Float[np.ndarray, "y x"],
        *,
        cell_km2: float,
        weight: float = 1.0,
    ) -> None:
        """Count a forecast and what was observed; cells that are NaN in either, or dry in both, count for nothing.

        Args:
            lead: of the forecast, from 0.
            forecast: rain rate in mm/h.
            observed: rain rate in mm/h at the time that it was for.
            cell_km2: the area of a cell in km².
            weight: of these areas.
        """
        matters = (forecast >= EDGES[0]) & np.isfinite(observed) | (observed >= RATES_MM_H[0]) & np.isfinite(forecast)
        made, seen = forecast[matters], observed[matters]
        edge = np.zeros(made.shape, np.int64)
        wet = made >= EDGES[0]
        edge[wet] = np.minimum((np.log(made[wet]) - _FIRST) / _STEP + 1e-4, len(EDGES) - 1).astype(np.int64) + 1
        rate = np.searchsorted(np.array(RATES_MM_H, np.float32), seen, side="right")
        shape = self.km2.shape[1:]
        counts = np.bincount(rate * shape[1] + edge, minlength=shape[0] * shape[1]).reshape(shape)
        self.km2[lead] += weight * cell_km2 * counts[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]

    def pooled(self, width: float) -> "Areas":
        """Each lead with its neighbours: their weights fall to 0 over so many leads, and add up to 1."""
        leads = np.arange(len(self.km2))
        weights = np.maximum(0.0, 1.0 - np.abs(leads[:, None] - leads) / width)
        return Areas(np.einsum("kl,lre->kre", weights / weights.sum(axis=1).max(), self.km2))

    def correction(self, lead: int) -> "Correction":
        """The correction of a lead: none of rates that were neither forecast nor observed."""
        table = self.km2[lead]
        forecast, observed, hits = table[0, 1:], table[1:, 0], table[1:, 1:]
        best = [_best(rate, hits[n], forecast, observed[n]) for n, rate in enumerate(RATES_MM_H)]
        return Correction(np.maximum.accumulate(np.array(best)))


def _best(
    rate: float, hits: Float[np.ndarray, " edge"], forecast: Float[np.ndarray, " edge"], observed: float
) -> float:
    """The forecast rate that hits a rate best; the rate itself where nothing tells."""
    allowed = np.abs(np.log(EDGES / rate)) <= np.log(MOST_CHANGE)
    if observed <= 0 or not (forecast[allowed] > 0).any():
        return rate
    low, high = (limit * observed for limit in BIAS_LIMITS)
    within = allowed & (forecast >= low) & (forecast <= high)
    if within.any():
        index = hits / np.maximum(forecast + observed - hits, 1e-9)
        return float(EDGES[np.where(within, index - _TIE * np.abs(np.log(EDGES / rate)), -1.0).argmax()])
    away = np.abs(np.log(np.maximum(forecast, 1e-9) / observed))
    return float(EDGES[np.where(allowed, away, np.inf).argmin()])


@dataclass(frozen=True)
class Correction:
    """Rain rates to rain rates, increasing; what is dry stays dry.

    Args:
        forecast: the forecast rate that becomes each of `RATES_MM_H`, not decreasing.
    """

    forecast: Float[np.ndarray, " rate"]

    def within(self, rain: Float[np.ndarray, "*grid"], cells: Sequence[float]) -> "Correction":
        """The same, but that each rate is given to at most so many cells, or to those that have it already.

        Args:
            rain: what is to be corrected.
            cells: for each of `RATES_MM_H`.
        """
        forecast = self.forecast.copy()
        above = np.sort(rain[rain > UNCHANGED_MM_H[0]])[::-1]
        for number, (rate, most) in enumerate(zip(RATES_MM_H, cells, strict=True)):
            if most < len(above):
                forecast[number] = max(forecast[number], min(rate, float(above[int(most)]) * (1 + _TIE)))
        return Correction(np.maximum.accumulate(forecast))

    def __call__(self, rain: Float[np.ndarray, "*grid"]) -> Float[np.ndarray, "*grid"]:
        """Corrected rain rates in mm/h, of the type of `rain`; NaN stays."""
        least, most = UNCHANGED_MM_H
        inner = np.clip(self.forecast, _LEAST_GAP * least, most)
        known = np.log([least, *inner, most]) + 1e-6 * np.arange(len(inner) + 2)  # to be invertible where two are equal
        change = np.log([least, *RATES_MM_H, most]) - known
        made = rain.copy()
        corrected = (rain > least) & (rain < most)
        made[corrected] *= np.exp(np.interp(np.log(rain[corrected]), known, change)).astype(rain.dtype)
        return made
