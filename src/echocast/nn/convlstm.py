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

from collections.abc import Sequence
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast.nn import fused
from echocast.nn.cell import Cell, CellState, StreamingLayer
from echocast.nn.options import CellOptions, ConvLSTMOptions, Peephole
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import LayerSettings

State = tuple[Tensor, Tensor]
"""Hidden state and cell state, each (batch, hidden, *space)."""


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

    def _more_parameters(self) -> list[Tensor | None]:
        return [self.peephole]

    def forward(self, x: Float[Tensor, "batch channel *space"] | None, state: State | None = None) -> State:
        """The next ``(h, c)``; `x` is None for a layer without input, `state` None for zeros."""
        x_gates = None if x is None else self.input_gates(x)
        if state is None:
            if x_gates is None:
                raise ValueError("without an input the initial state must be given: state=(h, c)")
            state = self.zero_state(x_gates.shape[0], *x_gates.shape[2:])
        self.check_states(state, x_gates)
        return self.update(x_gates, state)

    def check_states(self, state: State, x_gates: Tensor | None = None) -> None:
        """
        Raises:
            ValueError: `state` does not fit the layer, or the gates that the input gives.
        """
        batch = state[0].shape[0] if x_gates is None else x_gates.shape[0]
        size = None if x_gates is None else x_gates.shape[2:]
        for name, tensor in zip(("h", "c"), state, strict=True):
            self.check_state(name, tensor, batch, size)
        self.check_spatial_size(state[0].shape[2:])

    def check_spatial_size(self, size: Sequence[int]) -> None:
        """
        Raises:
            ValueError: another size than that of a peephole per pixel.
        """
        if self.spatial_size is not None and tuple(size) != self.spatial_size:
            raise ValueError(f"peephole='pixel' fixes the state's size to {self.spatial_size}; got {tuple(size)}")

    def update(self, x_gates: Tensor | None, state: CellState, mask: Tensor | None = None) -> State:
        """The next ``(h, c)``; see `Cell.update`."""
        h, c = state
        h_masked = h if mask is None else h * mask
        if x_gates is None:
            gates = self._state_gates(h_masked, self.weight_h, None if self.norm else self.bias)
        else:
            gates = self._state_gates(h_masked, self.weight_h) + x_gates
        gate, activation = self._gate_function, self._activation_function
        if not self.forget_gate:
            out, new = self._without_forgetting(self._normalised(gates), c)
            return self._zoneout(out, h), self._zoneout(new, c)
        i, f, g, o = self._normalised(gates).chunk(4, dim=1)
        if self.peephole is None:
            new = gate(f) * c + gate(i) * activation(g)
        else:
            peep_i, peep_f, peep_o = self.peephole.to(gates.dtype)
            new = gate(f + peep_f * c) * c + gate(i + peep_i * c) * activation(g)
            o = o + peep_o * new
        out = (gate(o) * activation(new)).to(gates.dtype)
        return self._zoneout(out, h), self._zoneout(new, c)

    def _without_forgetting(self, gates: Tensor, c: Tensor) -> State:
        i, g, o = gates.chunk(3, dim=1)
        peep_i, peep_o = (0.0, 0.0) if self.peephole is None else self.peephole.to(gates.dtype)
        new = c + self._gate_function(i + peep_i * c) * self._activation_function(g)
        out = self._gate_function(o + peep_o * new) * self._activation_function(new)
        return out.to(gates.dtype), new

    def sequence(self, x: Tensor | None, state: CellState, steps: int, mask: Tensor | None) -> tuple[Tensor, CellState]:
        """All hidden states and the last state; see `Cell.sequence`."""
        if mask is None and self._fuses(*state, *([] if x is None else [x])):
            layer = self._fused_layer(state)
            output, h, c = layer.sequence(x, None if x is None or layer.joins else self.all_input_gates(x), steps)
            return output, (h, c)
        return super().sequence(x, state, steps, mask)

    def next_state(self, x: Tensor | None, state: CellState) -> CellState:
        """The next state from one frame; see `Cell.next_state`."""
        stream = None if torch.is_grad_enabled() else self.streaming(state, None if x is None else x[None])
        if stream is None:
            return super().next_state(x, state)
        stream.advance(x)
        return stream.state()

    def streaming(self, state: CellState, x: Tensor | None) -> StreamingLayer | None:
        """This layer as a `StreamingLayer`; see `Cell.streaming`."""
        if not self._fuses(*state, *([] if x is None else [x])):
            return None
        return self._fused_layer(state).streaming(None if x is None else self.input_gates)

    def _fuses(self, *tensors: Tensor) -> bool:
        if not self.uses_standard_gates or self.dims == 0 or not self.forget_gate:
            return False
        h = tensors[0]
        weights = self.weight_h.numel() + (0 if self.weight_x is None else self.weight_x.numel())
        return fused.takes(self.weight_h, *tensors, products=h.numel() // h.shape[1] * weights)

    def _fused_layer(self, state: CellState) -> "fused.Layer":
        convolution = self.input_convolution
        joins = convolution.is_default and convolution.kernel == self.state_convolution.kernel
        return fused.Layer(
            state,
            weight_x=self.weight_x if joins else None,
            weight_h=self.weight_h,
            bias=self.bias,
            peephole=self.peephole,
        )

    def zero_state(self, batch: int, *size: int) -> State:
        """The state before the first input; `size` is the state's spatial size."""
        zero = self.zeros(batch, *size)
        return zero, zero


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
        options: of `ConvLSTMCell` and `CellSettings`; a **list** has one value for each layer, a tuple one for each
            dimension.

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
