"""Motion by the calculus of variations: the smoothest flow that explains how the echoes changed.

`combined_flow` minimises, over the displacement w = (u, v),

    E(w) = sum_x  d^T J_r d  +  alpha (|grad u|^2 + |grad v|^2)

where d = (u - u0, v - v0, 1) around the flow w0 so far, J_r is the Gaussian mean (standard deviation rho) of
g g^T with g = (I_x, I_y, I_t), the derivatives of the two images after a Gaussian of sigma, the second one warped back
by w0. So it is Lucas and Kanade's least squares within rho, joined by Horn and Schunck's smoothness: the combined
local-global method. It goes from a coarse pyramid level to the finest, and warps a few times at each; the linear
equations of each warp are solved by red-black successive over-relaxation. Where nothing was observed J_r is 0 and the
neighbours decide.

`varflow` is the older solver of the HKO-7 baseline: the same energy, linearised once around no motion at all.

    >>> import torch
    >>> y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    >>> bump = lambda cx: 200 * torch.exp(-((y - 32) ** 2 + (x - cx) ** 2) / 60)
    >>> motion = combined_flow(bump(30)[None], bump(33)[None])
    >>> bool((motion[0, 1, 28:36, 28:36] - 3).abs().max() < 0.2)
    True
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, pad

from echocast.motion.advection import pixel_coordinates, sample

Motion = Float[Tensor, "batch 2 y x"]
"""Displacement along y and x in pixels per step."""

_COARSEST = 12
"""The shorter side of the coarsest level of the pyramid is less than twice this."""
_OVER = 1.9
"""The factor of over-relaxation."""


def combined_flow(
    before: Float[Tensor, "batch y x"],
    after: Float[Tensor, "batch y x"],
    *,
    alpha: float = 2000.0,
    rho: float = 1.5,
    sigma: float = 1.5,
    warps: int = 3,
    sweeps: int = 20,
) -> Motion:
    """The flow from one image to the next by the combined local-global method, many pairs at once.

    Args:
        before: images with values of 0 to 255, NaN where nothing is observed.
        after: the next images.
        alpha: weight of the smoothness term, in squared grey levels.
        rho: standard deviation in pixels of the window that shares a motion.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by.
        warps: linearisations at each pyramid level.
        sweeps: relaxations of each linear system.

    Source: Bruhn, Weickert and Schnoerr 2005, doi:10.1023/B:VISI.0000045324.43199.43; warping by Brox et al. 2004,
    doi:10.1007/978-3-540-24673-2_3.
    """
    pyramid = [(_presmoothed(before, sigma), _presmoothed(after, sigma), _far_from_unseen(before, after))]
    while min(pyramid[-1][0].shape[-2:]) >= 2 * _COARSEST:
        pyramid.append(tuple(avg_pool2d(level[:, None], 2, ceil_mode=True)[:, 0] for level in pyramid[-1]))  # type: ignore[arg-type]
    flow = before.new_zeros(len(before), 2, *pyramid[-1][0].shape[-2:])
    for first, second, seen in reversed(pyramid):
        flow = _enlarged(flow, (first.shape[-2], first.shape[-1]))
        for _ in range(warps):
            flow = _relaxed(_tensor(first, second, flow, seen, rho), flow, alpha, sweeps)
    return flow


def varflow(
    before: Float[Tensor, "batch y x"],
    after: Float[Tensor, "batch y x"],
    *,
    alpha: float = 2000.0,
    rho: float = 1.5,
    sigma: float = 4.5,
    max_level: int = 6,
    start_level: int = 0,
    sweeps: int = 8,
) -> Motion:
    """The flow by VarFlow of the HKO-7 baseline: one linearisation, from coarse to fine, few sweeps.

    The derivatives are taken once, on the full grid and around no motion, and their products are brought to a level of
    spacing h = 2^level by bilinear resampling, where `sweeps` Gauss-Seidel sweeps of
    ``u = (sum of neighbours - h^2 / alpha (J12 v + J13)) / (neighbours + h^2 / alpha J11)`` follow. Its two V-cycles a
    level add next to nothing but their 2 (n1 + n2) = 8 sweeps, so they are left out; sweeps go red-black here.

    Args:
        before: images with values of 0 to 255, NaN where nothing is observed.
        after: the next images.
        alpha: weight of the smoothness term.
        rho: standard deviation in pixels of the window that shares a motion.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by.
        max_level: the coarsest level.
        start_level: the finest level; the flow is resampled from there to the grid.
        sweeps: at each level.

    Source: the published HKO-7 benchmark of Shi et al. 2017 (arXiv:1706.03458), whose parameters are the defaults;
    Bruhn et al. 2005 for the energy.
    """
    height, width = before.shape[-2:]
    first, second = _presmoothed(before, sigma), _presmoothed(after, sigma)
    gradient = _derivatives(first)
    products = _products(gradient[0], gradient[1], second - first)
    products = _gaussian(products * _far_from_unseen(before, after)[:, None], rho)
    flow = before.new_zeros(len(before), 2, 1, 1)
    for level in range(max_level, start_level - 1, -1):
        size = (max(2, height >> level), max(2, width >> level))
        flow = interpolate(flow, size=size, mode="bilinear", align_corners=False)
        small = interpolate(products, size=size, mode="bilinear", align_corners=False)
        flow = _relaxed(small * 4.0**level, flow, alpha, sweeps, over=1.0)
    return interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)


def _tensor(first: Tensor, second: Tensor, flow: Tensor, seen: Tensor, rho: float) -> Tensor:
    """J_r around the flow so far, moved so that its last column belongs to the whole flow and not to its increment."""
    points = pixel_coordinates(flow) + flow
    warped = sample(second[:, None], points, "border")[:, 0]
    height, width = first.shape[-2:]
    last = first.new_tensor([height - 1, width - 1]).view(1, 2, 1, 1)
    inside = ((points >= 0) & (points <= last)).all(dim=1)
    by_first, by_warped = _derivatives(first), _derivatives(warped)
    dy, dx = 0.5 * (by_first[0] + by_warped[0]), 0.5 * (by_first[1] + by_warped[1])
    change = warped - first - dy * flow[:, 0] - dx * flow[:, 1]
    return _gaussian(_products(dy, dx, change) * (seen * inside)[:, None], rho)


def _products(dy: Tensor, dx: Tensor, change: Tensor) -> Float[Tensor, "batch 5 y x"]:
    return torch.stack([dy * dy, dy * dx, dx * dx, dy * change, dx * change], dim=1)


def _relaxed(tensor: Tensor, flow: Tensor, alpha: float, sweeps: int, over: float = _OVER) -> Tensor:
    """Red-black relaxation of the Euler-Lagrange equations, both components of a pixel at once."""
    yy, yx, xx, yt, xt = (tensor / alpha).unbind(1)
    height, width = flow.shape[-2:]
    count = _neighbours(torch.ones_like(flow[:1, :1]))[0, 0]
    a, b = count + yy, count + xx
    inverse = 1.0 / (a * b - yx * yx).clamp(min=1e-12)
    rows = torch.arange(height, device=flow.device)[:, None] + torch.arange(width, device=flow.device)
    colours = [(rows % 2 == parity).to(flow.dtype) * over for parity in (0, 1)]
    for _ in range(sweeps):
        for share in colours:
            around = _neighbours(flow)
            right_y, right_x = around[:, 0] - yt, around[:, 1] - xt
            new = torch.stack([(b * right_y - yx * right_x) * inverse, (a * right_x - yx * right_y) * inverse], dim=1)
            flow = torch.lerp(flow, new, share.expand_as(flow))
    return flow


def _neighbours(values: Tensor) -> Tensor:
    """Sums over the four neighbours inside the grid."""
    wide = pad(values, (1, 1, 1, 1))
    return wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]


def _derivatives(image: Float[Tensor, "batch y x"]) -> tuple[Tensor, Tensor]:
    """Along y and x, of fourth order inside."""
    stencil = image.new_tensor([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0
    wide = pad(image[:, None], (2, 2, 2, 2), mode="replicate")
    along_y = conv2d(wide[..., 2:-2], stencil.view(1, 1, 5, 1))
    along_x = conv2d(wide[..., 2:-2, :], stencil.view(1, 1, 1, 5))
    return along_y[:, 0], along_x[:, 0]


def _presmoothed(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian mean over what was observed; 0 far from it."""
    seen = image.isfinite().to(image.dtype)
    both = _gaussian(torch.stack([image.nan_to_num(0.0), seen], dim=1), sigma)
    return both[:, 0] / both[:, 1].clamp(min=1e-3)


def _far_from_unseen(before: Tensor, after: Tensor) -> Tensor:
    """1 where both images were observed all around, else 0."""
    unseen = (~(before.isfinite() & after.isfinite())).to(before.dtype)[:, None]
    return 1.0 - max_pool2d(unseen, 7, stride=1, padding=3)[:, 0]


def _gaussian(values: Float[Tensor, "batch channel y x"], sigma: float) -> Float[Tensor, "batch channel y x"]:
    if sigma <= 0:
        return values
    reach = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    flat = values.flatten(0, 1)[:, None]
    flat = conv2d(pad(flat, (reach, reach, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1))
    flat = conv2d(pad(flat, (0, 0, reach, reach), mode="replicate"), weights.view(1, 1, -1, 1))
    return flat[:, 0].reshape(values.shape)


def _enlarged(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """The flow of a coarser level on a finer one; displacements grow with the grid."""
    if tuple(flow.shape[-2:]) == size:
        return flow
    return 2.0 * interpolate(flow, size=size, mode="bilinear", align_corners=False)
