"""What a forecaster is given beside the frames themselves.

>>> Context(grid_km=1.0, time_step_minutes=5.0).grid_km
1.0
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_LOG_UNIT = 0.1
"""Rain rates are scaled by log(1 + R / 0.1 mm/h)."""

Kind = Literal["fixed", "moments", "run", "stations", "hour", "season"]
"""Where a covariate comes from: a field that does not change, fields of the times that they hold for, runs of a weather
model, stations, the hour of the day, the day of the year."""


@dataclass(frozen=True, kw_only=True)
class Covariate:
    """One further input of a forecaster, as its checkpoint names it.

    Args:
        name: what `Context.covariates` calls it.
        kind: where it comes from, see `Kind`.
        quantity: of `echocast.fields`, such as ``surface_altitude``; of hour and season ``angle``.
        units: of the values that the forecaster is given.
        channels: how many it has: 1, or 2 of an angle (sine and cosine).
        offset: what the network subtracts from the values (after the logarithm, if there is one),
        scale: and then divides them by.
        logarithmic: whether it takes log(1 + values / 0.1), as suits rain rates.
        departs: whether the network takes its departure from the newest frame, as suits the forecast's own quantity.
        reach_km: of stations: how far a value tells of its surroundings, as the standard deviation of a Gaussian.
        known_ahead_minutes: of moments and stations: up to how long after the newest frame they are known; negative if
            they come late.
        variable: the variable or parameter of its files, where it was named.
        file_units: its unit, where the files do not say it.
    """

    name: str
    kind: Kind
    quantity: str
    units: str
    channels: int = 1
    offset: float = 0.0
    scale: float = 1.0
    logarithmic: bool = False
    departs: bool = False
    reach_km: float = 100.0
    known_ahead_minutes: float = 0.0
    variable: str | None = None
    file_units: str | None = None

    def scaled(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Values as the network takes them, of the order of 1; NaN stays."""
        straight = torch.log1p(values.clamp(min=0.0) / _LOG_UNIT) if self.logarithmic else values
        return (straight - self.offset) / self.scale


@dataclass(frozen=True)
class Context:
    """The circumstances of a forecast; what is not known is None or left out.

    Args:
        grid_km: the cell size of the frames.
        time_step_minutes: the time between two frames.
        valid_times: datetime64, the times that each forecast frame is valid for, (steps,), UTC.
        covariates: more fields by name, such as orography or the rain of a weather model; each (batch, time, channel,
            y, x), in its unit, over the past and the forecast frames, or with one frame if it does not change, and of
            one cell if it is the same everywhere; NaN where unknown. Which ones a forecaster takes says its
            ``covariates``.
    """

    grid_km: float | None = None
    time_step_minutes: float | None = None
    valid_times: np.ndarray | None = field(default=None, compare=False)
    covariates: Mapping[str, Tensor] = field(default_factory=dict, compare=False)

    def coarsened(self, factor: int) -> "Context":
        """The same with cells `factor` times as large; the covariates stay on their grid."""
        return replace(self, grid_km=self.grid_km * factor if self.grid_km else None)


UNKNOWN = Context()
"""Nothing is known."""
