"""One ConvLSTM layer over a sequence on the CPU, forwards and backwards.

Everything is channels-last. Input and hidden state lie side by side in one buffer, so that one convolution serves both
and nothing is concatenated; each step's gates are opened by one kernel while they are still in the cache. For the way
back only the opened gates are kept, and the cell of every few steps.

Tensors come and go time first: (time, batch, channel, *space).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from echocast.nn.fused import kernels
from echocast.nn.fused.convolutions import Convolution, bordered, choose, empty, inner
from echocast.nn.fused.lanes import block_rows

F = TypeVar("F", bound=Callable[..., Any])

_WEIGHT_BYTES = 4 << 20
"""Bytes of gate gradients that are collected before they become gradients of the weights."""


def no_autocast(function: F) -> F:
    """`function` without autocast: dtypes are settled before anything here runs."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer, as `ConvLSTMCell` has them; `x` is None when the gates are driven from outside."""

    x: Tensor | None
    h: Tensor
    bias: Tensor | None
    peephole: Tensor | None

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return 0 if self.x is None else self.x.shape[1]

    @property
    def hidden(self) -> int:
        """Channels of the hidden state."""
        return self.h.shape[1]

    @property
    def kind(self) -> str | None:
        """None, ``channel`` or ``pixel``."""
        if self.peephole is None:
            return None
        return "pixel" if self.peephole[0, 0].numel() > 1 else "channel"

    def joined(self) -> Tensor:
        """Input and state kernels side by side, as the buffer has input and state."""
        return (self.h if self.x is None else torch.cat([self.x, self.h], dim=1)).detach()

    def peephole_rows(self) -> Tensor | None:
        """The peepholes as rows of (pixels, 3 hidden)."""
        if self.peephole is None:
            return None
        return self.peephole.detach().float().flatten(2).permute(2, 0, 1).flatten(1).contiguous()


