"""What the ROVERs share: the arctan image of an echo, and flows between pairs of frames."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models._advected import Advected
from echocast.motion.variational import combined_flow
from echocast.zr import MARSHALL_PALMER

_CENTRE_DBZ, _WIDTH_DBZ = 33.0, 4.0
_LOWEST_DBZ, _HIGHEST_DBZ = -10.0, 60.0
SMALLEST = 8
"""A grid of fewer pixels a side tells no motion."""


class Rover(Advected):
    """Flows between the newest pairs of frames, newest first, averaged by `_weights`.

    Args:
        alpha: how much smoothness of the flow counts.
        rho: standard deviation in pixels of the window that shares a motion.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by.
    """

    _weights: tuple[float, ...] = (1.0,)

    def __init__(self, *, alpha: float = 2000.0, rho: float = 1.5, sigma: float = 1.0) -> None:
        super().__init__()
        if alpha <= 0 or rho < 0 or sigma < 0:
            raise ValueError(f"alpha={alpha} must be above 0, rho={rho} and sigma={sigma} not below")
        self.alpha, self.rho, self.sigma = alpha, rho, sigma

    def motion(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The mean flow, in pixels per step; 0 on grids too small to tell."""
        pairs = min(len(self._weights), past.shape[1] - 1)
        if min(past.shape[-2:]) < SMALLEST or pairs < 1:
            return past.new_zeros(len(past), 2, *past.shape[-2:])
        images = arctan_image(past[:, -pairs - 1 :, 0].to(torch.float32))
        before, after = images[:, :-1], images[:, 1:]
        flows = combined_flow(
            before.flatten(0, 1), after.flatten(0, 1), alpha=self.alpha, rho=self.rho, sigma=self.sigma
        )
        flows = flows.reshape(*before.shape[:2], *flows.shape[1:])
        weights = flows.new_tensor(self._weights[:pairs]).flip(0)
        return torch.einsum("btcyx,t->bcyx", flows, weights / weights.sum()).to(past.dtype)


def arctan_image(rain_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Grey levels of 0 to 255 by atan((Z - 33 dBZ) / 4 dBZ) of Marshall and Palmer's reflectivity from -10 to 60 dBZ.

    The arctan lets the edge of heavy rain count most for the flow, and noise and hail little; NaN stays NaN.

    Source: the HKO-7 baseline; Cheung and Yeung 2012 for the idea.
    """
    zr = MARSHALL_PALMER
    dbz = 10.0 * math.log10(zr.a) + 10.0 * zr.b * torch.log10(rain_mm_h.clamp(min=1e-6))
    low, high = (math.atan((end - _CENTRE_DBZ) / _WIDTH_DBZ) for end in (_LOWEST_DBZ, _HIGHEST_DBZ))
    bent = torch.atan((dbz.clamp(_LOWEST_DBZ, _HIGHEST_DBZ) - _CENTRE_DBZ) / _WIDTH_DBZ)
    return 255.0 * (bent - low) / (high - low)
