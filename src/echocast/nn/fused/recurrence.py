"""One ConvLSTM layer over a sequence on the CPU, forwards and backwards.

Everything is channels-last. Input and hidden state lie side by side in one buffer, so that one convolution serves both
and nothing is concatenated; each step's gates are opened by one kernel while they are still in the cache. For the way
back only the opened gates are kept, and the cell of every few steps; the gradient of the weights is one convolution
over several steps.

Tensors come and go time first: (time, batch, channel, *space).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echocast.nn.fused import kernels
from echocast.nn.fused.lanes import block_rows

_CACHED = 4 << 20
"""Bytes of gates computed at a time, so that they are still in the cache when they are opened."""

_WEIGHT_BYTES = 16 << 20
"""Bytes of gate gradients that one convolution turns into the gradient of the weights."""


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer, as `ConvLSTMCell` has them; `x` is None when the gates are driven from outside."""

    x: Tensor | None
    h: Tensor
    bias: Tensor | None
    peephole: Tensor | None


def train(
    x: Tensor | None, driven: Tensor | None, h: Tensor, c: Tensor, weights: Weights, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states (time, batch, hidden, *space) and the last ``h`` and ``c``, differentiable once.

    Args:
        x: (time, batch, channel, *space); its convolution is done here, with ``weights.x``.
        driven: (time, batch, 4 hidden, *space); the input's share of the gates, made elsewhere. At most one of the two.
        h, c: the state to start from.
        weights: the layer's.
        steps: time steps.
    """
    return _Recurrence.apply(x, driven, h, c, weights.x, weights.h, weights.bias, weights.peephole, steps)  # type: ignore[no-any-return, no-untyped-call]


class Stepper:
    """A layer with its buffers, that takes one step after another."""

    def __init__(
        self, weights: Weights, h: Tensor, c: Tensor, *, keep: bool = False, driven: bool = False
    ) -> None:
        self.hidden, self.inputs = weights.h.shape[1], 0 if weights.x is None else weights.x.shape[1]
        self.batch, self.space = h.shape[0], tuple(h.shape[2:])
        self.dtype = h.dtype
        kernel = weights.h.shape[2:]
        self.padding = [k // 2 for k in kernel]
        self.weight = joined(weights, self.dtype)
        self.bias = None if weights.bias is None else weights.bias.detach().to(self.dtype)
        self.peephole = pixels_last(weights.peephole)
        self.cell = channels_last(c, torch.float32).clone()
        per_pixel = weights.peephole is not None and weights.peephole[0, 0].numel() > 1
        self.step = kernels.step(
            bf16=self.dtype == torch.bfloat16,
            peephole=None if weights.peephole is None else "pixel" if per_pixel else "channel",
            driven=driven,
            keep=keep,
        )
        image = math.prod(self.space) * 4 * self.hidden * self.weight.element_size()
        # Large images are cut into strips along the first axis of space, small ones taken several at a time.
        self.strip = max(1, _CACHED * self.space[0] // image) if image > 2 * _CACHED and not keep else 0
        self.together = max(1, _CACHED // image)
        halo = self.padding[0] if self.strip else 0
        shape = (self.batch, self.space[0] + 2 * halo, *self.space[1:], self.inputs + self.hidden)
        # With strips a step may not overwrite what the next strip still reads.
        self.buffers = [empty(shape, self.dtype).zero_() for _ in range(2 if self.strip else 1)]
        self.inner = [b[:, halo : halo + self.space[0]] for b in self.buffers]
        self.inner[0][..., self.inputs :] = channels_last(h, self.dtype)

    def advance(self, x: Tensor | None, out: Tensor, *, driven: Tensor | None = None, gates: Tensor | None = None) -> None:
        """One step: the new hidden state to `out` (batch, *space, hidden), the opened gates to `gates`."""
        if x is not None:
            self.inner[0][..., : self.inputs] = x.movedim(1, -1)
        self.buffers.reverse()
        self.inner.reverse()
        reads, writes = self.buffers[-1], self.inner[0]
        for part in self._parts():
            raw = convolve(self._seen(reads, part), self.weight, self.bias, self._padding())
            tensors = {
                "raw": rows(raw.movedim(1, -1).contiguous()),
                "c": rows(self.cell[part]),
                "new": rows(self.cell[part]),
                "h": rows(out[part]),
                "next": rows(writes[part][..., self.inputs :]),
            }
            if self.peephole is not None:
                tensors["peephole"] = self._peephole(part)
            if driven is not None:
                tensors["driven"] = rows(channels_last(driven, self.dtype)[part])
            if gates is not None:
                tensors["gates"] = rows(gates[part])
            count = tensors["raw"].shape[0]
            self.step(tensors, rows=count, width=self.hidden, pixels=math.prod(self.space))

    def _parts(self) -> list[tuple[slice, ...]]:
        if not self.strip:
            return [(slice(b, b + self.together),) for b in range(0, self.batch, self.together)]
        starts = range(0, self.space[0], self.strip)
        return [(slice(b, b + 1), slice(r, min(r + self.strip, self.space[0]))) for b in range(self.batch) for r in starts]

    def _seen(self, buffer: Tensor, part: tuple[slice, ...]) -> Tensor:
        if self.strip:
            batch, strip = part
            part = (batch, slice(strip.start, strip.stop + 2 * self.padding[0]))
        return buffer[part].movedim(-1, 1)

    def _padding(self) -> list[int]:
        return [0, *self.padding[1:]] if self.strip else self.padding

    def _peephole(self, part: tuple[slice, ...]) -> Tensor:
        assert self.peephole is not None
        if self.strip and len(self.peephole) > 1:
            row = math.prod(self.space[1:])
            return self.peephole[part[1].start * row : part[1].stop * row]
        return self.peephole


class _Recurrence(torch.autograd.Function):
    """See `train`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor | None,
        driven: Tensor | None,
        h: Tensor,
        c: Tensor,
        weight_x: Tensor | None,
        weight_h: Tensor,
        bias: Tensor | None,
        peephole: Tensor | None,
        steps: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        stepper = Stepper(Weights(weight_x, weight_h, bias, peephole), h, c, keep=True, driven=driven is not None)
        shape = (steps, stepper.batch, *stepper.space)
        out = empty((*shape, stepper.hidden), stepper.dtype)
        gates = empty((*shape, 4 * stepper.hidden), stepper.dtype)
        segment = max(1, round(math.sqrt(steps)))
        marks = []
        for t in range(steps):
            if t % segment == 0:
                marks.append(stepper.cell.clone())
            stepper.advance(
                None if x is None else x[t],
                out[t],
                driven=None if driven is None else driven[t],
                gates=gates[t],
            )
        out = out.movedim(-1, 2)
        ctx.save_for_backward(x, h, weight_x, weight_h, bias, peephole, out, gates, *marks)
        ctx.segment, ctx.driven, ctx.cell_dtype = segment, driven is not None, c.dtype
        ctx.set_materialize_grads(False)
        return out, out[-1].clone(), stepper.cell.movedim(-1, 1).to(c.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor | None, d_last: Tensor | None, d_cell: Tensor | None) -> tuple[Any, ...]:
        x, h0, weight_x, weight_h, bias, peephole, out, gates, *marks = ctx.saved_tensors
        weights = Weights(weight_x, weight_h, bias, peephole)
        needs_x, needs_weight = ctx.needs_input_grad[0], any(ctx.needs_input_grad[4:7])
        dtype, hidden, (steps, batch, _, *space) = gates.dtype, weight_h.shape[1], out.shape
        inputs = 0 if weight_x is None else weight_x.shape[1]
        padding = [k // 2 for k in weight_h.shape[2:]]
        weight = joined(weights if needs_x else Weights(None, weight_h, None, None), dtype)
        skipped = inputs if needs_x else 0
        per_step = math.prod(gates.shape[1:]) * gates.element_size()
        chunk = steps if ctx.driven else max(1, min(ctx.segment, _WEIGHT_BYTES // per_step))

        dgates = empty((chunk, *gates.shape[1:]), dtype)
        seen = empty((chunk, batch, *space, inputs + hidden), dtype)
        cell = empty((ctx.segment + 1, batch, *space, hidden), torch.float32)
        zero = torch.zeros((), dtype=dtype).expand(batch, *space, hidden)
        dc = torch.zeros(batch, *space, hidden) if d_cell is None else channels_last(d_cell, torch.float32).clone()
        later = (zero if d_last is None else channels_last(d_last, dtype)).contiguous()
        nothing = torch.zeros(batch, *space, hidden, dtype=dtype) if d_out is None else None
        dx = torch.empty_like(x) if needs_x else None
        d_weight = torch.zeros(4 * hidden, inputs + hidden, *weight_h.shape[2:])
        d_bias = torch.zeros(4 * hidden)
        d_peephole = None if peephole is None else torch.zeros_like(peephole, dtype=torch.float32)
        per_pixel = peephole is not None and peephole[0, 0].numel() > 1
        kernel = kernels.back(
            bf16=dtype == torch.bfloat16, peephole=None if peephole is None else "pixel" if per_pixel else "channel"
        )
        again = kernels.cells(bf16=dtype == torch.bfloat16)
        pixels = math.prod(space)
        peep = pixels_last(peephole)
        sums = torch.zeros(-(-batch * pixels // block_rows(batch * pixels, hidden)), 3 * hidden)

        for t in reversed(range(steps)):
            first, place = t - t % ctx.segment, t % ctx.segment
            if t == steps - 1 or place == ctx.segment - 1:
                cell[0] = marks[t // ctx.segment]
                for k in range(place):
                    tensors = {"gates": rows(gates[first + k]), "c": rows(cell[k]), "new": rows(cell[k + 1])}
                    again(tensors, rows=batch * pixels, width=hidden)
            slot = t % chunk if ctx.driven else place % chunk
            above = nothing if d_out is None else channels_last(d_out[t], dtype)
            tensors = {
                "gates": rows(gates[t]),
                "c": rows(cell[place]),
                "above": rows(above),
                "later": rows(later),
                "dc": rows(dc),
                "dgates": rows(dgates[slot]),
                "sums": sums,
            }
            if peep is not None:
                tensors["peephole"] = peep
            kernel(tensors, rows=batch * pixels, width=hidden, pixels=pixels)
            if per_pixel:
                di, df, _, do = dgates[slot].float().chunk(4, -1)
                i, f, g, _ = gates[t].float().chunk(4, -1)
                new = f * cell[place] + i * g
                for k, (gate, shown) in enumerate(((di, cell[place]), (df, cell[place]), (do, new))):
                    d_peephole[k] += (gate * shown).sum(0).movedim(-1, 0)
            seen[slot][..., inputs:] = (h0 if t == 0 else out[t - 1]).movedim(1, -1)
            if inputs:
                seen[slot][..., :inputs] = x[t].movedim(1, -1)
            example = seen[slot][..., inputs - skipped :].movedim(-1, 1)
            back = convolve_back(dgates[slot].movedim(-1, 1), example, weight, padding, to_input=True)[0]
            back = back.movedim(1, -1)
            later = back[..., skipped:]
            if dx is not None:
                dx[t] = back[..., :skipped].movedim(-1, 1)
            if needs_weight and slot == 0:
                count = min(chunk, steps - t, steps if ctx.driven else ctx.segment - place)
                _, dw, db = convolve_back(
                    dgates[:count].flatten(0, 1).movedim(-1, 1),
                    seen[:count].flatten(0, 1).movedim(-1, 1),
                    joined(weights, dtype),
                    padding,
                    to_input=False,
                )
                d_weight += dw
                d_bias += db
        if d_peephole is not None and not per_pixel:
            d_peephole = sums.sum(0).view_as(peephole)
        return (
            dx,
            dgates.movedim(-1, 2) if ctx.driven else None,
            later.movedim(-1, 1),
            dc.movedim(-1, 1).to(ctx.cell_dtype),
            None if weight_x is None else d_weight[:, :inputs].to(weight_x.dtype),
            d_weight[:, inputs:].to(weight_h.dtype),
            None if bias is None else d_bias.to(bias.dtype),
            None if d_peephole is None else d_peephole.to(peephole.dtype),
            None,
        )


def joined(weights: Weights, dtype: torch.dtype) -> Tensor:
    """Input and state kernels side by side, as the buffer has input and state."""
    both = weights.h if weights.x is None else torch.cat([weights.x, weights.h], dim=1)
    form = torch.channels_last if both.dim() == 4 else torch.channels_last_3d
    return both.detach().to(dtype).contiguous(memory_format=form)


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, padding: Sequence[int]) -> Tensor:
    """A convolution with stride 1; (batch, channel, *space)."""
    one = [1] * len(padding)
    return torch.ops.aten.convolution(images, weight, bias, one, padding, one, False, [0] * len(padding), 1)  # type: ignore[no-any-return]


def convolve_back(
    d_out: Tensor, images: Tensor, weight: Tensor, padding: Sequence[int], *, to_input: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of `convolve`: of its input, or of its weight and bias."""
    one, wanted = [1] * len(padding), [to_input, not to_input, not to_input]
    zero = [0] * len(padding)
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        d_out, images, weight, [weight.shape[0]], one, padding, one, False, zero, 1, wanted
    )


def channels_last(images: Tensor, dtype: torch.dtype) -> Tensor:
    """(batch, channel, *space) as a contiguous (batch, *space, channel) of `dtype`."""
    return images.detach().movedim(1, -1).to(dtype).contiguous()


def pixels_last(peephole: Tensor | None) -> Tensor | None:
    """(3, hidden, *space) as rows of (pixels, 3 hidden)."""
    if peephole is None:
        return None
    return peephole.detach().float().flatten(2).permute(2, 0, 1).flatten(1).contiguous()


def rows(tensor: Tensor) -> Tensor:
    """(..., channel) as (row, channel), never copied."""
    return tensor.view(-1, tensor.shape[-1])


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Memory from NumPy, which asks for huge pages: a fresh large tensor of PyTorch costs more in page faults than in
    arithmetic."""
    words = np.empty(math.prod(shape), dtype=np.float32 if dtype == torch.float32 else np.int16)
    return torch.from_numpy(words).view(dtype).view(*shape)