def train(
    x: Tensor | None, driven: Tensor | None, h: Tensor, c: Tensor, weights: Weights, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states (time, batch, hidden, *space) and the last ``h`` and ``c``, differentiable once.

    Args:
        x: (time, batch, channel, *space); its convolution is done here, with ``weights.x``.
        driven: (time, batch, 4 hidden, *space); the input's share of the gates, made elsewhere. At most one of the two.
        h, c: the state to start from; `h` has the dtype of the computation.
        weights: the layer's.
        steps: time steps.
    """
    parts = weights.x, weights.h, weights.bias, weights.peephole
    output, last, cell = _Recurrence.apply(steps, x, driven, h, c, *parts)  # type: ignore[no-untyped-call]
    return output.movedim(-1, 2), last.movedim(-1, 1), cell.movedim(-1, 1)


class Stepper:
    """A layer with its buffers, that takes one step after another."""

    def __init__(self, weights: Weights, h: Tensor, c: Tensor, *, keep: bool = False, driven: bool = False) -> None:
        self.hidden, self.inputs, self.dtype = weights.hidden, weights.inputs, h.dtype
        self.batch, self.space = h.shape[0], tuple(h.shape[2:])
        self.convolution = choose(weights.joined(), self.space, self.dtype, keep=keep)
        self.cell = channels_last(c, torch.float32).clone()
        self._bias = None if weights.bias is None else weights.bias.detach()
        self._peephole, self._kind = weights.peephole_rows(), weights.kind
        self._step = kernels.step(
            bf16=self.dtype == torch.bfloat16,
            peephole=self._kind,
            driven=driven,
            keep=keep,
            wide=self.convolution.wide,
        )
        self._parts = self.convolution.parts(self.batch)
        # Cut into strips, a step may not overwrite what the next strip still reads.
        count, border = 2 if len(self._parts[0]) > 1 else 1, self.convolution.border
        self._buffers = [
            bordered(self.batch, self.space, self.inputs + self.hidden, border, self.dtype) for _ in range(count)
        ]
        self._inner = [inner(buffer, border) for buffer in self._buffers]
        self._inner[0][..., self.inputs :] = channels_last(h, self.dtype)

    @no_autocast
    def advance(
        self, x: Tensor | None, out: Tensor, *, driven: Tensor | None = None, gates: Tensor | None = None
    ) -> None:
        """One step: the new hidden state to `out` (batch, *space, hidden), the opened gates to `gates`."""
        if x is not None:
            self._inner[0][..., : self.inputs] = x.movedim(1, -1)
        self._buffers.reverse()
        self._inner.reverse()
        reads, writes = self._buffers[-1], self._inner[0]
        share = None if driven is None else channels_last(driven, self.dtype)
        for part in self._parts:
            raw = self.convolution.forward(reads, part, self._bias)
            tensors = {
                "raw": rows(raw),
                "c": rows(self.cell[part]),
                "new": rows(self.cell[part]),
                "h": rows(out[part]),
                "next": grid(writes[part][..., self.inputs :]),
            }
            if self._peephole is not None:
                tensors["peephole"] = self._pixels(part)
            if share is not None:
                tensors["driven"] = rows(share[part])
            if gates is not None:
                tensors["gates"] = rows(gates[part])
            image = tensors["next"].shape[1], tensors["next"].shape[2]
            self._step(tensors, rows=len(tensors["raw"]), width=self.hidden, image=image)

    def _pixels(self, part: tuple[slice, ...]) -> Tensor:
        assert self._peephole is not None  # only called with one
        if self._kind == "pixel" and len(part) > 1:
            line = math.prod(self.space[1:])
            return self._peephole[part[1].start * line : part[1].stop * line]
        return self._peephole


class _Recurrence(torch.autograd.Function):
    """See `train`."""

    @staticmethod
    @no_autocast
    def forward(ctx: Any, steps: int, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, driven, h, c, weight_x, weight_h, bias, peephole = tensors
        stepper = Stepper(Weights(weight_x, weight_h, bias, peephole), h, c, keep=True, driven=driven is not None)
        shape = (steps, stepper.batch, *stepper.space)
        out = empty((*shape, stepper.hidden), stepper.dtype)
        gates = empty((*shape, 4 * stepper.hidden), stepper.dtype)
        segment = max(1, round(math.sqrt(steps)))
        marks = []
        for t in range(steps):
            if t % segment == 0:
                marks.append(stepper.cell.clone())
            here = None if x is None else x[t]
            stepper.advance(here, out[t], driven=None if driven is None else driven[t], gates=gates[t])
        ctx.save_for_backward(x, h, weight_x, weight_h, bias, peephole, out, gates, *marks)
        ctx.driven, ctx.cell_dtype = driven is not None, c.dtype
        ctx.set_materialize_grads(False)
        return out, out[-1].clone(), stepper.cell.to(c.dtype)

    @staticmethod
    @no_autocast
    def backward(ctx: Any, d_out: Tensor | None, d_h: Tensor | None, d_c: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "second derivatives (create_graph=True) of a ConvLSTM on the CPU need its plain path: "
                "compute the layer inside `with echocast.nn.fused.plain():`"
            )
        x, h, weight_x, weight_h, bias, peephole, out, gates, *marks = ctx.saved_tensors
        weights = Weights(weight_x, weight_h, bias, peephole)
        back = _Backward(weights, gates, marks, like=x if ctx.needs_input_grad[1] else None, driven=ctx.driven)
        back.begin(d_h, d_c)
        for t in reversed(range(len(gates))):
            back.open(t, None if d_out is None else d_out[t])
            back.show(t, None if x is None else x[t], h.movedim(1, -1) if t == 0 else out[t - 1])
            back.close(t, weights=any(ctx.needs_input_grad[5:8]))
        d_weight = back.weight.result()
        wx, wh = d_weight[:, : weights.inputs], d_weight[:, weights.inputs :]
        return (
            None,
            back.dx,
            back.dgates.movedim(-1, 2) if ctx.driven else None,
            back.later.movedim(-1, 1).to(h.dtype),
            back.dc.movedim(-1, 1).to(ctx.cell_dtype),
            None if weight_x is None else wx.to(weight_x.dtype),
            wh.to(weight_h.dtype),
            None if bias is None else back.d_bias.to(bias.dtype),
            None if peephole is None else back.d_peephole().to(peephole.dtype),
        )


class _Backward:
    """The way back, step by step from the last.

    The cell is made again from the gates, a segment of steps at a time, from the one kept at the segment's start. Gate
    gradients are collected over a chunk of steps before they become gradients of the weights.
    """

    def __init__(
        self, weights: Weights, gates: Tensor, marks: list[Tensor], *, like: Tensor | None, driven: bool
    ) -> None:
        steps, batch, *space, _ = gates.shape
        self.gates, self.marks, self.driven = gates, marks, driven
        self.dtype, self.batch, self.space, self.weights = gates.dtype, batch, tuple(space), weights
        self.bf16, self.hidden, self.inputs = gates.dtype == torch.bfloat16, weights.hidden, weights.inputs
        self.segment = max(1, round(math.sqrt(steps)))
        per_step = gates[0].numel() * gates.element_size()
        self.chunk = steps if driven else max(1, min(self.segment, _WEIGHT_BYTES // per_step))

        self.shown = 0 if like is None else self.inputs
        whole = choose(weights.joined(), space, self.dtype, keep=True)
        # The input's gradient is left out where nobody asks for it.
        part = whole if self.shown == self.inputs else choose(weights.h.detach(), space, self.dtype, keep=True)
        self.to_images: Convolution = part
        self.weight = whole.weight_gradient()
        border = whole.border
        self._border = border
        self._dgates = bordered(self.chunk * batch, space, 4 * self.hidden, border, self.dtype)
        self._seen = bordered(self.chunk * batch, space, self.inputs + self.hidden, border, self.dtype)
        self.dgates = by_step(inner(self._dgates, border), self.chunk)
        self.seen = by_step(inner(self._seen, border), self.chunk)
        self.cells = empty((self.segment, batch, *space, self.hidden), torch.float32)
        self.dx = None if like is None else torch.empty_like(like)
        self.d_bias = torch.zeros(4 * self.hidden)
        self.peephole = weights.peephole_rows()
        self.sums = torch.zeros(-(-self._rows // block_rows(self._rows, self.hidden)), 3 * self.hidden)
        self.pixel_sums = torch.zeros(3, self.hidden, *space) if weights.kind == "pixel" else None
        self._kernel = kernels.back(bf16=self.bf16, peephole=weights.kind, wide=part.wide)
        self._cells = kernels.cells(bf16=self.bf16)

    @property
    def _rows(self) -> int:
        return self.batch * math.prod(self.space)

    def begin(self, d_h: Tensor | None, d_c: Tensor | None) -> None:
        """Start with the gradients of the last state."""
        shape = (self.batch, *self.space, self.hidden)
        kind = torch.float32 if self.to_images.wide else self.dtype
        self.dc = torch.zeros(shape) if d_c is None else d_c.float().contiguous().clone()
        self.later = torch.zeros(shape, dtype=kind) if d_h is None else d_h.to(kind).contiguous()

    def open(self, t: int, d_out: Tensor | None) -> None:
        """The gradient of step t's gates before they were opened, and of the cell before it."""
        first, place = t - t % self.segment, t % self.segment
        if t == len(self.gates) - 1 or place == self.segment - 1:
            self.cells[0] = self.marks[t // self.segment]
            for k in range(place):
                cell, new = rows(self.cells[k]), rows(self.cells[k + 1])
                tensors = {"gates": rows(self.gates[first + k]), "c": cell, "new": new}
                self._cells(tensors, rows=self._rows, width=self.hidden)
        written = grid(self.dgates[self._slot(t)])
        tensors = {
            "gates": rows(self.gates[t]),
            "c": rows(self.cells[place]),
            "above": rows(self._nothing() if d_out is None else d_out.to(self.dtype).contiguous()),
            "later": rows(self.later),
            "dc": rows(self.dc),
            "dgates": written,
            "sums": self.sums,
        }
        if self.peephole is not None:
            tensors["peephole"] = self.peephole
        self._kernel(tensors, rows=self._rows, width=self.hidden, image=(written.shape[1], written.shape[2]))
        if self.pixel_sums is not None:
            self._add_pixels(self.dgates[self._slot(t)], self.gates[t], self.cells[place])

    def show(self, t: int, x: Tensor | None, h: Tensor) -> None:
        """What the convolution of step t saw; `h` is channels-last."""
        seen = self.seen[self._slot(t)]
        seen[..., self.inputs :] = h
        if x is not None:
            seen[..., : self.inputs] = x.movedim(1, -1)

    def close(self, t: int, *, weights: bool) -> None:
        """The gradients of step t's input and old state, and of the weights where a chunk is full."""
        slot = self._slot(t)
        here = slice(slot * self.batch, (slot + 1) * self.batch)
        del self.later  # as large as what is about to be made
        images = self.to_images.back(self._dgates[here])
        self.later = images[..., self.shown :]
        if self.dx is not None:
            self.dx[t] = images[..., : self.shown].movedim(-1, 1)
        if weights and slot == 0:
            last = len(self.gates) if self.driven else min(t - t % self.segment + self.segment, len(self.gates))
            count = min(self.chunk, last - t) * self.batch
            self.weight.add(self._dgates[:count], self._seen[:count])
            self.d_bias += inner(self._dgates[:count], self._border).flatten(0, -2).sum(0, dtype=torch.float32)

    def d_peephole(self) -> Tensor:
        """The gradient of the peepholes."""
        assert self.weights.peephole is not None  # only asked for with peepholes
        sums = self.sums.sum(0) if self.pixel_sums is None else self.pixel_sums
        return sums.view_as(self.weights.peephole)

    def _nothing(self) -> Tensor:
        return torch.zeros(self.batch, *self.space, self.hidden, dtype=self.dtype)

    def _slot(self, t: int) -> int:
        return t % self.chunk if self.driven else t % self.segment % self.chunk

    def _add_pixels(self, dgates: Tensor, gates: Tensor, cell: Tensor) -> None:
        assert self.pixel_sums is not None  # only called where a peephole has a value for each pixel
        di, df, _, do = dgates.float().chunk(4, -1)
        i, f, g, _ = gates.float().chunk(4, -1)
        new = f * cell + i * g
        for k, (gate, seen) in enumerate(((di, cell), (df, cell), (do, new))):
            self.pixel_sums[k] += (gate * seen).sum(0).movedim(-1, 0)


def channels_last(images: Tensor, dtype: torch.dtype) -> Tensor:
    """(batch, channel, *space) as a contiguous (batch, *space, channel) of `dtype`."""
    return images.detach().movedim(1, -1).to(dtype).contiguous()


def by_step(images: Tensor, steps: int) -> Tensor:
    """(step and image, ...) as (step, image, ...), never copied."""
    return images.view(steps, -1, *images.shape[1:])


def rows(tensor: Tensor) -> Tensor:
    """(..., channel) as (row, channel), never copied."""
    return tensor.view(-1, tensor.shape[-1])


def grid(images: Tensor) -> Tensor:
    """(image, *space, channel) as (image, line, column, channel), never copied."""
    return images.flatten(1, -3)
