"""Between a radar's grid and the coarser one that weights were trained on.

A network that learned from cells of 4 km is given means over 4 km, not cells of 1 km.

    >>> import torch
    >>> coarse = coarsen(torch.ones(1, 1, 1, 7, 10), 4)
    >>> tuple(coarse.shape), tuple(refine(coarse, 4, (7, 10)).shape)
    ((1, 1, 1, 2, 3), (1, 1, 1, 7, 10))
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

_PIXELS = 1 << 20
"""Pixels that are averaged at a time, for memory."""


def factor(grid_km: float | None, trained_km: float | None) -> int:
    """How many cells of a grid, along a side, make one of the grid trained on; 1 where either is unknown."""
    if not grid_km or not trained_km:
        return 1
    return max(1, round(trained_km / grid_km))


def coarsen(rain: Float[Tensor, "batch time channel y x"], by: int) -> Float[Tensor, "batch time channel rows columns"]:
    """Means over the observed cells of each `by` x `by` block, NaN where there is none."""
    height = max(1, _PIXELS // (by * rain[..., 0, :].numel())) * by
    if height < rain.shape[-2]:
        return torch.cat([_coarsened(rows, by) for rows in torch.split(rain, height, dim=-2)], dim=-2)
    return _coarsened(rain, by)


def _coarsened(rain: Tensor, by: int) -> Tensor:
    height, width = rain.shape[-2:]
    padded = pad(rain, (0, -width % by, 0, -height % by), value=torch.nan).flatten(0, 1)
    seen = padded.isfinite().to(rain.dtype)
    share = avg_pool2d(seen, by)
    total = avg_pool2d(padded.nan_to_num(0.0), by)
    mean = torch.where(share > 0, total / share.clamp(min=1.0 / by**2), torch.nan)
    return mean.reshape(*rain.shape[:2], *mean.shape[1:])


def refine(
    rain: Float[Tensor, "batch time channel rows columns"], by: int, size: tuple[int, int]
) -> Float[Tensor, "batch time channel y x"]:
    """Bilinear values on the finer grid of `size` (y, x); NaN has no weight, so it does not spread."""
    flat = rain.flatten(0, 1)
    seen = flat.isfinite().to(rain.dtype)
    values = interpolate(flat.nan_to_num(0.0), scale_factor=by, mode="bilinear", align_corners=False)
    weight = interpolate(seen, scale_factor=by, mode="bilinear", align_corners=False)
    fine = torch.where(weight > 0, values / weight.clamp(min=1e-6), torch.nan)[..., : size[0], : size[1]]
    return fine.reshape(*rain.shape[:2], *fine.shape[1:])
