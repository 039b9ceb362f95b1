"""Frames and their labels varied together: mirrored, brightened, turned and shifted.

All frames of a window are changed alike, so that what moves goes on moving as before.

>>> levels, labels = torch.rand(1, 2, 1, 4, 6), torch.zeros(1, 2, 1, 8, 12, dtype=torch.int64)
>>> same, kept = moved(levels, labels, torch.zeros(1), torch.zeros(1, 2))
>>> bool(torch.allclose(same, levels, atol=1e-6)), bool((kept == labels).all())
(True, True)
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from echocast.samples.tensors import IGNORED

Pair = tuple[Tensor, Tensor]
"""Windows (batch, time, channel, y, x) and their labels (batch, time, 1, rows, columns)."""


def mirrored(windows: Tensor, labels: Tensor, rng: np.random.Generator, axis: int) -> Pair:
    """Every window mirrored along an axis (-1 for x, -2 for y) by the toss of a coin."""
    chosen = torch.from_numpy(rng.random(len(windows)) < 0.5).reshape(-1, 1, 1, 1, 1)
    return torch.where(chosen, windows.flip(axis), windows), torch.where(chosen, labels.flip(axis), labels)


def jittered(
    levels: Float[Tensor, "batch time channel y x"], rng: np.random.Generator, *, sigma: float
) -> Float[Tensor, "batch time channel y x"]:
    """The levels of each window times a factor plus an offset, held in [0, 1]; NaN stays.

    Args:
        levels: grey levels in [0, 1].
        rng: what factor and offset are drawn from.
        sigma: standard deviation of the offset, and of the logarithm of the factor.
    """
    factor, offset = (torch.from_numpy(rng.normal(0.0, sigma, len(levels))).to(levels) for _ in range(2))
    factor, offset = (one.reshape(-1, 1, 1, 1, 1) for one in (factor.exp(), offset))
    return (levels * factor + offset).clamp(0.0, 1.0)


def moved(
    windows: Float[Tensor, "batch time channel y x"],
    labels: Int[Tensor, "batch time 1 rows columns"],
    angle: Float[Tensor, "batch"],
    shift: Float[Tensor, "batch 2"],
) -> Pair:
    """Windows turned about their middle and shifted; frames are interpolated, labels take their nearest cell.

    Args:
        windows: the frames.
        labels: of the same shape in the large, on a grid of their own.
        angle: of each window, in radians, clockwise as the picture is seen.
        shift: to the right and down, as a share of columns and rows.

    Returns:
        The same; what comes from beyond the border is NaN, and `IGNORED` among the labels.
    """
    batch, time = windows.shape[:2]
    known = windows.isfinite().all(dim=2, keepdim=True).to(windows)
    frames = _sampled(windows.nan_to_num(0.0).flatten(1, 2), angle, shift, "bilinear")
    seen = _sampled(known.flatten(1, 2), angle, shift, "nearest").reshape(known.shape) > 0.5
    placed = _sampled((labels - IGNORED).to(windows).flatten(1, 2), angle, shift, "nearest")
    frames = frames.reshape(windows.shape).masked_fill(~seen, torch.nan)
    return frames, placed.round().to(torch.int64).reshape(batch, time, 1, *labels.shape[-2:]) + IGNORED


def drawn(
    batch: int, rng: np.random.Generator, *, max_turn: float, max_shift: float
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch 2"]]:
    """Angles (radians) and shifts for `moved`, uniform up to `max_turn` degrees and `max_shift`."""
    angle = rng.uniform(-max_turn, max_turn, batch) * math.pi / 180
    return torch.from_numpy(angle).float(), torch.from_numpy(rng.uniform(-max_shift, max_shift, (batch, 2))).float()


def _sampled(images: Tensor, angle: Tensor, shift: Tensor, mode: str) -> Tensor:
    rows, columns = images.shape[-2:]
    cos, sin, share = torch.cos(angle), torch.sin(angle), rows / columns
    # Coordinates run from -1 to 1 along each side, so a turn has to know that the sides differ.
    x, y = 2 * shift[:, 0], 2 * shift[:, 1]
    first = torch.stack([cos, sin * share, -cos * x - sin * share * y], dim=1)
    second = torch.stack([-sin / share, cos, sin / share * x - cos * y], dim=1)
    places = affine_grid(torch.stack([first, second], dim=1).to(images), list(images.shape), align_corners=False)
    return grid_sample(images, places, mode=mode, padding_mode="zeros", align_corners=False)
