"""The two ways to compute the convolution of a time step, with stride 1 and zero padding.

Images are channels-last, (image, *space, channel), and lie in buffers with the border that `border` asks for.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from echocast.nn.fused import switches, winograd
from echocast.nn.fused.buffers import F32, empty, inner
from echocast.nn.fused.geometry import TILE, tiles, whole
from echocast.nn.fused.product import product

Part = tuple[slice, ...]
"""Some of the images, or some lines (along the first axis of space) of one."""

Blocks = Sequence[tuple[slice, slice]]
"""Parts of a weight: channels of the images, and channels of the results that they give."""

WHOLE: Blocks = ((slice(None), slice(None)),)

_CACHED = 4 << 20
"""Bytes of gates computed directly at a time, so that they are still in the cache when their activations follow."""

_TILES = 256
"""Tiles multiplied at a time: enough for a matrix product, few enough for the cache."""

_FEW_TILES, _TILE_BYTES = 64, 16 << 20
"""Fewer where channels are so many that they would need more bytes than this, but not fewer than these."""


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
    scratch: dict[int, Tensor] | None = None,
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
        return _Winograd(weight, space, {} if scratch is None else scratch, blocks)
    return _Direct(weight, space, dtype, keep=keep)


class _Direct:
    """PyTorch's own convolution."""

    wide = False

    def __init__(self, weight: Tensor, space: Sequence[int], dtype: torch.dtype, *, keep: bool) -> None:
        form = torch.channels_last if weight.dim() == 4 else torch.channels_last_3d
        self.weight = weight.to(dtype).contiguous(memory_format=form)
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
        return _strips(images, self._lines, self._strip)

    def forward(self, buffer: Tensor, part: Part, bias: Tensor | None) -> Tensor:
        padding = self._padding
        if self._strip:
            part = part[0], slice(part[1].start, part[1].stop + 2 * padding[0])
            padding = [0, *padding[1:]]
        one, zero = [1] * len(padding), [0] * len(padding)
        images, bias = buffer[part].movedim(-1, 1), None if bias is None else bias.to(buffer.dtype)
        made = torch.ops.aten.convolution(images, self.weight, bias, one, padding, one, False, zero, 1)
        return made.movedim(1, -1).contiguous()  # type: ignore[no-any-return]

    def back(self, gradient: Tensor) -> Tensor:
        images = empty((*gradient.shape[:-1], self.weight.shape[1]), gradient.dtype)
        made = self.gradients(gradient, images, to_images=True)
        return made.movedim(1, -1).contiguous()

    def gradients(self, gradient: Tensor, images: Tensor, *, to_images: bool) -> Tensor:
        """The gradient of the images, or of the weight."""
        one, zero = [1] * len(self._padding), [0] * len(self._padding)
        one_of = [to_images, not to_images, False]
        first, second = gradient.movedim(-1, 1), images.movedim(-1, 1)
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


