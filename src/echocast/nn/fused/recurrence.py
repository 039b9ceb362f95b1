"""One ConvLSTM layer over a sequence on the CPU, with its gradients.

Everything is channels-last. Input and hidden state lie side by side in one buffer, so that one convolution serves both
and nothing is concatenated; the activations of each time step's gates are computed by one kernel while the gates are
still in the cache. For the backward pass only the activated
gates are kept, and the cell state of every few time steps; the rest is computed again from them.

Tensors come and go time first: (time, batch, channel, *space).
"""

import functools
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from echocast.nn.activations import activation
from echocast.nn.fused import again, kernels, switches
from echocast.nn.fused.backward import Backward
from echocast.nn.fused.buffers import bordered, channels_last, empty, frames, grid, inner, rows
from echocast.nn.fused.compiler import Call
from echocast.nn.fused.convolutions import choose
from echocast.nn.fused.geometry import Part
from echocast.nn.fused.turned import to_first, to_last
from echocast.nn.fused.weights import Weights

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class XGates:
    """What the input adds to the gates.

    Args:
        gates: (time, batch, 4 hidden, *space).
        compute: computes them again. A second derivative needs them; to keep them for it would cost every training
            step its memory.
    """

    gates: Tensor
    compute: Callable[[], Tensor]


def segment_of(steps: int) -> int:
    """Time steps between two states that are kept: as many as there are such states."""
    return max(1, round(math.sqrt(steps)))


def no_autocast(function: F) -> F:
    """`function` without autocast: dtypes are settled before anything here runs."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def train(
    x: Tensor | None, x_gates: "XGates | None", h: Tensor, c: Tensor, weights: Weights, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states (time, batch, hidden, *space) and the last ``h`` and ``c``.

    Args:
        x: (time, batch, channel, *space); its convolution is done here, with ``weights.x``.
        x_gates: what the input adds to the gates, computed elsewhere. At most one of the two.
        h, c: the initial state; `h` has the dtype of the computation.
        weights: the layer's.
        steps: number of time steps.
    """
    parts = weights.x, weights.h, weights.bias, weights.peephole
    gates, compute = (None, None) if x_gates is None else (x_gates.gates, x_gates.compute)
    output, last, cell = _Recurrence.apply(steps, weights.gate, compute, x, gates, h, c, *parts)  # type: ignore[no-untyped-call]
    return output, last.movedim(-1, 1), cell.movedim(-1, 1)


class Stepper:
    """A layer with its buffers, one time step after another."""

    def __init__(self, weights: Weights, h: Tensor, c: Tensor, *, keep: bool = False, x_gates: bool = False) -> None:
        self.hidden, self.inputs, self.dtype = weights.hidden, weights.inputs, h.dtype
        self.batch, self.space = h.shape[0], tuple(h.shape[2:])
        self.convolution = choose(weights.joined(), self.space, self.dtype, keep=keep)
        self.cell = channels_last(c, torch.float32).clone()
        self._bias = None if weights.bias is None else weights.bias.detach()
        self._peephole, self._kind = weights.peephole_rows(), weights.kind
        self._step = kernels.step(
            bf16=self.dtype == torch.bfloat16,
            peephole=self._kind,
            x_gates=x_gates,
            keep=keep,
            wide=self.convolution.wide,
            gate=weights.gate,
        )
        self._parts = self.convolution.parts(self.batch)
        # Cut into strips, a time step may not overwrite what the next strip still reads.
        count, border = 2 if len(self._parts[0]) > 1 else 1, self.convolution.border
        self._buffers = [
            bordered(self.batch, self.convolution.room, self.inputs + self.hidden, border, self.dtype)
            for _ in range(count)
        ]
        self._inner = [inner(buffer, border, self.space) for buffer in self._buffers]
        self._inner[0][..., self.inputs :] = channels_last(h, self.dtype)
        self._calls: list[dict[int, Call]] = [{} for _ in range(count)]
        self.out = empty((self.batch, *self.space, self.hidden), self.dtype)
        """The hidden state, which the next time step overwrites."""

    @no_autocast
    def advance(self, x: Tensor | None, *, x_gates: Tensor | None = None, gates: Tensor | None = None) -> None:
        """One time step: the new hidden state to `out`, the activated gates to `gates`."""
        if x is not None:
            to_last(self._inner[0][..., : self.inputs], x)
        self._buffers.reverse()
        self._inner.reverse()
        self._calls.reverse()
        reads, calls = self._buffers[-1], self._calls[0]
        x_rows = None if x_gates is None else channels_last(x_gates, self.dtype)
        for number, part in enumerate(self._parts):
            moved = {"raw": self.convolution.forward(reads, part, self._bias)}
            if x_rows is not None:
                moved["x_gates"] = x_rows[part]
            if gates is not None:
                moved["gates"] = gates[part]
            if number not in calls:
                calls[number] = self._bind(part, moved)
            calls[number](**moved)

    def _bind(self, part: Part, moved: dict[str, Tensor]) -> Call:
        """What follows the convolution of a part, for all time steps; what has moved until then is given to each."""
        tensors = {name: rows(tensor) for name, tensor in moved.items() if name != "raw"}
        tensors |= {
            "raw": grid(moved["raw"]) if self.convolution.wide else rows(moved["raw"]),
            "c": rows(self.cell[part]),
            "new": rows(self.cell[part]),
            "h": rows(self.out[part]),
            "next": grid(self._inner[0][part][..., self.inputs :]),
        }
        if self._peephole is not None:
            tensors["peephole"] = self._pixels(self._peephole, part)
        image = tensors["next"].shape[1], tensors["next"].shape[2]
        return self._step.bind(tensors, rows=len(tensors["h"]), width=self.hidden, image=image)

    def _pixels(self, peephole: Tensor, part: Part) -> Tensor:
        if self._kind == "pixel" and len(part) > 1:
            line = math.prod(self.space[1:])
            return peephole[part[1].start * line : part[1].stop * line]
        return peephole


