"""What a forecaster is given beside the frames themselves.

>>> Context(grid_km=1.0, time_step_minutes=5.0).grid_km
1.0
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Context:
    """The circumstances of a forecast; what is not known is None or left out.

    Args:
        grid_km: the cell size of the frames.
        time_step_minutes: the time between two frames.
        valid_times: datetime64, the times that each forecast frame is valid for, (steps,), UTC.
        covariates: more fields by name, such as orography or the rain of a weather model; each (batch, time, channel,
            y, x), over the past and the forecast frames, or with one frame if it does not change; NaN where unknown.
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