class _Winograd:
    """See `winograd`."""

    wide = True

    def __init__(self, weight: Tensor, space: Sequence[int], scratch: dict[int, Tensor], blocks: Blocks) -> None:
        self.weight, self._scratch, self.blocks = weight, scratch, blocks
        self._kernel = weight.shape[2]
        self.border: tuple[int, ...] = (self._kernel // 2,) * 2
        self._space, self.room = tuple(space), whole(space)
        self._planes = (self._kernel + TILE - 1) ** 2
        self._forward: Tensor | None = None
        self._backward: Tensor | None = None

    def parts(self, images: int) -> list[Part]:
        count = math.prod(self.room) // TILE**2
        wanted = min(_TILES, max(_FEW_TILES, _TILE_BYTES // (4 * self._planes * sum(self.weight.shape[:2]))))
        if count >= 2 * wanted:
            lines = TILE * max(1, wanted * TILE // self.room[1])
            return _strips(images, self.room[0], lines)
        together = max(1, wanted // count)
        return [(slice(b, min(b + together, images)),) for b in range(0, images, together)]

    def forward(self, buffer: Tensor, part: Part, bias: Tensor | None) -> Tensor:
        if self._forward is None:
            self._forward = winograd.weight_tiles(self.weight)
        first, last = (0, self.room[0]) if len(part) == 1 else (part[1].start, part[1].stop)
        shape = part[0].stop - part[0].start, last - first, self.room[1], self.weight.shape[0]
        out = self._memory(2, shape)
        bias = None if bias is None else bias.float()
        self._product(buffer, part, self._forward, self.blocks, out=out, bias=bias)
        return out[:, : self._space[0] - first, : self._space[1]]

    def back(self, gradient: Tensor) -> Tensor:
        if self._backward is None:
            # The transpose of a correlation is the correlation with the kernel turned round.
            self._backward = winograd.weight_tiles(self.weight.flip(2, 3).transpose(0, 1))
        images = self._memory(3, (len(gradient), *self.room, self.weight.shape[1]))
        for part in self.parts(len(gradient)):
            self._product(gradient, part, self._backward, [(out, seen) for seen, out in self.blocks], out=images[part])
        return images[:, : self._space[0], : self._space[1]]

    def weight_gradient(self) -> WeightGradient:
        return _WinogradWeight(self)

    def release(self) -> None:
        self._scratch.clear()
        self._forward = self._backward = None

    def needed(self, buffer: Tensor, part: Part) -> Tensor:
        """The lines of a buffer that a part needs."""
        return buffer[part] if len(part) == 1 else buffer[part[0], part[1].start : part[1].stop + self._kernel - 1]

    def tile_room(self, which: int, count: int, channels: int) -> Tensor:
        """Scratch for tiles (plane, tile, channel)."""
        return self._memory(which, (self._planes, count, channels))

    def _memory(self, which: int, shape: tuple[int, ...]) -> Tensor:
        """One of four pieces of scratch, which the next call with this number overwrites: fresh memory costs more in
        page faults than in arithmetic."""
        size = math.prod(shape)
        if which not in self._scratch or self._scratch[which].numel() < size:
            self._scratch[which] = empty((size,), torch.float32)
        return self._scratch[which][:size].view(shape)

    def input_tiles(self, images: Tensor) -> Tensor:
        """A part's images, with their border, as tiles."""
        lines, columns = ((size - self._kernel + 1) // TILE for size in images.shape[1:3])
        tiles = self.tile_room(0, len(images) * lines * columns, images.shape[3])
        winograd.input_tiles(images, self._kernel, tiles)
        return tiles

    def _product(
        self, buffer: Tensor, part: Part, weight: Tensor, blocks: Blocks, *, out: Tensor, bias: Tensor | None = None
    ) -> None:
        tiles = self.input_tiles(self.needed(buffer, part))
        products = self.tile_room(1, tiles.shape[1], weight.shape[2])
        for k, (seen, made) in enumerate(blocks):
            add = any(_meet(made, before) for _, before in blocks[:k])
            product(tiles[..., seen], weight[:, seen, made], products[..., made], add=add)
        winograd.output_images(products, self._kernel, out, bias)


class _WinogradWeight:
    def __init__(self, convolution: _Winograd) -> None:
        self._convolution = convolution
        weight = convolution.weight
        self._sum = torch.zeros(convolution._planes, weight.shape[1], weight.shape[0], **F32)

    def add(self, gradient: Tensor, buffer: Tensor) -> None:
        convolution = self._convolution
        kernel, within = convolution._kernel, inner(gradient, convolution.border)
        for part in convolution.parts(len(gradient)):
            tiles = convolution.input_tiles(convolution.needed(buffer, part))
            results = convolution.tile_room(1, tiles.shape[1], gradient.shape[-1])
            winograd.gradient_tiles(within[part], kernel, results)
            for seen, made in convolution.blocks:
                sums = self._sum[:, seen, made]
                product(tiles[..., seen].transpose(1, 2), results[..., made], sums, add=True)

    def result(self) -> Tensor:
        return winograd.weight_from_tiles(self._sum, self._convolution._kernel)


def _meet(one: slice, other: slice) -> bool:
    return bool(max(one.start, other.start) < min(one.stop, other.stop))


def _strips(images: int, lines: int, strip: int) -> list[Part]:
    starts = range(0, lines, strip)
    return [(slice(b, b + 1), slice(r, min(r + strip, lines))) for b in range(images) for r in starts]
