"""The last frame moves on as it moved: Farneback's polynomial optical flow and semi-Lagrangian advection.

>>> import torch
>>> tuple(Farneback().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models.base import Forecaster, Spacing
from echocast.motion.advection import advect
from echocast.motion.flow import dense_flow


class Farneback(Forecaster):
    """Motion by polynomial expansion, assumed constant, carries the newest frame.

    Each lead samples it once. Where the air comes from outside the radar's view nothing is known: the forecast is NaN.

    Args:
        pairs: how many of the newest pairs of frames tell the motion.
        smoothing_px: see `echocast.motion.flow.dense_flow`.

    Source: Farneback 2003, doi:10.1007/3-540-45103-X_50; Ayzel et al. 2019, doi:10.5194/gmd-12-1387-2019, for its use
    on radar.
    """

    frames = 2

    def __init__(self, *, pairs: int = 3, smoothing_px: float | None = None) -> None:
        super().__init__()
        if pairs < 1:
            raise ValueError(f"pairs={pairs} must be at least 1")
        self.pairs, self.smoothing_px = pairs, smoothing_px

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, at: Spacing
    ) -> Float[Tensor, "batch steps channel y x"]:
        rain = past[:, :, 0].detach().cpu().to(torch.float32).numpy()
        flows = [
            dense_flow(case, pairs=self.pairs, smoothing_px=self.smoothing_px, method="farneback") for case in rain
        ]
        return advect(past[:, -1], torch.from_numpy(np.stack(flows)).to(past), steps)
