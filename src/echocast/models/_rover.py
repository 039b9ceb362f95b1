"""ROVER, the optical flow baseline of the paper; `rover1`, `rover2` and `rover3` differ in the flows they average."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models._advected import Advected
from echocast.motion.variational import combined_flow
from echocast.zr import MARSHALL_PALMER

_CENTRE_DBZ, _WIDTH_DBZ = 33.0, 4.0
_LOWEST_DBZ, _HIGHEST_DBZ = -10.0, 60.0
SMALLEST = 8
"""On a grid of fewer pixels along its shorter side no motion is estimated."""


class Rover(Advected):
    """Variational optical flow and semi-Lagrangian advection, with a weighted mean of the newest flows.

    The energy, per pixel, is ``d^T J_r d + alpha (|grad u|^2 + |grad v|^2)`` on arctan images of reflectivity with
    values of 0 to 255: see `echocast.motion.variational.combined_flow`. The paper does not publish its parameters;
    these were chosen on TAASRAD19's validation runs. Unlike the HKO-7 variant each lead samples the newest frame once.
    Where the air comes from outside the observed area the forecast is NaN.

    Args:
        alpha: weight of the smoothness of the flow, in squared grey levels.
        rho: standard deviation in pixels of the window that shares a motion.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2; Woo and Wong 2017, doi:10.3390/atmos8030048, for ROVER.
    """

    pair_weights: ClassVar[tuple[float, ...]]
    """Of the flow between each pair of frames, newest first; with fewer frames the last weights are left out."""

    def __init__(self, *, alpha: float = 2000.0, rho: float = 1.5, sigma: float = 1.0) -> None:
        super().__init__()
        if alpha <= 0 or rho < 0 or sigma < 0:
            raise ValueError(f"alpha={alpha} must be above 0, rho={rho} and sigma={sigma} not below")
        self.alpha, self.rho, self.sigma = alpha, rho, sigma

    def motion(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The mean flow, in pixels per step; 0 on grids too small to tell."""
        pairs = min(len(self.pair_weights), past.shape[1] - 1)
        if min(past.shape[-2:]) < SMALLEST or pairs < 1:
            return past.new_zeros(len(past), 2, *past.shape[-2:])
        images = arctan_image(past[:, -pairs - 1 :, 0].to(torch.float32))
        before, after = images[:, :-1], images[:, 1:]
        flows = combined_flow(
            before.flatten(0, 1), after.flatten(0, 1), alpha=self.alpha, rho=self.rho, sigma=self.sigma
        )
        flows = flows.reshape(*before.shape[:2], *flows.shape[1:])
        weights = flows.new_tensor(self.pair_weights[:pairs]).flip(0)
        return torch.einsum("btcyx,t->bcyx", flows, weights / weights.sum()).to(past.dtype)


def arctan_image(rain_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Grey levels of 0 to 255 by atan((Z - 33 dBZ) / 4 dBZ) of Marshall and Palmer's reflectivity from -10 to 60 dBZ.

    With the arctan the edge of heavy rain has the most weight for the flow, noise and hail have little; NaN stays NaN.

    Source: the HKO-7 baseline; Cheung and Yeung 2012 for the idea.
    """
    dbz: Tensor = MARSHALL_PALMER.dbz(torch.log10(rain_mm_h.clamp(min=1e-6)))
    low, high = (math.atan((end - _CENTRE_DBZ) / _WIDTH_DBZ) for end in (_LOWEST_DBZ, _HIGHEST_DBZ))
    bent = torch.atan((dbz.clamp(_LOWEST_DBZ, _HIGHEST_DBZ) - _CENTRE_DBZ) / _WIDTH_DBZ)
    return 255.0 * (bent - low) / (high - low)
