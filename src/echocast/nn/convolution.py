"""Convolutions in 0 to 3 spatial dimensions with the padding that recurrent layers use; in 0, a matrix product.

>>> Convolution(kernel=(5, 5), stride=(2, 2), dilation=(1, 1)).output_size((64, 48))
(32, 24)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

Padding = Literal["same", "valid"]
PaddingMode = Literal["zeros", "reflect", "circular", "learned"]
Size = int | Sequence[int]
"""One number for all dimensions, or one for each."""


@dataclass(frozen=True)
class Convolution:
    """The geometry of one convolution.

    Args:
        kernel: kernel size by dimension.
        stride, dilation: by dimension, as in `torch.nn.Conv2d`.
        groups: groups of channels, each convolved alone.
        padding: ``same`` keeps the spatial size (divided by the stride, rounded up); ``valid`` pads nothing.
        padding_mode: ``zeros``, ``reflect`` and ``circular`` as in `torch.nn.Conv2d`; ``learned`` pads with one number
            per channel.

    Raises:
        ValueError: an even kernel with ``same`` padding, a number below 1 or an unknown name.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    padding: Padding = "same"
    padding_mode: PaddingMode = "zeros"

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding must be one of {', '.join(get_args(Padding))}; got {self.padding!r}")
        if self.padding_mode not in get_args(PaddingMode):
            raise ValueError(
                f"padding_mode must be one of {', '.join(get_args(PaddingMode))}; got {self.padding_mode!r}"
            )
        if self.padding == "valid" and self.padding_mode != "zeros":
            raise ValueError(f"padding='valid' pads nothing; leave out padding_mode={self.padding_mode!r}")

    @property
    def border(self) -> tuple[int, ...]:
        """Pixels added on each side, by dimension."""
        if self.padding == "valid":
            return (0,) * len(self.kernel)
        return tuple(d * (k // 2) for d, k in zip(self.dilation, self.kernel, strict=True))

    @property
    def is_default(self) -> bool:
        """Whether it keeps the spatial size with zero padding, without stride, dilation or groups."""
        ones = (1,) * len(self.kernel)
        return (self.stride, self.dilation, self.groups) == (ones, ones, 1) and (self.padding, self.padding_mode) == (
            "same",
            "zeros",
        )

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial size of the output for an input of `size`."""
        shape = zip(size, self.kernel, self.stride, self.dilation, self.border, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in shape)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None, learned_padding: Tensor | None = None) -> Tensor:
        """Convolve (batch, channel, *space).

        Args:
            x: the input.
            weight: (out, in / groups, *kernel).
            bias: (out,) or None.
            learned_padding: (in,), what ``padding_mode="learned"`` pads with.
        """
        if not self.kernel:
            return F.linear(x, weight, bias)
        border = self.border
        if self.padding_mode != "zeros" and any(border):
            sides = [p for n in reversed(border) for p in (n, n)]
            if learned_padding is not None:
                shift = learned_padding.to(x.dtype).reshape(-1, *[1] * len(border))
                x = F.pad(x - shift, sides) + shift
            else:
                x = F.pad(x, sides, mode=self.padding_mode)
            border = (0,) * len(border)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(border) - 1]
        return convolve(x, weight, bias, self.stride, border, self.dilation, self.groups)


def by_dimension(name: str, value: Size, dims: int, *, odd: bool = False) -> tuple[int, ...]:
    """`value` for each of `dims` dimensions.

    Raises:
        ValueError: another count of numbers, one below 1, or an even one where `odd` is asked for.
    """
    sizes = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(sizes) != dims:
        raise ValueError(f"{name}={value!r} has {len(sizes)} numbers; {dims} dimensions need {dims}, or one for all")
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name} must be at least 1; got {value!r}")
    if odd and any(size % 2 == 0 for size in sizes):
        raise ValueError(f"{name} must be odd, so that padding='same' keeps the spatial size; got {value!r}")
    return sizes


def normalise(gates: Tensor, count: int, kind: str, groups: int) -> Tensor:
    """Gates of mean 0 and variance 1, each gate on its own: (batch, count x hidden, *space).

    ``layer``: over a gate's channels, pixel by pixel, so that a shifted input still gives a shifted output;
    ``group``: over `groups` groups of a gate's channels and all pixels.
    """
    if kind == "group":
        return F.group_norm(gates, count * groups)
    parts = gates.reshape(gates.shape[0], count, -1, *gates.shape[2:])
    variance, mean = torch.var_mean(parts, dim=2, keepdim=True, correction=0)
    return ((parts - mean) * torch.rsqrt(variance + 1e-5)).flatten(1, 2)
