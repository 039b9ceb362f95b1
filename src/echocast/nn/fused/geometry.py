"""Which convolutions gain by the fused path: measured on two cores with AVX2, beside the plain path.

>>> tiles((3, 3), (33, 33)), tiles((3, 3), (5, 6)), tiles((7, 7), (32, 32))
(True, False, False)
"""

import math
from collections.abc import Sequence

from echocast.nn.fused.switches import MIN_PRODUCTS

TILE = 4
"""Pixels along each side of a tile of Winograd's filtering."""

KERNELS = (3, 5)
"""The square kernels that it knows."""

_MOST_BORDER = 1.5
"""How many times as many pixels whole tiles may have as the grid has."""

_FOR_ONE_STEP, _FOR_A_SEQUENCE, _LEAST = 500_000_000, 80_000_000, 2_000_000
"""Products from which on tiles pay: for a single time step, shared by a sequence's, and at least in each of them."""

_LARGEST_KERNEL = 25
"""Taps of the largest kernel with which a time step as one pass gains more than the library's convolution loses."""

Part = tuple[slice, ...]
"""Some of the images, or some lines (along the first axis of space) of one."""

Blocks = Sequence[tuple[slice, slice]]
"""Parts of a weight: channels of the images, and channels of the results that they give."""

WHOLE: Blocks = ((slice(None), slice(None)),)


def strips(images: int, lines: int, strip: int) -> list[Part]:
    """So many lines at a time of each image."""
    starts = range(0, lines, strip)
    return [(slice(b, b + 1), slice(r, min(r + strip, lines))) for b in range(images) for r in starts]


def whole(space: Sequence[int]) -> tuple[int, ...]:
    """The smallest grid of whole tiles that holds this one."""
    return tuple(-(-size // TILE) * TILE for size in space)


def tiles(kernel: Sequence[int], space: Sequence[int]) -> bool:
    """Whether Winograd's filtering can take this convolution, and saves products."""
    square = len(kernel) == 2 and kernel[0] == kernel[1] and kernel[0] in KERNELS
    return square and math.prod(whole(space)) <= _MOST_BORDER * math.prod(space)


def gains(kernel: Sequence[int], space: Sequence[int], *, learns: bool, tiles_only: bool = False) -> bool:
    """Whether the fused path is the faster one, with gradients (`learns`) or without.

    In one dimension and with gradients, in three, and with large kernels without tiles, it is not; with `tiles_only`,
    wherever there are no tiles.
    """
    if tiles_only or tiles(kernel, space):
        return tiles(kernel, space)
    return len(kernel) < 3 and math.prod(kernel) <= _LARGEST_KERNEL and not (len(kernel) == 1 and learns)


def least(kernel: Sequence[int], space: Sequence[int], steps: int, *, learns: bool) -> int:
    """Products per time step from which on the fused path is the faster one: with tiles few, if there are time steps
    enough to share what is prepared once per sequence.

    >>> [least((3, 3), (32, 32), steps, learns=False) for steps in (1, 2, 4, 20)]
    [500000000, 10000000, 5000000, 2000000]
    >>> [least((3, 3), (32, 32), steps, learns=True) for steps in (1, 2, 4, 20)]
    [500000000, 10000000, 10000000, 4000000]
    """
    if not tiles(kernel, space):
        return MIN_PRODUCTS
    if steps == 1:
        return _FOR_ONE_STEP
    return min(max(_FOR_A_SEQUENCE // (steps if learns else steps**2), _LEAST), MIN_PRODUCTS)
