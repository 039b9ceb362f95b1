"""A ConvLSTM layer as the fused path sees it: dtypes settled, one dimension of space made two."""

from collections.abc import Callable

import torch
from torch import Tensor

from echocast.nn.fused.convolutions import empty
from echocast.nn.fused.recurrence import Stepper, Weights, train


class Layer:
    """One layer with the state it starts from.

    Args:
        state: ``(h, c)``, each (batch, hidden, *space).
        weight_x: the input's convolution, if it has the geometry of the state's; else None, and the layer is driven.
        weight_h, bias, peephole: as in `ConvLSTMCell`.
    """

    def __init__(
        self,
        state: tuple[Tensor, ...],
        *,
        weight_x: Tensor | None,
        weight_h: Tensor,
        bias: Tensor | None,
        peephole: Tensor | None,
    ) -> None:
        self.joins = weight_x is not None
        self.flat = weight_h.dim() == 3
        self.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight_h.dtype
        h, c = (self._plane(part) for part in state)
        self.h, self.c = h.to(self.dtype), c
        x, peep = (None if w is None else self._plane(w) for w in (weight_x, peephole))
        self.weights = Weights(x, self._plane(weight_h), bias, peep)

    def sequence(self, x: Tensor | None, driven: Tensor | None, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """All hidden states (time, batch, hidden, *space), the last ``h`` and the last ``c``.

        Args:
            x: (time, batch, channel, *space), for a layer that joins it with its state.
            driven: the input's share of the gates with the bias, for a layer that does not.
            steps: how many.
        """
        x, driven = (None if t is None else self._plane(t).to(self.dtype) for t in (x, driven))
        weights = self.weights
        if driven is not None:
            x, weights = None, Weights(None, weights.h, None, weights.peephole)
        if torch.is_grad_enabled():
            made = train(x, driven, self.h, self.c, weights, steps)
        else:
            stepper = Stepper(weights, self.h, self.c, driven=driven is not None)
            output = empty((steps, stepper.batch, *stepper.space, stepper.hidden), self.dtype)
            for t in range(steps):
                stepper.advance(None if x is None else x[t], output[t], driven=None if driven is None else driven[t])
            made = output.movedim(-1, 2), output[-1].movedim(-1, 1).clone(), self._cell(stepper)
        return tuple(self._line(tensor) for tensor in made)  # type: ignore[return-value]

    def stepper(self, drive: Callable[[Tensor], Tensor] | None) -> "_Steps":
        """This layer, frame by frame; `drive` makes an input's share of the gates, None without input."""
        return _Steps(self, drive)

    def _cell(self, stepper: Stepper) -> Tensor:
        return stepper.cell.movedim(-1, 1).to(self.c.dtype)

    def _plane(self, tensor: Tensor) -> Tensor:
        return tensor.unsqueeze(-2) if self.flat else tensor

    def _line(self, tensor: Tensor) -> Tensor:
        return tensor.squeeze(-2) if self.flat else tensor


class _Steps:
    """See `Cell.steps`."""

    def __init__(self, layer: Layer, drive: Callable[[Tensor], Tensor] | None) -> None:
        self._layer = layer
        self._drive = None if layer.joins else drive
        weights = layer.weights
        if self._drive:
            weights = Weights(None, weights.h, None, weights.peephole)
        self._stepper = Stepper(weights, layer.h, layer.c, driven=self._drive is not None)
        self._out = empty((self._stepper.batch, *self._stepper.space, self._stepper.hidden), layer.dtype)

    def advance(self, x: Tensor | None) -> Tensor:
        driven = None
        if x is not None and self._drive:
            driven = self._layer._plane(self._drive(x)).to(self._layer.dtype)
            x = None
        if x is not None:
            x = self._layer._plane(x)
        self._stepper.advance(x, self._out, driven=driven)
        return self._layer._line(self._out.movedim(-1, 1))

    def state(self) -> tuple[Tensor, Tensor]:
        """Copies, which no later step writes over."""
        h, c = self._out.movedim(-1, 1).clone(), self._layer._cell(self._stepper).clone()
        return self._layer._line(h), self._layer._line(c)
