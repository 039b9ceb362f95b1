"""A 3x3 or 5x5 convolution that many time steps apply with one weight, on the CPU: prepared once, its gradient summed
once.

Inputs need not be concatenated: each is copied to its place among the channels of one buffer, and one of them may come
at half the size and is repeated to 2x2 cells on the way. The convolution goes by Winograd's filtering; see `winograd`.

    >>> import torch
    >>> convolution = prepare(torch.ones(4, 3, 3, 3), torch.zeros(4), space=(8, 8))
    >>> tuple(convolution(torch.ones(2, 1, 8, 8), halved=torch.ones(2, 2, 4, 4)).shape)
    (2, 4, 8, 8)
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, interpolate

from echocast.nn.fused import winograd
from echocast.nn.fused.buffers import empty
from echocast.nn.fused.geometry import TILE, whole
from echocast.shapes import Float

_TILES = 256
"""Tiles multiplied at a time: enough for a matrix product, few enough for the cache."""
_WORTHWHILE = 512
"""Weights of one tap under which the filtering costs more than it saves."""


@runtime_checkable
class Convolution(Protocol):
    """What `prepare` gives."""

    def __call__(
        self, *images: Float[Tensor, "batch _ y x"], halved: Float[Tensor, "batch c half_y half_x"] | None = None
    ) -> Float[Tensor, "batch out y x"]:
        """The result for images side by side in their channels, those of half the size last; channels-last in memory.

        It can be differentiated once.
        """


def prepare(weight: Tensor, bias: Tensor | None, *, space: tuple[int, int]) -> Convolution:
    """A convolution with stride 1 and zero padding, for all time steps of one sequence.

    Args:
        weight: (out, in, 3, 3) or (out, in, 5, 5), 32 bits.
        bias: (out,); None for none.
        space: rows and columns of the images.
    """
    if weight[:, :, 0, 0].numel() < _WORTHWHILE:
        return _Direct(weight, bias)
    return _Filtered(weight, weight.new_zeros(len(weight)) if bias is None else bias, space=space)


class _Direct:
    """PyTorch's own convolution."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight.contiguous(memory_format=torch.channels_last), bias

    def __call__(self, *images: Tensor, halved: Tensor | None = None) -> Tensor:
        large = [] if halved is None else [interpolate(halved, scale_factor=2.0, mode="nearest")]
        return conv2d(torch.cat([*images, *large], dim=1), self._weight, self._bias, padding="same")


