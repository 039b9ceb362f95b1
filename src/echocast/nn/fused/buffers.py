"""Images in memory: channels-last, (image, *space, channel), in buffers with room for a border of zeros."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

F32: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}
"""Said wherever a tensor is made: a user may have set other defaults."""


def inner(buffer: Tensor, border: Sequence[int], space: Sequence[int] | None = None) -> Tensor:
    """The images within their borders; those of size `space` where there is more room after them than before."""
    for axis, width in enumerate(border, start=1):
        buffer = buffer.narrow(axis, width, buffer.shape[axis] - 2 * width if space is None else space[axis - 1])
    return buffer


def within(buffer: Tensor, border: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """A buffer with a border as one with a border no wider, never copied."""
    return inner(buffer, [width - own for width, own in zip(border, wanted, strict=True)])


def empty(shape: Sequence[int], dtype: torch.dtype, strides: Sequence[int] | None = None) -> Tensor:
    """Memory from NumPy, which asks for huge pages: a fresh large tensor of PyTorch costs more in page faults than in
    arithmetic."""
    words = torch.from_numpy(np.empty(math.prod(shape), dtype=np.float32 if dtype == torch.float32 else np.int16))
    # No view of `words`, which autograd would not let a user change in place.
    form = (shape,) if strides is None else (shape, strides)
    return torch.empty(0, device="cpu", dtype=dtype).set_(words.untyped_storage(), 0, *form)


def frames(like: Tensor | None, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Memory for a sequence (time, batch, ...), one sequence after the other if the input `like` lies so: what a user
    with ``batch_first`` is given is then no copy."""
    steps, _, *rest = shape
    if like is None or like.stride(0) >= like.stride(1):
        return empty(shape, dtype)
    size = math.prod(rest)
    inside = [math.prod(rest[k + 1 :]) for k in range(len(rest))]
    return empty(shape, dtype, (size, steps * size, *inside))


def bordered(images: int, space: Sequence[int], channels: int, border: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A buffer of zeros with room for a border."""
    sides = [size + 2 * width for size, width in zip(space, border, strict=True)]
    return empty((images, *sides, channels), dtype).zero_()


def channels_last(images: Tensor, dtype: torch.dtype) -> Tensor:
    """(batch, channel, *space) as a contiguous (batch, *space, channel) of `dtype`."""
    return images.detach().movedim(1, -1).to(dtype).contiguous()


def by_step(images: Tensor, steps: int) -> Tensor:
    """(step and image, ...) as (step, image, ...), never copied."""
    return images.view(steps, -1, *images.shape[1:])


def rows(tensor: Tensor) -> Tensor:
    """(..., channel) as (row, channel), never copied."""
    return tensor.view(-1, tensor.shape[-1])


def grid(images: Tensor) -> Tensor:
    """(image, *space, channel) as (image, line, column, channel), never copied."""
    return images.flatten(1, -3)
