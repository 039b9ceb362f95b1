"""ROVER as the HKO-7 benchmark ran it: a smoother flow, and each lead sampled from the lead before.

>>> import torch
>>> tuple(RoverHko7().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models._rover import SMALLEST, arctan_image, mean_flow
from echocast.models.base import Forecaster
from echocast.motion.advection import advect_repeatedly
from echocast.motion.variational import varflow


class RoverHko7(Forecaster):
    """Flow between the newest two frames by `echocast.motion.variational.varflow`, and repeated warping.

    The energy is that of combined local-global flow, linearised once around no motion, on arctan images of 0 to 255:
    ``w^T J_rho w + alpha (|grad u|^2 + |grad v|^2)``. Each step samples the step before, which blurs as a bilinear mean
    does; from outside comes dry air. The benchmark warps the arctan-transformed image and turns it back; rain rates
    are warped here, so that a blurred edge does not turn into heavy rain.

    Args:
        alpha: weight of the smoothness of the flow; 2000.
        rho: standard deviation in pixels of the window that shares a motion; 1.5.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by; 4.5.
        max_level: the coarsest level is 2^6 times coarser than the grid.
        start_level: the finest level is the grid itself.
        n1: half the sweeps per V-cycle on the way down; with `n2` it makes 2 (2 + 2) sweeps a level.
        n2: the same on the way up.

    Source: Shi et al. 2017 (arXiv:1706.03458) and its published benchmark.
    """

    min_frames = 2
    takes_blank_frames = True

    def __init__(
        self,
        *,
        alpha: float = 2000.0,
        rho: float = 1.5,
        sigma: float = 4.5,
        max_level: int = 6,
        start_level: int = 0,
        n1: int = 2,
        n2: int = 2,
    ) -> None:
        super().__init__()
        if not 0 <= start_level <= max_level or min(n1, n2) < 0:
            raise ValueError(f"levels {start_level} to {max_level} and sweeps {n1}, {n2} make no pyramid")
        self.alpha, self.rho, self.sigma = alpha, rho, sigma
        self.max_level, self.start_level, self.n1, self.n2 = max_level, start_level, n1, n2

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        if min(past.shape[-2:]) < SMALLEST:
            motion = past.new_zeros(len(past), 2, *past.shape[-2:])
        else:
            solve = partial(
                varflow,
                alpha=self.alpha,
                rho=self.rho,
                sigma=self.sigma,
                max_level=self.max_level,
                start_level=self.start_level,
                sweeps=2 * (self.n1 + self.n2),
            )
            motion = mean_flow(arctan_image(past[:, :, 0].to(torch.float32)), (1.0,), solve).to(past.dtype)
        return advect_repeatedly(past[:, -1], motion, steps)
