"""The convolutional LSTM of Shi et al. 2015, with its peepholes.

Gates ``i, f, g, o`` (`g` is the candidate) are computed by two convolutions, of the input and of the last hidden state;
the peepholes let them see the cell: `i` and `f` the old one, `o` the new one. A layer without input
(``in_channels=0``) has no input weights at all: it is the paper's unconditioned forecaster.

    >>> import torch
    >>> layer = ConvLSTM(1, 8, num_layers=2, batch_first=True)
    >>> output, (h_n, c_n) = layer(torch.zeros(2, 5, 1, 16, 16))
    >>> tuple(output.shape), tuple(h_n.shape)
    ((2, 5, 8, 16, 16), (2, 2, 8, 16, 16))
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast.nn import fused
from echocast.nn.cell import Cell, Parts, Steps
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import CellOptions

State = tuple[Tensor, Tensor]
"""Hidden state and cell, each (batch, hidden, *space)."""

Peephole = Literal["channel", "pixel"]


class ConvLSTMCell(Cell):
    """One layer, one step: a new state from an input and the old state.

    Args:
        in_channels: channels of the input; 0 for a layer that has none.
        hidden_channels: channels of the hidden state and of the cell.
        peephole: ``channel``, one weight per channel, as the authors' code and the parameter counts of the paper's
            Table 1 have it; ``pixel``, one per channel and pixel, as its Hadamard product can be read; None for none.
        grid: the size of the input's grid (of the state's, if there is no input); for ``peephole="pixel"``.
        forget_bias: added to the forget gate's bias where it starts; 1 remembers longer from the first step of training
            on.
        options: see `CellSettings`.

    Raises:
        ValueError: options that do not go together, named with their values.

    Source: Shi et al. 2015 (arXiv:1506.04214), equation 3. Biases and peepholes start at 0.
    """

    gates: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        peephole: Peephole | None = "channel",
        grid: Sequence[int] | None = None,
        forget_bias: float = 0.0,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(in_channels, hidden_channels, **options)
        if peephole not in (None, "channel", "pixel"):
            raise ValueError(f"peephole must be None, 'channel' or 'pixel'; got {peephole!r}")
        if (peephole == "pixel") != (grid is not None):
            raise ValueError(f"peephole='pixel' and a grid need each other; got peephole={peephole!r}, grid={grid}")
        if grid is not None and len(grid) != self.dims:
            raise ValueError(f"grid={tuple(grid)} has {len(grid)} dimensions; this layer has dims={self.dims}")
        if forget_bias and self.bias is None:
            raise ValueError(f"forget_bias={forget_bias} needs bias=True")
        self.grid = None if grid is None else self.input_convolution.grid(grid) if in_channels else tuple(grid)
        self.forget_bias = forget_bias
        if peephole:
            weight = self.weight_h
            shape = self.grid or (1,) * self.dims
            self.peephole: nn.Parameter | None = nn.Parameter(
                torch.empty(3, hidden_channels, *shape, device=weight.device, dtype=weight.dtype)
            )
        else:
            self.register_parameter("peephole", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        super().reset_parameters()
        if self.forget_bias and self.bias is not None:
            with torch.no_grad():
                self.bias[self.hidden_channels : 2 * self.hidden_channels] += self.forget_bias

    def _more_parameters(self) -> list[Tensor | None]:
        return [self.peephole]

    def forward(self, x: Float[Tensor, "batch channel *space"] | None, state: State | None = None) -> State:
        """The next ``(h, c)``; `x` is None for a layer without input, `state` None for zeros."""
        driven = None if x is None else self.drive(x)
        if state is None:
            if driven is None:
                raise ValueError("a step without input needs a state to start from")
            state = self.zero_state(driven.shape[0], *driven.shape[2:])
        self.check_states(state, state[0].shape[0] if driven is None else driven.shape[0], driven)
        return self.step(driven, state)

    def check_states(self, state: State, batch: int, driven: Tensor | None = None) -> None:
        """
        Raises:
            ValueError: `state` does not fit the layer, or what drives it.
        """
        grid = None if driven is None else driven.shape[2:]
        for name, tensor in zip(("h", "c"), state, strict=True):
            self.check_state(name, tensor, batch, grid)
        self.check_grid(state[0].shape[2:])

    def check_grid(self, grid: Sequence[int]) -> None:
        """
        Raises:
            ValueError: another size than that of a peephole per pixel.
        """
        if self.grid is not None and tuple(grid) != self.grid:
            raise ValueError(f"peephole='pixel' fixes the state's grid to {self.grid}; got {tuple(grid)}")

    def step(self, driven: Tensor | None, state: Parts, mask: Tensor | None = None) -> State:
        """The next ``(h, c)`` from what `drive` gave for this step (None: no input); `mask` from `hidden_mask`."""
        h, c = state
        seen = h if mask is None else h * mask
        if driven is None:
            gates = self._state_gates(seen, self.weight_h, None if self.norm else self.bias)
        else:
            gates = self._state_gates(seen, self.weight_h) + driven
        i, f, g, o = self._normalised(gates).chunk(4, dim=1)
        if self.peephole is None:
            new = self._open(f) * c + self._open(i) * self._squash(g)
        else:
            peep_i, peep_f, peep_o = self.peephole.to(gates.dtype)
            new = self._open(f + peep_f * c) * c + self._open(i + peep_i * c) * self._squash(g)
            o = o + peep_o * new
        out = (self._open(o) * self._squash(new)).to(gates.dtype)
        return self._zone(out, h), self._zone(new, c)

    def sequence(self, x: Tensor | None, state: Parts, steps: int, mask: Tensor | None) -> tuple[Tensor, Parts]:
        """All hidden states and the last state; see `Cell.sequence`."""
        if mask is None and self._fuses(*state, *([] if x is None else [x])):
            layer = self._fused_layer(state)
            output, h, c = layer.sequence(x, None if x is None or layer.joins else self.drive_all(x), steps)
            return output, (h, c)
        return super().sequence(x, state, steps, mask)

    def one_step(self, x: Tensor | None, state: Parts) -> Parts:
        """The next state from one frame; see `Cell.one_step`."""
        steps = None if torch.is_grad_enabled() else self.steps(state, None if x is None else x[None])
        if steps is None:
            return super().one_step(x, state)
        steps.advance(x)
        return steps.state()

    def steps(self, state: Parts, x: Tensor | None) -> Steps | None:
        """This layer as `Steps`; see `Cell.steps`."""
        if not self._fuses(*state, *([] if x is None else [x])):
            return None
        return self._fused_layer(state).stepper(None if x is None else self.drive)

    def _fuses(self, *tensors: Tensor) -> bool:
        if not self.is_plain or self.dims == 0:
            return False
        h = tensors[0]
        weights = self.weight_h.numel() + (0 if self.weight_x is None else self.weight_x.numel())
        return fused.takes(self.weight_h, *tensors, products=h.numel() // h.shape[1] * weights)

    def _fused_layer(self, state: Parts) -> "fused.Layer":
        convolution = self.input_convolution
        joins = convolution.is_plain and convolution.kernel == self.state_convolution.kernel
        return fused.Layer(
            state,
            weight_x=self.weight_x if joins else None,
            weight_h=self.weight_h,
            bias=self.bias,
            peephole=self.peephole,
        )

    def zero_state(self, batch: int, *grid: int) -> State:
        """The state before the first input; `grid` is the state's."""
        zero = self.zeros(batch, *grid)
        return zero, zero


class ConvLSTM(RecurrentLayers[ConvLSTMCell]):
    """Layers of `ConvLSTMCell` over a sequence, in the manner of `torch.nn.LSTM`.

    Args:
        in_channels: channels of the input; 0 for a first layer that has none.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        num_layers: layers; taken from `hidden_channels` if that is a sequence.
        batch_first: whether sequences are (batch, time, ...) and not (time, batch, ...).
        bidirectional: run every layer forwards and backwards in time, and join their channels.
        dropout: share of every layer's output but the last's that training hides.
        recompute: in training, keep only the states of every few steps and make the rest again on the way back: memory
            grows with the square root of the steps, time by about a third.
        options: of `ConvLSTMCell`; a **list** has one value for each layer, a tuple one for each dimension.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int],
        *,
        num_layers: int | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recompute: bool = False,
        **options: object,
    ) -> None:
        super().__init__(
            ConvLSTMCell,
            in_channels,
            hidden_channels,
            num_layers=num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            recompute=recompute,
            options=options,
        )
