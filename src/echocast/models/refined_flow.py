"""Advection of the newest frame along an optical flow that is refined over twenty minutes of frames.

>>> import torch
>>> tuple(RefinedFlow().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import UNKNOWN, Context
from echocast.models._advected import Advected
from echocast.motion.advection import advected
from echocast.motion.estimate import rain_motion
from echocast.parallel import release_memory


class RefinedFlow(Advected):
    """Advection along the motion that `lagrangian` uses on grids finer than its network's.

    Where the air comes from outside the observed area the forecast is NaN.

    Args:
        node_km: distance in km of the places where a correction of the flow is given.
        minutes_back: how far back frames are carried onto the newest, in 2 to 5 steps.

    Source: own, see `echocast.motion.refined`; variational echo tracking is Laroche and Zawadzki's (1995,
    doi:10.1175/1520-0426(1995)012<0721:RORCFS>2.0.CO;2).
    """

    def __init__(self, *, node_km: float = 48.0, minutes_back: float = 20.0) -> None:
        super().__init__()
        if node_km <= 0 or minutes_back <= 0:
            raise ValueError(f"node_km={node_km} and minutes_back={minutes_back} must be above 0")
        self.node_km, self.minutes_back = node_km, minutes_back

    def motion(
        self, past: Float[Tensor, "batch time channel y x"], context: Context = UNKNOWN
    ) -> Float[Tensor, "batch 2 y x"]:
        """The displacement along y and x in pixels per step; 0 where it cannot be estimated."""
        frames = past[:, :, 0].detach().cpu().to(torch.float32).numpy()
        found = [
            rain_motion(
                case,
                pixel_km=context.grid_km or 1.0,
                step_minutes=context.time_step_minutes or 5.0,
                node_km=self.node_km,
                minutes_back=self.minutes_back,
            )
            for case in frames
        ]
        return torch.from_numpy(np.stack(found)).to(past)

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        motion = self.motion(past, context)
        release_memory()
        return advected(past[:, -1], motion, steps)
