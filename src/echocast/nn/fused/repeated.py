"""A convolution that many time steps apply with the same weight, on the CPU: prepared once, its gradient summed once.

Inputs need not be concatenated: each is copied to its place among the channels of one buffer, and one of them may come
at half the size and is repeated to 2x2 cells on the way.

    >>> import torch
    >>> convolution = RepeatedConvolution(torch.ones(4, 3, 3, 3), torch.zeros(4), space=(8, 8))
    >>> tuple(convolution(torch.ones(2, 1, 8, 8), halved=torch.ones(2, 2, 4, 4)).shape)
    (2, 4, 8, 8)
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.nn.fused.buffers import empty, inner
from echocast.nn.fused.convolutions import choose


class RepeatedConvolution:
    """A convolution with stride 1 and zero padding, for all time steps of one sequence.

    Args:
        weight: (out, in, kernel, kernel), 32 bits, odd kernel.
        bias: (out,).
        space: rows and columns of the images.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, space: tuple[int, int]) -> None:
        self.space, self.bias = space, bias.detach()
        self.convolution = choose(weight.detach(), space, torch.float32, keep=True)
        self._d_weight = self.convolution.weight_gradient() if torch.is_grad_enabled() else None
        self._d_bias = torch.zeros_like(self.bias)
        self._collected = _Collected.apply(self, weight, bias)  # type: ignore[no-untyped-call]

    def __call__(
        self, *images: Float[Tensor, "batch _ y x"], halved: Float[Tensor, "batch c half_y half_x"] | None = None
    ) -> Float[Tensor, "batch out y x"]:
        """The result for images side by side in their channels, those of half the size last; channels-last in memory.

        It can be differentiated once.
        """
        made: Tensor = _Applied.apply(self, self._collected, halved, *images)  # type: ignore[no-untyped-call]
        return made

    def forward(self, buffer: Tensor) -> Tensor:
        """The result of bordered images, (image, row, column, out)."""
        out = empty((len(buffer), *self.space, len(self.bias)), torch.float32)
        for part in self.convolution.parts(len(buffer)):
            out[part] = self.convolution.forward(buffer, part, self.bias)
        return out

    def back(self, gradient: Tensor, buffer: Tensor) -> Tensor:
        """The images' gradient; those of weight and bias are added to their sums."""
        assert self._d_weight is not None  # there is no backward pass without gradients
        bordered = self.bordered(len(gradient), gradient.shape[-1])
        inner(bordered, self.convolution.border).copy_(gradient)
        self._d_weight.add(bordered, buffer)
        self._d_bias += gradient.sum((0, 1, 2))
        return self.convolution.back(bordered)

    def bordered(self, images: int, channels: int) -> Tensor:
        """A buffer whose border is zero; what lies within is to be written."""
        (rows, columns), (top, left) = self.space, self.convolution.border
        buffer = empty((images, rows + 2 * top, columns + 2 * left, channels), torch.float32)
        buffer[:, :top], buffer[:, top + rows :] = 0, 0
        buffer[:, :, :left], buffer[:, :, left + columns :] = 0, 0
        return buffer

    def gradients(self) -> tuple[Tensor, Tensor]:
        """The sums over all time steps, which begin anew."""
        assert self._d_weight is not None  # there is no backward pass without gradients
        sums = self._d_weight.result(), self._d_bias
        self._d_weight, self._d_bias = self.convolution.weight_gradient(), torch.zeros_like(self.bias)
        return sums


class _Collected(torch.autograd.Function):
    """What every time step depends on, so that its backward pass runs after all of theirs."""

    @staticmethod
    def forward(ctx: Any, owner: RepeatedConvolution, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.owner = owner
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Any, ...]:
        return None, *ctx.owner.gradients()


class _Applied(torch.autograd.Function):
    """One time step."""

    @staticmethod
    def forward(ctx: Any, owner: RepeatedConvolution, _: Tensor, halved: Tensor | None, *images: Tensor) -> Tensor:
        every = [*images] if halved is None else [*images, halved]
        ctx.owner, ctx.sizes = owner, [part.shape[1] for part in every]
        buffer = owner.bordered(len(every[0]), sum(ctx.sizes))
        within = inner(buffer, owner.convolution.border).split(ctx.sizes, dim=-1)
        for place, part in zip(within, images, strict=False):
            place.copy_(part.movedim(1, -1))
        if halved is not None:
            for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
                within[-1][:, corner[0] :: 2, corner[1] :: 2] = halved.movedim(1, -1)
        ctx.save_for_backward(buffer)
        return owner.forward(buffer).movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (buffer,) = ctx.saved_tensors
        images = ctx.owner.back(gradients[0].movedim(1, -1).contiguous(), buffer)
        parts = list(images.split(ctx.sizes, dim=-1))
        halved = None
        if len(parts) > len(ctx.needs_input_grad) - 3:
            fine = parts.pop()
            rows, columns = (size // 2 for size in ctx.owner.space)
            halved = fine.unflatten(2, (columns, 2)).unflatten(1, (rows, 2)).sum((2, 4)).movedim(-1, 1)
        return None, gradients[0].new_zeros(()), halved, *(part.movedim(-1, 1) for part in parts)
