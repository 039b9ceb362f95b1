"""The equations of recurrent cells, written once more, pixel by pixel."""

from collections.abc import Callable
from itertools import product
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from echocast.nn import ConvLSTMCell

Squash = Callable[[Tensor], Tensor]
M = TypeVar("M", bound=nn.Module)


def randomised(module: M, seed: int = 0, scale: float = 0.5) -> M:
    """The module with every weight drawn anew, biases and peepholes too."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, scale)
    return module


def by_the_book(cell: ConvLSTMCell, x: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """A step of this cell by `lstm_step`."""
    return lstm_step(x, h, c, wx=cell.weight_x, wh=cell.weight_h, bias=cell.bias, peephole=cell.peephole)


def correlate(weight: Tensor, image: Tensor) -> Tensor:
    """Each output pixel as a sum over the kernel's taps; zeros beyond the border, odd kernels, any dimensions."""
    space = image.shape[2:]
    out = image.new_zeros(image.shape[0], weight.shape[0], *space)
    for pixel in np.ndindex(*space):
        for tap in product(*(range(size) for size in weight.shape[2:])):
            seen = tuple(p + t - size // 2 for p, t, size in zip(pixel, tap, weight.shape[2:], strict=True))
            if all(0 <= s < n for s, n in zip(seen, space, strict=True)):
                out[(..., *pixel)] += image[(..., *seen)] @ weight[(..., *tap)].T
    return out


def over_space(channels: Tensor, dims: int) -> Tensor:
    """(channel,) so that it adds to (batch, channel, *space)."""
    return channels.reshape(-1, *[1] * dims)


def lstm_step(
    x: Tensor | None,
    h: Tensor,
    c: Tensor,
    *,
    wx: Tensor | None,
    wh: Tensor,
    bias: Tensor | None,
    peephole: Tensor | None = None,
    gate: Squash = torch.sigmoid,
    squash: Squash = torch.tanh,
) -> tuple[Tensor, Tensor]:
    """Equation 3 of Shi et al. 2015; gates i, f, candidate, o."""
    total = correlate(wh, h)
    if x is not None and wx is not None:
        total = total + correlate(wx, x)
    if bias is not None:
        total = total + over_space(bias, h.dim() - 2)
    i, f, g, o = total.chunk(4, 1)
    wi, wf, wo = peephole if peephole is not None else torch.zeros(3, dtype=h.dtype)
    i, f = gate(i + wi * c), gate(f + wf * c)
    new = f * c + i * squash(g)
    return gate(o + wo * new) * squash(new), new


def gru_step(x: Tensor, h: Tensor, *, wx: Tensor, wh: Tensor, bias: Tensor, bias_h: Tensor | None = None) -> Tensor:
    """Ballas et al. 2016; gates r, u, candidate. With `bias_h`, the reset comes after the convolution."""
    dims, hidden = h.dim() - 2, h.shape[1]
    r, u, n = (correlate(wx, x) + over_space(bias, dims)).chunk(3, 1)
    shares = wh.split(hidden)
    r = torch.sigmoid(r + correlate(shares[0], h))
    u = torch.sigmoid(u + correlate(shares[1], h))
    if bias_h is None:
        n = torch.tanh(n + correlate(shares[2], r * h))
    else:
        n = torch.tanh(n + r * (correlate(shares[2], h) + over_space(bias_h, dims)))
    return u * h + (1 - u) * n
