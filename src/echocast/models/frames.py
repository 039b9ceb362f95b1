"""Frames made to fit a network: padded to a multiple of something, or resampled to the one grid that it knows."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad


def padded(frames: Tensor, multiple: int) -> Tensor:
    """Frames (..., y, x) with rows and columns of 0 added below and to the right, up to a multiple; NaN becomes 0."""
    height, width = frames.shape[-2:]
    return pad(frames.nan_to_num(0.0), (0, -width % multiple, 0, -height % multiple))


def replicated(frames: Tensor, multiple: int) -> Tensor:
    """Frames (batch, time, channel, y, x) with the last row and column repeated up to a multiple; unchanged on one."""
    height, width = frames.shape[-2:]
    more = (0, -width % multiple, 0, -height % multiple)
    if not any(more):
        return frames
    made = pad(frames.flatten(0, 1), more, mode="replicate")
    return made.reshape(*frames.shape[:2], *made.shape[1:])


def resampled(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (batch, time, channel, y, x) on another number of rows and columns, bilinear; unchanged on the same."""
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    flat = interpolate(frames.flatten(0, 1), size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return flat.reshape(*frames.shape[:2], *flat.shape[1:])


def observed_mean(errors: Tensor, truth: Tensor) -> Tensor:
    """The mean of errors where the truth, of the same shape, is no NaN; 0 where there is none."""
    seen = truth.isfinite()
    return torch.where(seen, errors, 0.0).sum() / seen.sum().clamp(min=1)
