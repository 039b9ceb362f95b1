"""A ConvGRU layer as the fused path needs it: one spatial dimension made two."""

from collections.abc import Callable

import torch
from torch import Tensor

from echocast.nn.fused.buffers import frames
from echocast.nn.fused.gru import Stepper, train
from echocast.nn.fused.gru_weights import GruWeights
from echocast.nn.fused.recurrence import XGates
from echocast.nn.fused.turned import to_first


class GruLayer:
    """One layer with its initial state.

    Args:
        state: ``(h,)``, (batch, hidden, *space).
        weight_x: the input's convolution, if it has the geometry of the state's; else None, and the input's part of the
            gates (``x_gates``) is computed elsewhere.
        weight_h, bias, own: as in `ConvGRUCell`, `own` being its second bias.
        after: whether the reset gate acts after the convolution.
    """

    def __init__(
        self,
        state: tuple[Tensor, ...],
        *,
        weight_x: Tensor | None,
        weight_h: Tensor,
        bias: Tensor | None,
        own: Tensor | None,
        after: bool,
    ) -> None:
        self.joins, self._flat = weight_x is not None, weight_h.dim() == 3
        self._h = self._plane(state[0])
        x = None if weight_x is None else self._plane(weight_x)
        self._weights = GruWeights(x, self._plane(weight_h), bias, own, after)

    def sequence(self, x: Tensor | None, x_gates: Callable[[], Tensor] | None, steps: int) -> tuple[Tensor, Tensor]:
        """All hidden states (time, batch, hidden, *space) and the last one; see `layer.Layer.sequence`."""
        weights, x = self._weights, None if x is None else self._plane(x)
        gates = None if x_gates is None else self._plane(x_gates())
        if x_gates is not None:
            x, weights = None, weights.of_state()
        if torch.is_grad_enabled():
            again = None if gates is None or x_gates is None else XGates(gates, lambda: self._plane(x_gates()))
            made = train(x, again, self._h, weights, steps)
        else:
            stepper = Stepper(weights, self._h, x_gates=gates is not None)
            shape = steps, stepper.batch, stepper.hidden, *stepper.space
            output = frames(x if gates is None else gates, shape, torch.float32)
            for t in range(steps):
                frame, of_input = (None if one is None else one[t] for one in (x, gates))
                stepper.advance(frame, x_gates=of_input)
                to_first(output[t], stepper.state)
            made = output, stepper.state.movedim(-1, 1)
        output, h = (self._line(tensor) for tensor in made)
        return output, h

    def streaming(self, input_gates: Callable[[Tensor], Tensor] | None) -> "_Streaming":
        """This layer, frame by frame; `input_gates` computes what an input adds to the gates, None without input."""
        of_input = None if self.joins else input_gates
        weights = self._weights.of_state() if of_input else self._weights
        return _Streaming(self, Stepper(weights, self._h, x_gates=of_input is not None), of_input)

    def _plane(self, tensor: Tensor) -> Tensor:
        return tensor.unsqueeze(-2) if self._flat else tensor

    def _line(self, tensor: Tensor) -> Tensor:
        return tensor.squeeze(-2) if self._flat else tensor


class _Streaming:
    """See `Cell.streaming`."""

    def __init__(self, layer: GruLayer, stepper: Stepper, input_gates: Callable[[Tensor], Tensor] | None) -> None:
        self._layer, self._stepper, self._input_gates = layer, stepper, input_gates

    def advance(self, x: Tensor | None) -> Tensor:
        frame = None if x is None else self._layer._plane(x)
        x_gates = None
        if x is not None and self._input_gates:
            frame, x_gates = None, self._layer._plane(self._input_gates(x))
        self._stepper.advance(frame, x_gates=x_gates)
        return self._layer._line(self._stepper.state.movedim(-1, 1))

    def state(self) -> tuple[Tensor]:
        """A copy, which no later time step overwrites."""
        return (self._layer._line(self._stepper.state.movedim(-1, 1).clone()),)
