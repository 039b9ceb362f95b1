"""A ConvLSTM layer as the fused path needs it: dtypes settled, one spatial dimension made two."""

from collections.abc import Callable

import torch
from torch import Tensor

from echocast.nn.fused.buffers import frames
from echocast.nn.fused.recurrence import Stepper, XGates, train
from echocast.nn.fused.turned import to_first
from echocast.nn.fused.weights import Weights


class Layer:
    """One layer with its initial state.

    Args:
        state: ``(h, c)``, each (batch, hidden, *space).
        weight_x: the input's convolution, if it has the geometry of the state's; else None, and the input's part of the
            gates (``x_gates``) is computed elsewhere.
        weight_h, bias, peephole: as in `ConvLSTMCell`.
        gate: the activation of the gates, one of `weights.GATES`.
    """

    def __init__(
        self,
        state: tuple[Tensor, ...],
        *,
        weight_x: Tensor | None,
        weight_h: Tensor,
        bias: Tensor | None,
        peephole: Tensor | None,
        gate: str = "sigmoid",
    ) -> None:
        self.joins = weight_x is not None
        self.flat = weight_h.dim() == 3
        self.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight_h.dtype
        h, c = (self._plane(part) for part in state)
        self.h, self.c = h.to(self.dtype), c
        x, peep = (None if w is None else self._plane(w) for w in (weight_x, peephole))
        self.weights = Weights(x, self._plane(weight_h), bias, peep, gate)

    def sequence(
        self, x: Tensor | None, x_gates: Callable[[], Tensor] | None, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All hidden states (time, batch, hidden, *space), the last ``h`` and the last ``c``.

        Args:
            x: (time, batch, channel, *space), for a layer that joins it with its state.
            x_gates: computes what the input adds to the gates, bias included, for a layer that does not.
            steps: number of time steps.
        """
        weights, x = self.weights, None if x is None else self._plane(x).to(self.dtype)
        gates = None if x_gates is None else self._plane(x_gates()).to(self.dtype)
        if x_gates is not None:
            x, weights = None, weights.of_state()
        if torch.is_grad_enabled():
            again = None if gates is None or x_gates is None else XGates(gates, lambda: self._plane(x_gates()))
            made = train(x, again, self.h, self.c, weights, steps)
        else:
            stepper = Stepper(weights, self.h, self.c, x_gates=gates is not None)
            shape = steps, stepper.batch, stepper.hidden, *stepper.space
            output = frames(x if gates is None else gates, shape, self.dtype)
            for t in range(steps):
                stepper.advance(None if x is None else x[t], x_gates=None if gates is None else gates[t])
                to_first(output[t], stepper.out)
            made = output, stepper.out.movedim(-1, 1), self._cell(stepper)
        output, h, c = (self._line(tensor) for tensor in made)
        return output, h, c

    def streaming(self, input_gates: Callable[[Tensor], Tensor] | None) -> "_Streaming":
        """This layer, frame by frame; `input_gates` computes what an input adds to the gates, None without input."""
        return _Streaming(self, input_gates)

    def _cell(self, stepper: Stepper) -> Tensor:
        return stepper.cell.movedim(-1, 1).to(self.c.dtype)

    def _plane(self, tensor: Tensor) -> Tensor:
        return tensor.unsqueeze(-2) if self.flat else tensor

    def _line(self, tensor: Tensor) -> Tensor:
        return tensor.squeeze(-2) if self.flat else tensor


class _Streaming:
    """See `Cell.streaming`."""

    def __init__(self, layer: Layer, input_gates: Callable[[Tensor], Tensor] | None) -> None:
        self._layer = layer
        self._input_gates = None if layer.joins else input_gates
        weights = layer.weights
        if self._input_gates:
            weights = weights.of_state()
        self._stepper = Stepper(weights, layer.h, layer.c, x_gates=self._input_gates is not None)

    def advance(self, x: Tensor | None) -> Tensor:
        x_gates = None
        if x is not None and self._input_gates:
            x_gates = self._layer._plane(self._input_gates(x)).to(self._layer.dtype)
            x = None
        if x is not None:
            x = self._layer._plane(x)
        self._stepper.advance(x, x_gates=x_gates)
        return self._layer._line(self._stepper.out.movedim(-1, 1))

    def state(self) -> tuple[Tensor, Tensor]:
        """Copies, which no later time step overwrites."""
        h, c = self._stepper.out.movedim(-1, 1).clone(), self._layer._cell(self._stepper).clone()
        return self._layer._line(h), self._layer._line(c)
