"""Convolutions in 0 to 3 spatial dimensions with the padding that recurrent layers use; in 0, a matrix product.

>>> Convolution(kernel=(5, 5), stride=(2, 2), dilation=(1, 1)).output_size((64, 48))
(32, 24)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from echocast.nn import torch_internals

Padding = Literal["same", "keras", "valid"]
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
        padding: ``same`` and ``keras`` keep the spatial size (divided by the stride, rounded up); ``valid`` pads
            nothing. ``same`` pads half a kernel on each side, ``keras`` what the last output needs, as TensorFlow does;
            with a stride, these are different places.
        padding_mode: ``zeros``, ``reflect`` and ``circular`` as in `torch.nn.Conv2d`; ``learned`` pads with one number
            per channel.

    Raises:
        ValueError: an unknown name, or a mode of padding where nothing is padded.
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
    def pads(self) -> bool:
        """Whether any pixel can be added."""
        return self.padding != "valid" and any(size > 1 for size in self.kernel)

    def border(self, size: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Pixels added before and after an input of `size`, by dimension."""
        added = []
        for n, k, s, d in zip(size, self.kernel, self.stride, self.dilation, strict=True):
            total = 0 if self.padding == "valid" else d * (k - 1)
            if self.padding == "keras":
                total = max(total + 1 + (n - 1) // s * s - n, 0)
            added.append((total // 2, total - total // 2))
        return tuple(added)

    @property
    def is_default(self) -> bool:
        """Whether it keeps the spatial size with zero padding, without stride, dilation or groups."""
        ones = (1,) * len(self.kernel)
        plain = (self.stride, self.dilation, self.groups, self.padding_mode) == (ones, ones, 1, "zeros")
        return plain and self.padding != "valid"

    @property
    def is_odd(self) -> bool:
        """Whether it has as many pixels on one side of its middle as on the other."""
        return all(size % 2 for size in self.kernel)

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial size of the output for an input of `size`.

        Raises:
            ValueError: nothing is left of it.
        """
        lost = 1 if self.padding == "valid" else 0
        shape = zip(size, self.kernel, self.stride, self.dilation, strict=True)
        made = tuple((n - lost * d * (k - 1) - 1) // s + 1 for n, k, s, d in shape)
        if any(isinstance(n, int) and n < 1 for n in made):
            raise ValueError(
                f"a grid of {tuple(size)} is too small for padding={self.padding!r} with a kernel of {self.kernel} and"
                f" dilation {self.dilation}: nothing is left; give a larger grid, a smaller kernel or padding='same'"
            )
        return made

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
        sides = self.border(x.shape[2:])
        even = all(before == after for before, after in sides)
        if even and (self.padding_mode == "zeros" or not self.pads):
            padding = tuple(before for before, _ in sides)
        else:
            padding = (0,) * len(sides)
            x = self._padded(x, sides, learned_padding)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(sides) - 1]
        return convolve(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, x: Tensor, sides: tuple[tuple[int, int], ...], learned_padding: Tensor | None) -> Tensor:
        flat = [p for both in reversed(sides) for p in both]
        if self.padding_mode in ("reflect", "circular"):
            if not torch_internals.is_recorded():
                self._check_reach(x.shape[2:], sides)
            return F.pad(x, flat, mode=self.padding_mode)
        padded = F.pad(x, flat)
        if learned_padding is None:
            return padded
        outside = F.pad(x.new_zeros(1, 1, *x.shape[2:]), flat, value=1.0)
        return padded + learned_padding.to(x.dtype).reshape(-1, *[1] * len(sides)) * outside

    def _check_reach(self, size: Sequence[int], sides: tuple[tuple[int, int], ...]) -> None:
        most = [n - 1 if self.padding_mode == "reflect" else n for n in size]
        if any(max(both) > reach for both, reach in zip(sides, most, strict=True)):
            raise ValueError(
                f"padding_mode={self.padding_mode!r} cannot pad a grid of {tuple(size)} by {sides} pixels, more than it"
                f" has; use a smaller kernel than {self.kernel}, a larger grid or padding_mode='zeros'"
            )


def by_dimension(name: str, value: Size, dims: int) -> tuple[int, ...]:
    """`value` for each of `dims` dimensions.

    Raises:
        ValueError: another count of numbers, or one below 1.
    """
    sizes = (int(value),) * dims if isinstance(value, Integral) else tuple(int(size) for size in value)  # type: ignore[union-attr]
    if len(sizes) != dims:
        raise ValueError(f"{name}={value!r} has {len(sizes)} numbers; {dims} dimensions need {dims}, or one for all")
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name} must be at least 1; got {value!r}")
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
