"""The convolutional gated recurrent unit, an LSTM with one state and without output gate.

>>> import torch
>>> layer = ConvGRU(1, 8, batch_first=True)
>>> output, h_n = layer(torch.zeros(2, 5, 1, 16, 16))
>>> tuple(output.shape), tuple(h_n.shape)
((2, 5, 8, 16, 16), (1, 2, 8, 16, 16))
"""

from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from echocast.nn import fused, opaque, pointwise
from echocast.nn.carried import CellState, CellWeights, Dropout
from echocast.nn.cell import Cell
from echocast.nn.options import CellOptions, ConvGRUOptions
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import LayerSettings
from echocast.nn.streams import FusedLayer


@opaque.register
class ConvGRUCell(Cell):
    """One layer, one time step: the new hidden state from an input and the old one.

    ::

        r = sigmoid(Wxr * x + Whr * h + br)        u = sigmoid(Wxu * x + Whu * h + bu)
        n = tanh(Wxn * x + Whn * (r h) + bn)       h' = u h + (1 - u) n

    Args:
        in_channels: channels of the input; 0 for a layer without input.
        hidden_channels: channels of the hidden state.
        reset_after: apply the reset gate after the state-to-state convolution,
            ``n = tanh(Wxn * x + bn + r (Whn * h + bhn))``, as `torch.nn.GRU` and HKO-7 do; one convolution per time
            step instead of two.
        update_bias: added to the initial bias of the update gate; with 1 the cell remembers longer.
        options: see `CellSettings`.

    Source: Ballas et al. 2016 (arXiv:1511.06432); HKO-7 is Shi et al. 2017 (arXiv:1706.03458), whose activation is
    ``leaky_relu``.
    """

    gates: int = 3
    num_states: ClassVar[int] = 1
    fuses_tiles_only: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        reset_after: bool = False,
        update_bias: float = 0.0,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(in_channels, hidden_channels, **options)
        if update_bias and self.bias is None:
            raise ValueError(f"update_bias={update_bias} needs bias=True")
        self.reset_after, self.update_bias = reset_after, update_bias
        if reset_after and self.bias is not None:
            self.bias_h: nn.Parameter | None = nn.Parameter(torch.empty_like(self.bias[:hidden_channels]))
        else:
            self.register_parameter("bias_h", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights anew."""
        super().reset_parameters()
        if self.update_bias and self.bias is not None:
            with torch.no_grad():
                self.bias[self.hidden_channels : 2 * self.hidden_channels] += self.update_bias

    def _own(self) -> Tensor | None:
        return self.bias_h

    def update(
        self, x_gates: Tensor | None, state: CellState, weights: CellWeights, dropout: Dropout | None = None
    ) -> tuple[Tensor]:
        """The next ``(h,)``; see `Cell.update`."""
        (h,) = state
        if pointwise.takes(x_gates, h, weights.h) and self._has_its_gates and dropout is None:
            return (self._by_kernels(x_gates, h, weights),)
        h_masked = h if dropout is None or dropout.h is None else h * dropout.h
        split = 2 * self.hidden_channels
        x_gates, x_candidate = self._split(x_gates, h, weights)
        if self.reset_after:
            gates = self._state_gates(h_masked, weights.h)
            gates, h_candidate = gates[:, :split] + x_gates, gates[:, split:]
            h_candidate = h_candidate if weights.own is None else h_candidate + self._over_space(weights.own)
            r, u = self._reset_and_update(gates, weights)
            h_candidate = r * h_candidate
        else:
            gates = self._state_gates(h_masked, weights.h[:split]) + x_gates
            r, u = self._reset_and_update(gates, weights)
            h_candidate = self._state_gates(r * h_masked, weights.h[split:])
        candidate = self._normalised(h_candidate + x_candidate, weights, slice(split, None))
        candidate = self._activation_function(candidate)
        return (self._zoneout((u * h + (1 - u) * candidate).to(h.dtype), h),)

    @property
    def _has_its_gates(self) -> bool:
        """Whether it computes the papers' equations with sigmoids and tanh."""
        own = type(self).update is ConvGRUCell.update
        return own and self.uses_standard_gates and self.gate_activation == "sigmoid"

    def _by_kernels(self, x_gates: Tensor | None, h: Tensor, weights: CellWeights) -> Tensor:
        """`update` with what is pointwise in two kernels."""
        split = 2 * self.hidden_channels
        added, candidate = (None, None) if x_gates is None else (x_gates[:, :split], x_gates[:, split:])
        bias = weights.bias if x_gates is None else None
        of_gates, of_candidate = (None, None) if bias is None else (bias[:split], bias[split:])
        if not self.reset_after:
            gates = self._state_gates(h, weights.h[:split], of_gates)
            reset, u = pointwise.gru_gates(gates, added, h)
            return pointwise.gru_state(self._state_gates(reset, weights.h[split:], of_candidate), candidate, u, h)
        gates = self._state_gates(h, weights.h)
        seen = gates[:, split:] if weights.own is None else gates[:, split:] + self._over_space(weights.own)
        gates = gates[:, :split] if of_gates is None else gates[:, :split] + self._over_space(of_gates)
        reset, u = pointwise.gru_gates(gates, added, seen)
        reset = reset if of_candidate is None else reset + self._over_space(of_candidate)
        return pointwise.gru_state(reset, candidate, u, h)

    def _has_a_fused_form(self, state: CellState, weights: CellWeights) -> bool:
        convolution = self.state_convolution
        if self.dims == 0 or not self._has_its_gates or not convolution.is_odd or convolution.groups > 1:
            return False
        given = (weights.x, weights.h, weights.bias, weights.own, *state)
        single = all(one is None or one.dtype == torch.float32 for one in given)
        return single and not torch.is_autocast_enabled("cpu")

    def _fused_layer(self, state: CellState, weights: CellWeights) -> FusedLayer:
        return fused.make_gru_layer(
            state,
            weight_x=weights.x if self._joins_input else None,
            weight_h=weights.h,
            bias=weights.bias,
            own=weights.own,
            after=self.reset_after,
        )

    def _split(self, x_gates: Tensor | None, h: Tensor, weights: CellWeights) -> tuple[Tensor, Tensor]:
        """What the input (without it, the bias) adds to the two gates, and to the candidate."""
        split = 2 * self.hidden_channels
        if x_gates is not None:
            return x_gates[:, :split], x_gates[:, split:]
        if weights.bias is None or self.norm:
            return h.new_zeros(()), h.new_zeros(())
        bias = self._over_space(weights.bias)
        return bias[:split], bias[split:]

    def _reset_and_update(self, gates: Tensor, weights: CellWeights) -> tuple[Tensor, ...]:
        split = 2 * self.hidden_channels
        return self._gate_function(self._normalised(gates, weights, slice(0, split))).chunk(2, dim=1)


class ConvGRU(RecurrentLayers[ConvGRUCell]):
    """Layers of `ConvGRUCell` over a sequence, in the manner of `torch.nn.GRU`: ``output, h_n = layer(x, h_0)``.

    Args:
        in_channels: channels of the input; 0 for a first layer without input.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        num_layers, batch_first, bidirectional, dropout, gradient_checkpointing: see `ConvLSTM`.
        options: of the cells. A **list** has one value for each layer, a tuple one for each dimension.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    cell_type = ConvGRUCell

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int],
        *,
        num_layers: int | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
        **options: Unpack[ConvGRUOptions],
    ) -> None:
        settings = LayerSettings(num_layers, batch_first, bidirectional, dropout, gradient_checkpointing)
        super().__init__(in_channels, hidden_channels, settings, options)
