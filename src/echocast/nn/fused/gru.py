"""One ConvGRU layer over a sequence on the CPU, in 32 bits, with its gradients.

As in `recurrence`, everything is channels-last, and input and hidden state lie side by side in one buffer. Where the
reset gate acts before the convolution, a time step has two: the second one sees the reset hidden state, which lies on
the other side of the input.

Tensors come and go time first: (time, batch, channel, *space).
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from echocast.nn.fused import again, gru_kernels, switches
from echocast.nn.fused.buffers import bordered, channels_last, empty, frames, grid, inner, rows, within
from echocast.nn.fused.compiler import Call, Kernel
from echocast.nn.fused.convolutions import Convolution, choose
from echocast.nn.fused.geometry import Part
from echocast.nn.fused.gru_backward import Backward
from echocast.nn.fused.gru_weights import GruWeights
from echocast.nn.fused.recurrence import XGates, finite, no_autocast, segment_of
from echocast.nn.fused.tiled import Scratch
from echocast.nn.fused.turned import to_first, to_last


def train(
    x: Tensor | None, x_gates: XGates | None, h: Tensor, weights: GruWeights, steps: int
) -> tuple[Tensor, Tensor]:
    """The hidden states (time, batch, hidden, *space) and the last one.

    Args:
        x: (time, batch, channel, *space); its convolution is done here, with ``weights.x``.
        x_gates: what the input adds to the gates, computed elsewhere. At most one of the two.
        h: the initial state.
        weights: the layer's.
        steps: number of time steps.
    """
    parts = weights.x, weights.h, weights.bias, weights.own
    gates, compute = (None, None) if x_gates is None else (x_gates.gates, x_gates.compute)
    output, last = _Recurrence.apply(steps, weights.after, compute, x, gates, h, *parts)  # type: ignore[no-untyped-call]
    return output, last.movedim(-1, 1)


class Stepper:
    """A layer with its buffers, one time step after another.

    Args:
        weights: the layer's.
        h: the initial state, (batch, hidden, *space).
        keep: whether what the backward pass needs is kept.
        x_gates: whether the input's part of the gates is computed elsewhere.
    """

    def __init__(self, weights: GruWeights, h: Tensor, *, keep: bool = False, x_gates: bool = False) -> None:
        self.hidden, self.inputs, self.after = weights.hidden, weights.inputs, weights.after
        self.batch, self.space, self._keep = h.shape[0], tuple(h.shape[2:]), keep
        self.state = channels_last(h, torch.float32).clone()
        """The hidden state, (batch, *space, hidden), which the next time step overwrites."""
        self.kept = 4 if self.after else 3
        """Values for each channel that the backward pass needs of a time step."""
        scratch = Scratch()
        self._convolutions = [
            choose(kernel, self.space, torch.float32, keep=keep, scratch=scratch, blocks=weights.blocks)
            for kernel in weights.kernels()
        ]
        self._biases = weights.biases()
        self._candidate_bias = None if x_gates else weights.candidate_bias()
        self._make_kernels(x_gates, self._convolutions[0].wide)
        self._make_buffers(weights)

    def _make_kernels(self, x_gates: bool, wide: bool) -> None:
        bias = self._candidate_bias is not None
        if self.after:
            self._step = gru_kernels.step(x_gates=x_gates, bias=bias, keep=self._keep, wide=wide)
        else:
            self._gates = gru_kernels.gates(x_gates=x_gates, keep=self._keep, wide=wide)
            self._state = gru_kernels.state(x_gates=x_gates, keep=self._keep, wide=wide)

    def _make_buffers(self, weights: GruWeights) -> None:
        convolutions = self._convolutions
        border = tuple(max(sides) for sides in zip(*(one.border for one in convolutions), strict=True))
        # Cut into strips, a time step may not overwrite what the next strip still reads.
        count = 2 if self.after and len(convolutions[0].parts(self.batch)[0]) > 1 else 1
        channels, self._buffers, self._inner = weights.seen[-1].stop, [], []
        for _ in range(count):
            buffer = bordered(self.batch, convolutions[0].room, channels, border, torch.float32)
            of_each = zip(weights.seen, convolutions, strict=True)
            self._buffers.append([within(buffer, border, one.border)[..., seen] for seen, one in of_each])
            self._inner.append(inner(buffer, border, self.space))
        self._inner[0][..., : self.hidden] = self.state
        self._calls: list[dict[tuple[int, int], Call]] = [{} for _ in range(count)]
        self._scratch = None if self._keep or self.after else torch.empty_like(self.state)

    @no_autocast
    def advance(self, x: Tensor | None, *, x_gates: Tensor | None = None, kept: Tensor | None = None) -> None:
        """One time step, from `state` to `state`.

        Args:
            x: the input, (batch, channel, *space), or `x_gates`, what it adds to the gates.
            kept: what the backward pass needs goes here, (batch, *space, 3 or 4 hidden).
        """
        reads, here = self._buffers[0], self._inner[0]
        if x is not None:
            to_last(here[..., self.hidden : self.hidden + self.inputs], x)
        x_rows = None if x_gates is None else channels_last(x_gates, torch.float32)
        if self.after:
            for each in (self._buffers, self._inner, self._calls):
                each.reverse()
            self._half(0, self._step, reads[0], self._inner[0][..., : self.hidden], x_rows, kept)
            return
        kept = self._scratch if kept is None else kept
        self._half(0, self._gates, reads[0], here[..., -self.hidden :], x_rows, kept)
        self._half(1, self._state, reads[1], here[..., : self.hidden], x_rows, kept)

    def _half(
        self,
        number: int,
        kernel: Kernel,
        reads: Tensor,
        writes: Tensor,
        x_rows: Tensor | None,
        kept: Tensor | None,
    ) -> None:
        """A convolution, from `reads`, and what follows it, to `writes`."""
        convolution, bias, calls = self._convolutions[number], self._biases[number], self._calls[0]
        for k, part in enumerate(convolution.parts(self.batch)):
            moved = {"raw": convolution.forward(reads, part, bias)}
            if x_rows is not None:
                moved["x_gates"] = x_rows[part]
            if kept is not None:
                moved["gates"] = kept[part]
            if (number, k) not in calls:
                calls[number, k] = self._bind(kernel, convolution, part, moved, writes)
            calls[number, k](**moved)

    def _bind(
        self, kernel: Kernel, convolution: Convolution, part: Part, moved: dict[str, Tensor], writes: Tensor
    ) -> Call:
        """What follows the convolution of a part, for all time steps; what has moved until then is given to each."""
        tensors = {name: rows(tensor) for name, tensor in moved.items() if name != "raw"}
        state = rows(self.state[part])
        tensors |= {"raw": grid(moved["raw"]) if convolution.wide else rows(moved["raw"]), "h": state, "new": state}
        tensors["next"] = grid(writes[part])
        if self._candidate_bias is not None:
            tensors["bias"] = self._candidate_bias
        image = tensors["next"].shape[1], tensors["next"].shape[2]
        return kernel.bind(tensors, rows=len(state), width=self.hidden, image=image)


class _Recurrence(torch.autograd.Function):
    """See `train`."""

    @staticmethod
    @no_autocast
    def forward(ctx: Any, steps: int, after: bool, compute: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
        x, x_gates, h, weight_x, weight_h, bias, own = tensors
        weights = GruWeights(weight_x, weight_h, bias, own, after)
        stepper = Stepper(weights, h, keep=True, x_gates=x_gates is not None)
        shape, hidden = (stepper.batch, *stepper.space), stepper.hidden
        state, marks, segment = stepper.state, [], segment_of(steps)
        output = frames(x if x_gates is None else x_gates, (steps, len(h), hidden, *stepper.space), torch.float32)
        kept = empty((steps, *shape, stepper.kept * hidden), torch.float32)
        for t in range(steps):
            if t and t % segment == 0:
                marks.append(state.clone())
            frame, gates = (None if one is None else one[t] for one in (x, x_gates))
            stepper.advance(frame, x_gates=gates, kept=kept[t])
            to_first(output[t], state)
        ctx.save_for_backward(x, h, weight_x, weight_h, bias, own, kept, *marks)
        ctx.steps, ctx.after, ctx.compute, ctx.x_gates = steps, after, compute, x_gates is not None
        ctx.direct = switches.is_direct()
        ctx.set_materialize_grads(False)
        return output, state

    @staticmethod
    @no_autocast
    def backward(ctx: Any, d_out: Tensor | None, d_h: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            x, h, weight_x, weight_h, bias, own, *_ = ctx.saved_tensors
            x_gates = None if ctx.compute is None else ctx.compute()
            given = x, x_gates, h, weight_x, weight_h, bias, own
            made = again.gradients(
                given, ctx.needs_input_grad[3:], (d_out, d_h), lambda here: again.convgru(here, ctx.steps, ctx.after)
            )
            return None, None, None, *made
        with switches.direct() if ctx.direct or not finite(d_out, d_h) else nullcontext():
            return _Recurrence._once(ctx, d_out, d_h)

    @staticmethod
    def _once(ctx: Any, d_out: Tensor | None, d_h: Tensor | None) -> tuple[Any, ...]:
        x, h, weight_x, weight_h, bias, own, kept, *marks = ctx.saved_tensors
        weights = GruWeights(weight_x, weight_h, bias, own, ctx.after)
        back = Backward(weights, kept, [h, *marks], like=x if ctx.needs_input_grad[3] else None, x_gates=ctx.x_gates)
        d_state = torch.zeros_like(h) if ctx.needs_input_grad[5] else None
        for images in back.groups(d_h):
            for t in reversed(range(len(kept))):
                back.differentiate(t, None if x is None else x[t], None if d_out is None else d_out[t])
                if any(ctx.needs_input_grad[6:10]):
                    back.differentiate_weights(t)
            if d_state is not None:
                to_first(d_state[images], back.d_state())
        wx, wh = back.weights()
        return (
            None,
            None,
            None,
            back.dx,
            back.d_x_gates() if ctx.x_gates else None,
            d_state,
            wx,
            wh,
            None if bias is None else back.d_bias[weights.of_gates],
            None if own is None else back.d_bias[: weights.hidden],
        )
