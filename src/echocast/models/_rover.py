"""ROVER, the optical flow baseline of the paper; `rover1`, `rover2` and `rover3` differ in the flows they average."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models._advected import Advected
from echocast.motion.pairs import Pair, compared, mean_motion, pairs_of
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
        if min(past.shape[-2:]) < SMALLEST or past.shape[1] < 2:
            return past.new_zeros(len(past), 2, *past.shape[-2:])
        images = arctan_image(past[:, :, 0].to(torch.float32))
        solve = partial(combined_flow, alpha=self.alpha, rho=self.rho, sigma=self.sigma)
        return mean_flow(images, self.pair_weights, solve).to(past.dtype)


Solve = Callable[[Tensor, Tensor], Float[Tensor, "batch 2 y x"]]
"""The flow from some images to the next."""


def mean_flow(
    images: Float[Tensor, "batch time y x"], pair_weights: Sequence[float], solve: Solve
) -> Float[Tensor, "batch 2 y x"]:
    """The weighted mean of the flows between the newest images, in pixels per step.

    An image without any observed cell is passed over; what one image lacks is told by those around it.

    Args:
        images: oldest first, NaN where nothing is observed.
        pair_weights: of the flow between each pair, newest first; with fewer images the last are left out.
        solve: the flow of many pairs at once.
    """
    chosen = [pairs_of(case.detach().cpu().numpy(), len(pair_weights)) for case in images]
    count = min(len(pair_weights), images.shape[1] - 1)
    if all(len(pairs) == count and all(p.weight is None and p.steps == 1 for p in pairs) for pairs in chosen):
        newest = images[:, -count - 1 :]
        before, after = newest[:, :-1], newest[:, 1:]
        flows = solve(before.flatten(0, 1), after.flatten(0, 1)).reshape(*before.shape[:2], 2, *before.shape[2:])
        weights = flows.new_tensor(pair_weights[:count]).flip(0)
        return torch.einsum("btcyx,t->bcyx", flows, weights / weights.sum())
    return torch.stack([_of_case(case, pairs, pair_weights, solve) for case, pairs in zip(images, chosen, strict=True)])


def _of_case(images: Tensor, pairs: Sequence[Pair], pair_weights: Sequence[float], solve: Solve) -> Tensor:
    """The mean flow of one case, whose images did not all see the same; 0 where no pair did."""
    if not pairs:
        return images.new_zeros(2, *images.shape[-2:])
    values = images.detach().cpu().numpy()
    before = np.stack([compared(values[pair.before], pair) for pair in pairs])
    after = np.stack([compared(values[pair.after], pair) for pair in pairs])
    flows = solve(torch.from_numpy(before).to(images), torch.from_numpy(after).to(images))
    motions = list(flows.permute(0, 2, 3, 1).cpu().numpy())
    mean, believed = mean_motion(motions, pairs, [pair_weights[pair.age] for pair in pairs])
    plain = np.mean([motion / pair.steps for motion, pair in zip(motions, pairs, strict=True)], axis=0)
    filled = np.where(believed[..., None] > 0, mean, plain)
    return torch.from_numpy(np.ascontiguousarray(filled.transpose(2, 0, 1), np.float32)).to(images)


def arctan_image(rain_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Grey levels of 0 to 255 by atan((Z - 33 dBZ) / 4 dBZ) of Marshall and Palmer's reflectivity from -10 to 60 dBZ.

    With the arctan the edge of heavy rain has the most weight for the flow, noise and hail have little; NaN stays NaN.

    Source: the HKO-7 baseline; Cheung and Yeung 2012 for the idea.
    """
    dbz: Tensor = MARSHALL_PALMER.dbz(torch.log10(rain_mm_h.clamp(min=1e-6)))
    low, high = (math.atan((end - _CENTRE_DBZ) / _WIDTH_DBZ) for end in (_LOWEST_DBZ, _HIGHEST_DBZ))
    bent = torch.atan((dbz.clamp(_LOWEST_DBZ, _HIGHEST_DBZ) - _CENTRE_DBZ) / _WIDTH_DBZ)
    return 255.0 * (bent - low) / (high - low)
