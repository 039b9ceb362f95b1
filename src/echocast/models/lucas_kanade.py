"""The last frame moves on as its corners moved: Lucas and Kanade's tracks and semi-Lagrangian advection.

>>> import torch
>>> tuple(LucasKanade().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models.base import Forecaster, Spacing
from echocast.motion.advection import advect
from echocast.motion.flow import sparse_flow


class LucasKanade(Forecaster):
    """Tracks of the echoes' corners in the newest frames, assumed constant, carry the newest frame.

    Each lead samples it once. Where the air comes from outside the radar's view nothing is known: the forecast is NaN.

    Args:
        pairs: how many of the newest pairs of frames tell the motion.
        smoothing_px: see `echocast.motion.flow.sparse_flow`.

    Source: Lucas and Kanade 1981; Ayzel et al. 2019, doi:10.5194/gmd-12-1387-2019, and Pulkkinen et al. 2019,
    doi:10.5194/gmd-12-4185-2019, for its use on radar.
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
        flows = [sparse_flow(case, pairs=self.pairs, smoothing_px=self.smoothing_px) for case in rain]
        return advect(past[:, -1], torch.from_numpy(np.stack(flows)).to(past), steps)