class _Filtered:
    """By Winograd's filtering."""

    def __init__(self, weight: Tensor, bias: Tensor, *, space: tuple[int, int]) -> None:
        self.space, self._bias, self._weight = space, bias.detach(), weight.detach()
        self._kernel, self._border = weight.shape[-1], weight.shape[-1] // 2
        self._whole = whole(space)
        self._forward = winograd.weight_tiles(self._weight)
        self._backward: Tensor | None = None
        self._scratch: dict[tuple[int, int], Tensor] = {}
        self._begin()
        self._collected = _Collected.apply(self, weight, bias)  # type: ignore[no-untyped-call]

    def __call__(self, *images: Tensor, halved: Tensor | None = None) -> Tensor:
        made: Tensor = _Applied.apply(self, self._collected, halved, *images)  # type: ignore[no-untyped-call]
        return made

    def joined(self, images: Sequence[Tensor], halved: Tensor | None) -> Tensor:
        """A bordered buffer (image, row, column, channel) with all images side by side."""
        sizes = [part.shape[1] for part in images] + ([] if halved is None else [halved.shape[1]])
        buffer = self._bordered(len(images[0]), sum(sizes))
        within = torch.split(self._inner(buffer), sizes, dim=-1)
        for place, part in zip(within, images, strict=False):
            place.copy_(part.movedim(1, -1))
        if halved is not None:
            for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
                within[-1][:, row::2, column::2] = halved.movedim(1, -1)
        return buffer

    def forward(self, buffer: Tensor) -> Tensor:
        """The result of such a buffer, (image, row, column, out)."""
        return self._convolved(buffer, self._forward, self._bias)

    def back(self, gradient: Tensor, buffer: Tensor) -> Tensor:
        """The images' gradient, (image, row, column, in); those of weight and bias are added to their sums."""
        if self._backward is None:
            # The transpose of a correlation is the correlation with the kernel turned round.
            self._backward = winograd.weight_tiles(self._weight.flip(2, 3).transpose(0, 1))
        bordered = self._bordered(len(gradient), gradient.shape[-1])
        self._inner(bordered).copy_(gradient)
        border = self._border
        for seen, results in zip(self._strips(buffer, border), self._strips(bordered, border), strict=True):
            tiles = self._input_tiles(seen)
            wanted = self._room(2, tiles.shape[1], gradient.shape[-1])
            winograd.gradient_tiles(results[:, border:-border, border:-border], self._kernel, wanted)()
            self._add(tiles.transpose(1, 2), wanted)
        flat = bordered.view(-1, bordered.shape[-1])
        self._d_bias.addmv_(flat.t(), flat.new_ones(len(flat)))
        return self._convolved(bordered, self._backward, None)

    def gradients(self) -> tuple[Tensor, Tensor]:
        """The sums over all time steps, which begin anew."""
        if self._d_weight is None:
            return torch.zeros_like(self._weight), self._d_bias
        sums = winograd.weight_from_tiles(self._d_weight, self._kernel), self._d_bias
        self._begin()
        return sums

    def _begin(self) -> None:
        self._d_weight: Tensor | None = None
        self._d_bias = torch.zeros_like(self._bias)

    def _add(self, tiles: Tensor, wanted: Tensor) -> None:
        if self._d_weight is None:
            self._d_weight = torch.bmm(tiles, wanted, out=empty(self._forward.shape, torch.float32))
        else:
            self._d_weight.baddbmm_(tiles, wanted)

    def _convolved(self, buffer: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        out = empty((len(buffer), *self._whole, weight.shape[2]), torch.float32)
        results = self._strips(out, 0)
        for seen, result in zip(self._strips(buffer, self._border), results, strict=True):
            tiles = self._input_tiles(seen)
            products = self._room(1, tiles.shape[1], weight.shape[2])
            torch.bmm(tiles, weight, out=products)
            winograd.output_images(products, self._kernel, result, bias)()
        return out[:, : self.space[0], : self.space[1]]

    def _strips(self, images: Tensor, border: int) -> Iterator[Tensor]:
        """Some images, or some lines of one, at a time."""
        lines, columns = (side // TILE for side in self._whole)
        if lines * columns <= _TILES:
            yield from torch.split(images, max(1, _TILES // (lines * columns)))
            return
        height = TILE * max(1, _TILES // columns)
        for image in torch.split(images, 1):
            for begin in range(0, self._whole[0], height):
                yield image[:, begin : min(begin + height, self._whole[0]) + 2 * border]

    def _input_tiles(self, images: Tensor) -> Tensor:
        lines, columns = ((side - 2 * self._border) // TILE for side in images.shape[1:3])
        tiles = self._room(0, len(images) * lines * columns, images.shape[3])
        winograd.input_tiles(images, self._kernel, tiles)()
        return tiles

    def _room(self, which: int, count: int, channels: int) -> Tensor:
        """Scratch for tiles (plane, tile, channel), which the next call with this number overwrites."""
        planes = len(self._forward)
        size, key = planes * count * channels, (which, channels)
        if key not in self._scratch or self._scratch[key].numel() < size:
            self._scratch[key] = empty((size,), torch.float32)
        return self._scratch[key][:size].view(planes, count, channels)

    def _inner(self, buffer: Tensor) -> Tensor:
        border = self._border
        return buffer[:, border : border + self.space[0], border : border + self.space[1]]

    def _bordered(self, images: int, channels: int) -> Tensor:
        """A buffer that is zero outside of what is to be written."""
        sides = [side + 2 * self._border for side in self._whole]
        buffer = empty((images, *sides, channels), torch.float32)
        border = self._border
        for axis, side in enumerate(self.space, start=1):
            buffer.narrow(axis, 0, border).zero_()
            buffer.narrow(axis, border + side, buffer.shape[axis] - border - side).zero_()
        return buffer


class _Collected(torch.autograd.Function):
    """What every time step depends on, so that its backward pass runs after all of theirs."""

    @staticmethod
    def forward(ctx: Any, owner: _Filtered, weight: Tensor, _: Tensor) -> Tensor:
        ctx.owner = owner
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Any, ...]:
        return None, *ctx.owner.gradients()


class _Applied(torch.autograd.Function):
    """One time step."""

    @staticmethod
    def forward(ctx: Any, owner: _Filtered, _: Tensor, halved: Tensor | None, *images: Tensor) -> Tensor:
        ctx.owner, ctx.halves = owner, halved is not None
        ctx.sizes = [part.shape[1] for part in images] + ([] if halved is None else [halved.shape[1]])
        buffer = owner.joined(images, halved)
        ctx.save_for_backward(buffer)
        return owner.forward(buffer).movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (buffer,) = ctx.saved_tensors
        images = ctx.owner.back(gradients[0].movedim(1, -1), buffer)
        *parts, last = images.split(ctx.sizes, dim=-1)
        halved = None
        if ctx.halves:
            pairs = last[:, 0::2] + last[:, 1::2]
            halved = (pairs[:, :, 0::2] + pairs[:, :, 1::2]).movedim(-1, 1)
        else:
            parts.append(last)
        return None, gradients[0].new_zeros(()), halved, *(part.movedim(-1, 1) for part in parts)
