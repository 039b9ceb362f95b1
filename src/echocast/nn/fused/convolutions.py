"""The two ways to compute the convolution of a time step, with stride 1 and zero padding.

Images are channels-last, (image, *space, channel), and lie in buffers with the border that `border` asks for.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from echocast.nn.fused import switches
from echocast.nn.fused.buffers import F32, empty
from echocast.nn.fused.geometry import WHOLE, Blocks, Part, strips, tiles
from echocast.nn.fused.tiled import Scratch, Tiled

_CACHED = 4 << 20
"""Bytes of gates computed directly at a time, so that they are still in the cache when their activations follow."""


@runtime_checkable
class Convolution(Protocol):
    """A convolution of images of one size."""

    border: tuple[int, ...]
    """Zeros wanted around the images, by axis."""

    room: tuple[int, ...]
    """The grid that lies within the border: the images' own, or a larger one that they begin and zeros fill."""

    wide: bool
    """Whether results are 32-bit whatever the images are."""

    weight: Tensor
    """(out, in, *kernel)."""

    def parts(self, images: int) -> list[Part]:
        """What to compute at a time; the last lines of a part may lie in the room behind the images."""

    def forward(self, buffer: Tensor, part: Part, bias: Tensor | None) -> Tensor:
        """A part's result, (image, *space, out), from the whole buffer; good until the next call."""

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient of the images from that of the results, which lies in a buffer with `border` too; good until the
        next call."""

    def weight_gradient(self) -> "WeightGradient":
        """A sum, 0 so far, to which time steps can be added."""

    def release(self) -> None:
        """Give back memory that is made again where it is needed; results that are still held stay good."""


@runtime_checkable
class WeightGradient(Protocol):
    """The gradient of a weight, summed over time steps."""

    def add(self, gradient: Tensor, buffer: Tensor) -> None:
        """Add that of some images: the results' gradient and the images, both with `border`."""

    def result(self) -> Tensor:
        """The gradient so far, (out, in, *kernel)."""


def choose(
    weight: Tensor,
    space: Sequence[int],
    dtype: torch.dtype,
    *,
    keep: bool,
    scratch: Scratch | None = None,
    blocks: Blocks = WHOLE,
) -> Convolution:
    """The faster way for this weight and grid.

    Args:
        weight: (out, in, *kernel).
        space: size of the grid.
        dtype: of the images.
        keep: results are kept for the backward pass, so that cutting large images into strips would save no memory.
        scratch: memory shared with other convolutions, whose results are then good until the next call of any of them.
        blocks: the parts of the weight that are not zero.
    """
    if not switches.is_direct() and tiles(weight.shape[2:], space):
        return Tiled(weight, space, Scratch() if scratch is None else scratch, blocks)
    return _Direct(weight, space, dtype, keep=keep)


def has_bf16() -> bool:
    """Whether PyTorch's convolutions are made for bfloat16 here: with AVX2 alone they take 10 times as long in it as in
    32 bits, and more."""
    return "AVX2" not in torch.backends.cpu.get_cpu_capability()


class _Direct:
    """PyTorch's own convolution, in 32 bits where the processor has no other."""

    def __init__(self, weight: Tensor, space: Sequence[int], dtype: torch.dtype, *, keep: bool) -> None:
        form = torch.channels_last if weight.dim() == 4 else torch.channels_last_3d
        self.wide = dtype == torch.bfloat16 and not has_bf16()
        self.weight = weight.to(torch.float32 if self.wide else dtype).contiguous(memory_format=form)
        self._padding = [size // 2 for size in weight.shape[2:]]
        image = math.prod(space) * weight.shape[0] * self.weight.element_size()
        # Large images are cut into strips along the first axis of space, small ones taken several at a time.
        self._strip = max(1, _CACHED * space[0] // image) if image > 2 * _CACHED and not keep else 0
        self._together, self._lines = max(1, _CACHED // image), space[0]
        self.border = (self._padding[0] if self._strip else 0, *[0] * (len(space) - 1))
        self.room = tuple(space)

    def parts(self, images: int) -> list[Part]:
        if not self._strip:
            return [(slice(b, min(b + self._together, images)),) for b in range(0, images, self._together)]
        return strips(images, self._lines, self._strip)

    def forward(self, buffer: Tensor, part: Part, bias: Tensor | None) -> Tensor:
        padding = self._padding
        if self._strip:
            part = part[0], slice(part[1].start, part[1].stop + 2 * padding[0])
            padding = [0, *padding[1:]]
        one, zero = [1] * len(padding), [0] * len(padding)
        kind = self.weight.dtype
        images, bias = buffer[part].movedim(-1, 1).to(kind), None if bias is None else bias.to(kind)
        made = torch.ops.aten.convolution(images, self.weight, bias, one, padding, one, False, zero, 1)
        return made.movedim(1, -1).contiguous()  # type: ignore[no-any-return]

    def back(self, gradient: Tensor) -> Tensor:
        images = empty((*gradient.shape[:-1], self.weight.shape[1]), self.weight.dtype)
        made = self.gradients(gradient, images, to_images=True)
        return made.movedim(1, -1).contiguous()

    def gradients(self, gradient: Tensor, images: Tensor, *, to_images: bool) -> Tensor:
        """The gradient of the images, or of the weight."""
        one, zero = [1] * len(self._padding), [0] * len(self._padding)
        one_of = [to_images, not to_images, False]
        first, second = (tensor.movedim(-1, 1).to(self.weight.dtype) for tensor in (gradient, images))
        made = torch.ops.aten.convolution_backward(
            first, second, self.weight, None, one, self._padding, one, False, zero, 1, one_of
        )
        return made[0 if to_images else 1]  # type: ignore[no-any-return]

    def weight_gradient(self) -> WeightGradient:
        return _DirectWeight(self)

    def release(self) -> None:
        pass


class _DirectWeight:
    def __init__(self, convolution: _Direct) -> None:
        self._convolution = convolution
        self._sum = torch.zeros(convolution.weight.shape, **F32)

    def add(self, gradient: Tensor, buffer: Tensor) -> None:
        self._sum += self._convolution.gradients(gradient, buffer, to_images=False)

    def result(self) -> Tensor:
        return self._sum
