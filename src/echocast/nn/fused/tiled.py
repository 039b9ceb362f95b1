"""The convolution of a time step by tiles: the method is in `winograd`, what it is to do in `convolutions.Convolution`.

Time steps are alike, so that what is passed to the kernels is packed once for all images of one size.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

import torch
from torch import Tensor

from echocast.nn.fused import product, winograd
from echocast.nn.fused.buffers import F32, empty, inner
from echocast.nn.fused.geometry import TILE, Blocks, Part, strips, whole

_TILES = 256
"""Tiles multiplied at a time: enough for a matrix product, few enough for the cache."""

Pass = Callable[[Tensor, Tensor], None]
"""What is to be done with one part of the images: with two tensors that lie as those did for which it was packed."""

_FEW_TILES, _TILE_BYTES = 64, 16 << 20
"""Fewer where channels are so many that they would need more bytes than this, but not fewer than these."""


class Scratch:
    """A few pieces of memory by number, each overwritten by whoever asks for it next: fresh memory costs more in page
    faults than in arithmetic. And what was packed for images of each size, as long as no piece moves."""

    def __init__(self) -> None:
        self._pieces: dict[int, Tensor] = {}
        self._packed: dict[object, Pass] = {}
        self._users = count()

    def user(self) -> int:
        """A number for whoever packs something here."""
        return next(self._users)

    def memory(self, which: int, shape: tuple[int, ...]) -> Tensor:
        """A piece of this shape."""
        size = math.prod(shape)
        if which not in self._pieces or self._pieces[which].numel() < size:
            self._packed.clear()  # it keeps the old piece
            self._pieces.pop(which, None)
            self._pieces[which] = empty((size,), torch.float32)
        return self._pieces[which][:size].view(shape)

    def run(self, user: int, one: Tensor, other: Tensor, pack: Callable[[], Pass]) -> None:
        """Run what this user packed for tensors that lie so; pack it first if that was not done."""
        key = user, one.shape, one.stride(), other.shape, other.stride()
        found = self._packed.get(key)
        if found is None:
            found = pack()
            self._packed[key] = found
        found(one, other)

    def clear(self) -> None:
        """Give all of it back."""
        self._packed.clear()
        self._pieces.clear()


class Tiled:
    """Winograd's filtering of images of one size, with one weight.

    Args:
        weight: (out, in, r, r).
        space: size of the grid.
        scratch: memory that other convolutions may use too.
        blocks: the parts of the weight that are not zero.
    """

    wide = True

    def __init__(self, weight: Tensor, space: Sequence[int], scratch: Scratch, blocks: Blocks) -> None:
        self.weight, self.scratch, self.blocks = weight, scratch, blocks
        self.kernel = weight.shape[2]
        self.border: tuple[int, ...] = (self.kernel // 2,) * 2
        self._space, self.room = tuple(space), whole(space)
        self.planes = (self.kernel + TILE - 1) ** 2
        self._forward: Tensor | None = None
        self._backward: Tensor | None = None
        self._users = scratch.user(), scratch.user()

    def parts(self, images: int) -> list[Part]:
        """See `Convolution.parts`."""
        each = math.prod(self.room) // TILE**2
        wanted = min(_TILES, max(_FEW_TILES, _TILE_BYTES // (4 * self.planes * sum(self.weight.shape[:2]))))
        if each >= 2 * wanted:
            lines = TILE * max(1, wanted * TILE // self.room[1])
            return strips(images, self.room[0], lines)
        together = max(1, wanted // each)
        return [(slice(b, min(b + together, images)),) for b in range(0, images, together)]

    def forward(self, buffer: Tensor, part: Part, bias: Tensor | None) -> Tensor:
        """See `Convolution.forward`."""
        if self._forward is None:
            self._forward = winograd.weight_tiles(self.weight)
        weight = self._forward
        first, last = (0, self.room[0]) if len(part) == 1 else (part[1].start, part[1].stop)
        out = self.scratch.memory(2, (part[0].stop - part[0].start, last - first, self.room[1], self.weight.shape[0]))
        seen = self.needed(buffer, part)
        self.scratch.run(self._users[0], seen, out, partial(self._pass, seen, out, weight, self.blocks, bias))
        return out[:, : self._space[0] - first, : self._space[1]]

    def back(self, gradient: Tensor) -> Tensor:
        """See `Convolution.back`."""
        if self._backward is None:
            # The transpose of a correlation is the correlation with the kernel turned round.
            self._backward = winograd.weight_tiles(self.weight.flip(2, 3).transpose(0, 1))
        weight, blocks = self._backward, [(made, seen) for seen, made in self.blocks]
        images = self.scratch.memory(3, (len(gradient), *self.room, self.weight.shape[1]))
        for part in self.parts(len(gradient)):
            seen, out = self.needed(gradient, part), images[part]
            self.scratch.run(self._users[1], seen, out, partial(self._pass, seen, out, weight, blocks, None))
        return images[:, : self._space[0], : self._space[1]]

    def weight_gradient(self) -> "TiledWeight":
        """See `Convolution.weight_gradient`."""
        return TiledWeight(self)

    def release(self) -> None:
        """See `Convolution.release`."""
        self.scratch.clear()
        self._forward = self._backward = None

    def needed(self, buffer: Tensor, part: Part) -> Tensor:
        """The lines of a buffer that a part needs."""
        return buffer[part] if len(part) == 1 else buffer[part[0], part[1].start : part[1].stop + self.kernel - 1]

    def tiles_of(self, images: Tensor) -> int:
        """How many tiles there are in images with their border."""
        lines, columns = ((size - self.kernel + 1) // TILE for size in images.shape[1:3])
        return len(images) * lines * columns

    def tiles(self, which: int, count: int, channels: int) -> Tensor:
        """Scratch for tiles (plane, tile, channel)."""
        return self.scratch.memory(which, (self.planes, count, channels))

    def _pass(self, seen: Tensor, out: Tensor, weight: Tensor, blocks: Blocks, bias: Tensor | None) -> Pass:
        tiles = self.tiles(0, self.tiles_of(seen), seen.shape[-1])
        products = self.tiles(1, tiles.shape[1], weight.shape[2])
        first = winograd.input_tiles(seen, self.kernel, tiles)
        last = winograd.output_images(products, self.kernel, out, None if bias is None else bias.float())
        multiply = []
        for k, (of, made) in enumerate(blocks):
            add = any(_meet(made, before) for _, before in blocks[:k])
            multiply.append(product.bind(tiles[..., of], weight[:, of, made], products[..., made], add=add))

        def run(seen: Tensor, out: Tensor) -> None:
            first(x=seen)
            for one in multiply:
                one()
            last(x=out)

        return run


class TiledWeight:
    """The gradient of a weight, summed in tiles; see `convolutions.WeightGradient`."""

    def __init__(self, convolution: Tiled) -> None:
        self._convolution, self._user = convolution, convolution.scratch.user()
        weight = convolution.weight
        self._sum = torch.zeros(convolution.planes, weight.shape[1], weight.shape[0], **F32)

    def add(self, gradient: Tensor, buffer: Tensor) -> None:
        """See `WeightGradient.add`."""
        convolution = self._convolution
        within = inner(gradient, convolution.border)
        for part in convolution.parts(len(gradient)):
            seen, results = convolution.needed(buffer, part), within[part]
            convolution.scratch.run(self._user, seen, results, partial(self._pass, seen, results))

    def result(self) -> Tensor:
        """See `WeightGradient.result`."""
        return winograd.weight_from_tiles(self._sum, self._convolution.kernel)

    def _pass(self, seen: Tensor, results: Tensor) -> Pass:
        convolution = self._convolution
        # The other way round than in `Tiled.back`, so that its scratch serves here too.
        tiles = convolution.tiles(1, convolution.tiles_of(seen), seen.shape[-1])
        gradients = convolution.tiles(0, tiles.shape[1], results.shape[-1])
        of_images = winograd.input_tiles(seen, convolution.kernel, tiles)
        of_results = winograd.gradient_tiles(results, convolution.kernel, gradients)
        multiply = [
            product.bind(tiles[..., of].transpose(1, 2), gradients[..., made], self._sum[:, of, made], add=True)
            for of, made in convolution.blocks
        ]

        def run(seen: Tensor, results: Tensor) -> None:
            of_images(x=seen)
            of_results(x=results)
            for one in multiply:
                one()

        return run


def _meet(one: slice, other: slice) -> bool:
    return bool(max(one.start, other.start) < min(one.stop, other.stop))
