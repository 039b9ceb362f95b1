"""Convolutions by Winograd's minimal filtering: tiles of 4 x 4 pixels with a quarter of the products, or fewer.

::

    images --input--> tiles (plane, tile, channel) --one matrix product per plane--> --output--> images

A kernel of r x r and 4 x 4 outputs meet in (r + 3)^2 planes: 36 products for 144 (r = 3), 64 for 400 (r = 5). Products
are 32-bit whatever the images are; the result differs from a direct convolution by rounding alone, about ten times a
direct convolution's own.

Source: Lavin and Gray 2016 (arXiv:1509.09308); the matrices are Toom and Cook's for the points below.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from echocast.nn.fused.buffers import F32
from echocast.nn.fused.compiler import Call, Kernel, Load, Rows, Store, compile_kernel
from echocast.nn.fused.geometry import TILE
from echocast.nn.fused.lanes import Lanes

_POINTS = {
    3: (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-1, 2)),
    5: (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2), Fraction(-1, 2)),
}
"""Where polynomials are evaluated, by kernel size; infinity comes last. They round least of those tried."""

Matrix = tuple[tuple[Fraction, ...], ...]


@cache
def matrices(kernel: int) -> tuple[Matrix, Matrix, Matrix]:
    """The transforms of output (4 x n), weight (n x kernel) and input (n x n), with ``n = kernel + 3``.

    ``output @ ((weight @ w) * (input @ x))`` is the correlation of x (n) with w (kernel).
    """
    points = _POINTS[kernel]
    zero, one = Fraction(0), Fraction(1)
    output = [[p**i for p in points] + [one if i == TILE - 1 else zero] for i in range(TILE)]
    weight, inputs = [], []
    for p in points:
        others = [q for q in points if q != p]
        scale = one
        for q in others:
            scale *= p - q
        weight.append([p**k / scale for k in range(kernel)])
        inputs.append([*_polynomial(others), zero])
    weight.append([zero] * (kernel - 1) + [one])
    inputs.append(_polynomial(points))
    return _frozen(output), _frozen(weight), _frozen(inputs)


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _frozen(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(row) for row in rows)


def weight_tiles(weight: Tensor) -> Tensor:
    """(out, in, r, r) as (plane, in, out)."""
    taps = weight.float().permute(2, 3, 1, 0)
    return (_both_ways(weight.shape[-1]) @ taps.flatten(2).flatten(0, 1)).view(-1, *taps.shape[2:])


def weight_from_tiles(tiles: Tensor, kernel: int) -> Tensor:
    """The transpose of `weight_tiles`: (plane, in, out) as (out, in, r, r)."""
    taps = _both_ways(kernel).T @ tiles.flatten(1)
    return taps.view(kernel, kernel, *tiles.shape[1:]).permute(3, 2, 0, 1)


def input_tiles(images: Tensor, kernel: int, out: Tensor) -> Call:
    """A call that turns padded images (image, line, column, channel) ``x`` into tiles (plane, tile, channel)."""
    image = _tiles_of(images, kernel - 1)
    run = _input(kernel, images.dtype == torch.bfloat16)
    return run.bind({"x": images, "tiles": out}, rows=out.shape[1], width=images.shape[3], image=image)


def output_images(tiles: Tensor, kernel: int, out: Tensor, bias: Tensor | None) -> Call:
    """A call that turns tiles (plane, tile, channel) into images (image, line, column, channel) ``x``, 32-bit, with a
    bias (channel,)."""
    tensors = {"tiles": tiles, "x": out} | ({} if bias is None else {"bias": bias[None]})
    run = _output(kernel, bias is not None)
    return run.bind(tensors, rows=tiles.shape[1], width=tiles.shape[2], image=_tiles_of(out))


def gradient_tiles(images: Tensor, kernel: int, out: Tensor) -> Call:
    """The transpose of `output_images`: from images without border, ``x``, to tiles (plane, tile, channel)."""
    run = _gradient(kernel, images.dtype == torch.bfloat16)
    return run.bind({"x": images, "tiles": out}, rows=out.shape[1], width=images.shape[3], image=_tiles_of(images))


def _tiles_of(images: Tensor, border: int = 0) -> tuple[int, int]:
    """Lines and columns of tiles of one image, which is so much larger than they are."""
    return (images.shape[1] - border) // TILE, (images.shape[2] - border) // TILE


@cache
def _input(kernel: int, bf16: bool) -> Kernel:
    side = kernel + TILE - 1
    transform = matrices(kernel)[2]

    def body(load: Load, store: Store) -> None:
        columns = [_apply(transform, [load("x", 0, i, j) for i in range(side)]) for j in range(side)]
        for i in range(side):
            for j, value in enumerate(_apply(transform, [column[i] for column in columns])):
                store("tiles", value, i * side + j)

    return compile_kernel("winograd_input", {"x": Rows(bf16, "grid", TILE), "tiles": Rows()}, body)


@cache
def _output(kernel: int, bias: bool) -> Kernel:
    side = kernel + TILE - 1
    transform = matrices(kernel)[0]
    tensors = {"tiles": Rows(), "x": Rows(at="grid", every=TILE)} | ({"bias": Rows(at="same")} if bias else {})

    def body(load: Load, store: Store) -> None:
        columns = [_apply(transform, [load("tiles", i * side + j) for i in range(side)]) for j in range(side)]
        for i in range(TILE):
            for j, value in enumerate(_apply(transform, [column[i] for column in columns])):
                store("x", value + load("bias") if bias else value, 0, i, j)

    return compile_kernel("winograd_output", tensors, body)


@cache
def _gradient(kernel: int, bf16: bool) -> Kernel:
    side = kernel + TILE - 1
    transform = _frozen(list(zip(*matrices(kernel)[0], strict=True)))

    def body(load: Load, store: Store) -> None:
        columns = [_apply(transform, [load("x", 0, i, j) for i in range(TILE)]) for j in range(TILE)]
        for i in range(side):
            for j, value in enumerate(_apply(transform, [column[i] for column in columns])):
                store("tiles", value, i * side + j)

    return compile_kernel("winograd_gradient", {"x": Rows(bf16, "grid", TILE), "tiles": Rows()}, body)


def _apply(matrix: Matrix, values: Sequence[Lanes]) -> list[Lanes]:
    """A matrix of known numbers times a vector, zeros left out."""
    made = []
    for row in matrix:
        (factor, value), *more = [(f, v) for f, v in zip(row, values, strict=True) if f]  # no row is all zeros
        total = value if factor == 1 else value * float(factor)
        for factor, value in more:
            if abs(factor) == 1:
                total = total + value if factor == 1 else total - value
            else:
                total = value.times_plus(float(factor), total)
        made.append(total)
    return made


def _both_ways(kernel: int) -> Tensor:
    """The weight's transform along lines and columns at once: (plane, tap)."""
    transform = torch.tensor([[float(value) for value in row] for row in matrices(kernel)[1]], **F32)
    return torch.kron(transform, transform)
