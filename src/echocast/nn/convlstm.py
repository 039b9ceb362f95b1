"""The convolutional LSTM of Shi et al. 2015, with its peepholes.

Gates ``i, f, g, o`` (`g` is the candidate) are computed by two convolutions, of the input and of the old hidden state;
the peepholes let them see the cell state: `i` and `f` the old one, `o` the new one. A layer without input
(``in_channels=0``) has no input weights at all: it is the paper's unconditioned forecaster.

    >>> import torch
    >>> layer = ConvLSTM(1, 8, num_layers=2, batch_first=True)
    >>> output, (h_n, c_n) = layer(torch.zeros(2, 5, 1, 16, 16))
    >>> tuple(output.shape), tuple(h_n.shape)
    ((2, 5, 8, 16, 16), (2, 2, 8, 16, 16))
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn

from echocast.nn import fused, opaque, pointwise, torch_internals
from echocast.nn.carried import CellState, CellWeights, Dropout
from echocast.nn.cell import Cell
from echocast.nn.options import CellOptions, ConvLSTMOptions, Peephole
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import LayerSettings

if TYPE_CHECKING:
    from echocast.nn.fused.layer import Layer

State = tuple[Tensor, Tensor]
"""Hidden state and cell state, each (batch, hidden, *space)."""


_SMALL_KERNEL = 9
"""Taps of a kernel up to which one convolution of input and state per time step is the faster way."""


@opaque.register
class ConvLSTMCell(Cell):
    """One layer, one time step: the new state from an input and the old state.

    Args:
        in_channels: channels of the input; 0 for a layer without input.
        hidden_channels: channels of the hidden state and of the cell state.
        peephole: ``channel``, one weight per channel, as the authors' code and the parameter counts of the paper's
            Table 1 have it; ``pixel``, one per channel and pixel, as its Hadamard product can be read; None for none.
        spatial_size: size of the input, such as (height, width); of the state, if there is no input. Only and always
            for ``peephole="pixel"``.
        forget_bias: added to the initial bias of the forget gate; with 1 the cell remembers longer from the first step
            of training on.
        forget_gate: whether there is a forget gate. Without one the cell state only ever adds up, as in the LSTM of
            1997 (its constant error carousel): three gates ``i, g, o``, the peepholes of `i` and `o`, no fused path.
        options: see `CellSettings`.

    Raises:
        ValueError: options that do not go together, named with their values.

    Source: Shi et al. 2015 (arXiv:1506.04214), equation 3. Biases and peepholes start at 0. Without forget gate and
    peepholes: Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; the forget gate is of Gers et al. 2000,
    doi:10.1162/089976600300015015, the peepholes of Gers et al. 2002 (JMLR 3, 115-143).
    """

    gates: int = 4

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        peephole: Peephole | None = "channel",
        spatial_size: Sequence[int] | None = None,
        forget_bias: float = 0.0,
        forget_gate: bool = True,
        **options: Unpack[CellOptions],
    ) -> None:
        self.gates = 4 if forget_gate else 3  # the constructor of `Cell` makes weights for so many
        super().__init__(in_channels, hidden_channels, **options)
        if peephole not in (None, "channel", "pixel"):
            raise ValueError(f"peephole must be None, 'channel' or 'pixel'; got {peephole!r}")
        if (peephole == "pixel") != (spatial_size is not None):
            raise ValueError(
                "peephole='pixel' needs spatial_size, and no other peephole takes it; "
                f"got peephole={peephole!r}, spatial_size={spatial_size}"
            )
        if spatial_size is not None and len(spatial_size) != self.dims:
            raise ValueError(
                f"spatial_size={tuple(spatial_size)} has {len(spatial_size)} numbers; this layer has dims={self.dims}"
            )
        if forget_bias and self.bias is None:
            raise ValueError(f"forget_bias={forget_bias} needs bias=True")
        if forget_bias and not forget_gate:
            raise ValueError(f"forget_bias={forget_bias} needs forget_gate=True")
        self.spatial_size = None if spatial_size is None else self._state_size(spatial_size)
        self.forget_bias, self.forget_gate = forget_bias, forget_gate
        if peephole:
            weight = self.weight_h
            shape = self.spatial_size or (1,) * self.dims
            self.peephole: nn.Parameter | None = nn.Parameter(
                torch.empty(self.gates - 1, hidden_channels, *shape, device=weight.device, dtype=weight.dtype)
            )
        else:
            self.register_parameter("peephole", None)
        self.reset_parameters()

    def _state_size(self, size: Sequence[int]) -> tuple[int, ...]:
        return self.input_convolution.output_size(size) if self.in_channels else tuple(size)

    def reset_parameters(self) -> None:
        """Initialise the weights anew."""
        super().reset_parameters()
        if self.forget_bias and self.bias is not None:
            with torch.no_grad():
                self.bias[self.hidden_channels : 2 * self.hidden_channels] += self.forget_bias

    def _own(self) -> Tensor | None:
        return self.peephole

    def check_spatial_size(self, size: Sequence[int]) -> None:
        """
        Raises:
            ValueError: another size than that of a peephole per pixel.
        """
        if self.spatial_size is not None and tuple(size) != self.spatial_size:
            raise ValueError(f"peephole='pixel' fixes the state's size to {self.spatial_size}; got {tuple(size)}")

    def update(
        self, x_gates: Tensor | None, state: CellState, weights: CellWeights, dropout: Dropout | None = None
    ) -> State:
        """The next ``(h, c)``; see `Cell.update`."""
        h = state[0]
        h_masked = h if dropout is None or dropout.h is None else h * dropout.h
        bias = None if self.norm or x_gates is not None else weights.bias
        gates = self._state_gates(h_masked, weights.h, bias)
        if (
            pointwise.takes(gates, x_gates, state[1], weights.own)
            and self._has_its_gates
            and self.gate_activation == "sigmoid"
        ):
            return pointwise.lstm(gates, x_gates, state[1], weights.own)
        return self._next(gates if x_gates is None else gates + x_gates, state, weights)

    @property
    def _has_its_gates(self) -> bool:
        """Whether it computes the papers' equations, with a forget gate and sigmoids or hard sigmoids."""
        own = type(self).update is ConvLSTMCell.update and type(self)._next is ConvLSTMCell._next
        return own and self.uses_standard_gates and self.forget_gate

    def _next(self, gates: Tensor, state: CellState, weights: CellWeights) -> State:
        """The next ``(h, c)`` from the sum of input and state."""
        h, c = state
        gates = self._normalised(gates, weights)
        if not self.forget_gate:
            out, new = self._without_forgetting(gates, c, weights)
            return self._zoneout(out, h), self._zoneout(new, c)
        i, f, g, o = gates.chunk(4, dim=1)
        gate, activation = self._gate_function, self._activation_function
        if weights.own is None:
            new = gate(f) * c + gate(i) * activation(g)
        else:
            peep_i, peep_f, peep_o = self._peepholes(weights.own, gates)
            new = gate(f + peep_f * c) * c + gate(i + peep_i * c) * activation(g)
            o = o + peep_o * new
        out = (gate(o) * activation(new)).to(gates.dtype)
        return self._zoneout(out, h), self._zoneout(new, c)

    def _peepholes(self, own: Tensor, gates: Tensor) -> tuple[Tensor, ...]:
        """The peepholes one by one; to the ONNX exporter a size of 1 is variable until it is said to be 1."""
        sizes = self.spatial_size or (1,) * self.dims
        return own.to(gates.dtype).reshape(self.gates - 1, self.hidden_channels, *sizes).unbind(0)

    def _without_forgetting(self, gates: Tensor, c: Tensor, weights: CellWeights) -> State:
        i, g, o = gates.chunk(3, dim=1)
        peep_i, peep_o = (0.0, 0.0) if weights.own is None else self._peepholes(weights.own, gates)
        new = c + self._gate_function(i + peep_i * c) * self._activation_function(g)
        out = self._gate_function(o + peep_o * new) * self._activation_function(new)
        return out.to(gates.dtype), new

    def _plain_sequence(
        self,
        x: Tensor | None,
        state: CellState,
        steps: int,
        mask: Tensor | None,
        dropout: Dropout | None,
        weights: CellWeights,
    ) -> tuple[Tensor, CellState]:
        if x is not None and mask is None and self._joins(x, weights):
            return self._joined_sequence(x, state, dropout, weights)
        return super()._plain_sequence(x, state, steps, mask, dropout, weights)

    def _joins(self, x: Tensor, weights: CellWeights) -> bool:
        """Whether input and state had better be convolved together than one after the other: small kernels on CPUs."""
        convolution = self.input_convolution
        same = convolution.is_default and convolution == self.state_convolution
        small = 0 < self.dims < 3 and math.prod(convolution.kernel) <= _SMALL_KERNEL
        return (
            same and small and x.device.type == "cpu" and weights.x is not None and not torch_internals.is_exporting()
        )

    def _joined_sequence(
        self, x: Tensor, state: CellState, dropout: Dropout | None, weights: CellWeights
    ) -> tuple[Tensor, CellState]:
        """`Cell._plain_sequence` with one convolution per time step."""
        kernel = weights.h if weights.x is None else torch.cat([weights.x, weights.h], dim=1)
        bias, hidden = None if self.norm else weights.bias, []
        for frame in x.unbind(0):
            h = state[0] if dropout is None or dropout.h is None else state[0] * dropout.h
            gates = self._state_gates(torch.cat([frame, h], dim=1), kernel, bias)
            state = self._next(gates, state, weights)
            hidden.append(state[0])
        return torch.stack(hidden), state

    def _has_a_fused_form(self, state: CellState, weights: CellWeights) -> bool:
        convolution = self.state_convolution
        if self.dims == 0 or not self._has_its_gates or not convolution.is_odd or convolution.groups > 1:
            return False
        kinds = {w.dtype for w in (weights.x, weights.h, weights.bias) if w is not None}
        if self.gate_activation != "sigmoid" and (kinds != {torch.float32} or torch.is_autocast_enabled("cpu")):
            return False  # a gate of nearly 1 would be rounded to 1, where a hard sigmoid has no slope
        return len(kinds) == 1

    def _fused_layer(self, state: CellState, weights: CellWeights) -> "Layer":
        return fused.make_layer(
            state,
            weight_x=weights.x if self._joins_input else None,
            weight_h=weights.h,
            bias=weights.bias,
            peephole=weights.own,
            gate=self.gate_activation,
        )

    def zero_state(self, batch: int, *size: int) -> State:
        """The state before the first input; `size` is the state's spatial size."""
        return self.zeros(batch, *size), self.zeros(batch, *size)


class ConvLSTM(RecurrentLayers[ConvLSTMCell]):
    """Layers of `ConvLSTMCell` over a sequence, in the manner of `torch.nn.LSTM`.

    Args:
        in_channels: channels of the input; 0 for a first layer without input.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        num_layers: number of layers; None takes it from `hidden_channels` if that is a sequence, and 1 otherwise.
        batch_first: whether sequences are (batch, time, ...) and not (time, batch, ...).
        bidirectional: run every layer forwards and backwards in time, and concatenate their channels.
        dropout: probability of setting a value of a layer's output to 0 in training, on all layers but the last.
        gradient_checkpointing: in training, keep only the states of every few time steps and compute the rest again in
            the backward pass: memory grows with the square root of the number of time steps, time by about a third.
        options: of the cells. A **list** has one value for each layer, a tuple one for each dimension.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    cell_type = ConvLSTMCell

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
        **options: Unpack[ConvLSTMOptions],
    ) -> None:
        settings = LayerSettings(num_layers, batch_first, bidirectional, dropout, gradient_checkpointing)
        super().__init__(in_channels, hidden_channels, settings, options)