class _Recurrence(torch.autograd.Function):
    """See `train`."""

    @staticmethod
    @no_autocast
    def forward(
        ctx: Any, steps: int, gate: str, compute: Callable[[], Tensor] | None, *tensors: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, x_gates, h, c, weight_x, weight_h, bias, peephole = tensors
        weights = Weights(weight_x, weight_h, bias, peephole, gate)
        stepper = Stepper(weights, h, c, keep=True, x_gates=x_gates is not None)
        shape, hidden, out = (stepper.batch, *stepper.space), stepper.hidden, stepper.out
        output = frames(x if x_gates is None else x_gates, (steps, len(h), hidden, *stepper.space), stepper.dtype)
        gates = empty((steps, *shape, 4 * hidden), stepper.dtype)
        marks, segment = [], segment_of(steps)
        for t in range(steps):
            if t and t % segment == 0:
                marks.append(stepper.cell.clone())
            here = None if x is None else x[t]
            stepper.advance(here, x_gates=None if x_gates is None else x_gates[t], gates=gates[t])
            to_first(output[t], out)
        ctx.save_for_backward(x, h, c, weight_x, weight_h, bias, peephole, gates, *marks)
        ctx.x_gates, ctx.compute = x_gates is not None, compute
        ctx.steps, ctx.gate, ctx.direct = steps, gate, switches.is_direct()
        ctx.set_materialize_grads(False)
        return output, out, stepper.cell.to(c.dtype)

    @staticmethod
    @no_autocast
    def backward(ctx: Any, d_out: Tensor | None, d_h: Tensor | None, d_c: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            x, h, c, weight_x, weight_h, bias, peephole, *_ = ctx.saved_tensors
            x_gates = None if ctx.compute is None else ctx.compute().to(h.dtype)
            given = x, x_gates, h, c, weight_x, weight_h, bias, peephole
            made = again.gradients(
                given,
                ctx.needs_input_grad[3:],
                (d_out, d_h, d_c),
                lambda here: again.convlstm(here, ctx.steps, activation(ctx.gate)),
            )
            return None, None, None, *made
        with switches.direct() if ctx.direct or not finite(d_out, d_h) else nullcontext():
            return _Recurrence._once(ctx, d_out, d_h, d_c)

    @staticmethod
    def _once(ctx: Any, d_out: Tensor | None, d_h: Tensor | None, d_c: Tensor | None) -> tuple[Any, ...]:
        x, h, c, weight_x, weight_h, bias, peephole, gates, *marks = ctx.saved_tensors
        weights = Weights(weight_x, weight_h, bias, peephole, ctx.gate)
        back = Backward(weights, gates, [c, *marks], like=x if ctx.needs_input_grad[3] else None, x_gates=ctx.x_gates)
        d_state = [torch.zeros_like(part) if ctx.needs_input_grad[k] else None for k, part in ((5, h), (6, c))]
        for images in back.groups(d_h, d_c):
            for t in reversed(range(len(gates))):
                back.differentiate_gates(t, None if d_out is None else d_out[t])
                back.copy_input(t, None if x is None else x[t], h)
                back.differentiate_convolution(t, weights=any(ctx.needs_input_grad[7:10]))
            for made, part in zip(d_state, (back.later, back.dc), strict=True):
                if made is not None:
                    to_first(made[images], part)
        d_weight = back.d_weight()
        wx, wh = d_weight[:, : weights.inputs], d_weight[:, weights.inputs :]
        return (
            None,
            None,
            None,
            back.dx,
            back.dgates.movedim(-1, 2) if ctx.x_gates else None,
            *d_state,
            None if weight_x is None else wx.to(weight_x.dtype),
            wh.to(weight_h.dtype),
            None if bias is None else back.d_bias.to(bias.dtype),
            None if peephole is None else back.d_peephole(peephole),
        )


def finite(*gradients: Tensor | None) -> bool:
    """Whether no gradient holds NaN or infinity, which Winograd's filtering would spread further than a kernel."""
    return all(d is None or math.isfinite(d.sum(dtype=torch.float32).item()) for d in gradients)
