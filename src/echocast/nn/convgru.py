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
from jaxtyping import Float
from torch import Tensor, nn

from echocast.nn.cell import Cell
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import CellOptions


class ConvGRUCell(Cell):
    """One layer, one step: a new hidden state from an input and the old one.

    ::

        r = sigmoid(Wxr * x + Whr * h + br)        u = sigmoid(Wxu * x + Whu * h + bu)
        n = tanh(Wxn * x + Whn * (r h) + bn)       h' = u h + (1 - u) n

    Args:
        in_channels: channels of the input; 0 for a layer that has none.
        hidden_channels: channels of the hidden state.
        reset_after: reset after the state's convolution, ``n = tanh(Wxn * x + bn + r (Whn * h + bhn))``, as
            `torch.nn.GRU` and HKO-7 do; one convolution a step in place of two.
        update_bias: added to the update gate's bias where it starts; 1 remembers longer.
        options: see `CellSettings`.

    Source: Ballas et al. 2016 (arXiv:1511.06432); HKO-7 is Shi et al. 2017 (arXiv:1706.03458), whose activation is
    ``leaky_relu``.
    """

    gates: ClassVar[int] = 3

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
        """Draw the weights anew."""
        super().reset_parameters()
        if self.update_bias and self.bias is not None:
            with torch.no_grad():
                self.bias[self.hidden_channels : 2 * self.hidden_channels] += self.update_bias

    def _more_parameters(self) -> list[Tensor | None]:
        return [self.bias_h]

    def forward(self, x: Float[Tensor, "batch channel *space"] | None, state: Tensor | None = None) -> Tensor:
        """The next ``h``; `x` is None for a layer without input, `state` None for zeros."""
        driven = None if x is None else self.drive(x)
        if state is None:
            if driven is None:
                raise ValueError("a step without input needs a state to start from")
            state = self.zeros(driven.shape[0], *driven.shape[2:])
        batch, grid = (state.shape[0], None) if driven is None else (driven.shape[0], driven.shape[2:])
        self.check_state("h", state, batch, grid)
        return self.step(driven, (state,))[0]

    def step(self, driven: Tensor | None, state: tuple[Tensor, ...], mask: Tensor | None = None) -> tuple[Tensor]:
        """The next ``(h,)`` from what `drive` gave for this step (None: no input); `mask` from `hidden_mask`."""
        (h,) = state
        seen = h if mask is None else h * mask
        split = 2 * self.hidden_channels
        if driven is None:
            driven = h.new_zeros(()) if self.bias is None or self.norm else self._over_space(self.bias)
            above, below = (driven, driven) if driven.dim() == 0 else (driven[:split], driven[split:])
        else:
            above, below = driven[:, :split], driven[:, split:]
        if self.reset_after:
            gates = self._state_gates(seen, self.weight_h)
            gates, echo = gates[:, :split] + above, gates[:, split:]
            echo = echo if self.bias_h is None else echo + self._over_space(self.bias_h)
            r, u = self._open(self._normalised(gates, slice(0, split))).chunk(2, dim=1)
            echo = r * echo
        else:
            gates = self._state_gates(seen, self.weight_h[:split]) + above
            r, u = self._open(self._normalised(gates, slice(0, split))).chunk(2, dim=1)
            echo = self._state_gates(r * seen, self.weight_h[split:])
        candidate = self._squash(self._normalised(echo + below, slice(split, None)))
        return (self._zone((u * h + (1 - u) * candidate).to(h.dtype), h),)


class ConvGRU(RecurrentLayers[ConvGRUCell]):
    """Layers of `ConvGRUCell` over a sequence, in the manner of `torch.nn.GRU`: ``output, h_n = layer(x, h_0)``.

    Args:
        in_channels: channels of the input; 0 for a first layer that has none.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        num_layers, batch_first, bidirectional, dropout, recompute: see `ConvLSTM`.
        options: of `ConvGRUCell`; a **list** has one value for each layer, a tuple one for each dimension.
    """

    parts = 1

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
            ConvGRUCell,
            in_channels,
            hidden_channels,
            num_layers=num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            recompute=recompute,
            options=options,
        )
