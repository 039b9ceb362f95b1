"""The convolutional LSTM of Shi et al. 2015, with its peepholes.

Gates ``i, f, g, o`` (`g` is the candidate) are computed by two convolutions, of the input and of the last hidden state;
the peepholes let them see the cell: `i` and `f` the old one, `o` the new one. A layer without input
(``in_channels=0``) has no input weights at all: it is the paper's unconditioned forecaster.

    >>> import torch
    >>> layer = ConvLSTM(1, [8, 8])
    >>> output, states = layer(torch.zeros(2, 5, 1, 16, 16))
    >>> tuple(output.shape), len(states)
    ((2, 5, 8, 16, 16), 2)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

State = tuple[Tensor, Tensor]
"""Hidden state and cell, each (batch, hidden, y, x)."""


class ConvLSTMCell(nn.Module):
    """One layer, one step: a new state from an input and the old state.

    Args:
        in_channels: channels of the input; 0 for a layer that has none.
        hidden_channels: channels of the hidden state and of the cell.
        input_kernel: odd size of the input-to-state convolution.
        state_kernel: odd size of the state-to-state convolution.
        forget_bias: where the bias of the forget gate starts; 1 remembers longer from the first step of training on.

    Source: Shi et al. 2015 (arXiv:1506.04214), equation 3. The peephole is one weight per channel, as the parameter
    counts of the paper's Table 1 require, not one per pixel as its Hadamard product suggests. Biases and peepholes
    start at 0.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        input_kernel: int = 3,
        state_kernel: int = 3,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__()
        _check_sizes(in_channels, hidden_channels, input_kernel, state_kernel)
        self.in_channels, self.hidden_channels, self.forget_bias = in_channels, hidden_channels, forget_bias
        gates = 4 * hidden_channels
        self.weight_x = (
            nn.Parameter(torch.empty(gates, in_channels, input_kernel, input_kernel)) if in_channels else None
        )
        self.weight_h = nn.Parameter(torch.empty(gates, hidden_channels, state_kernel, state_kernel))
        self.bias = nn.Parameter(torch.zeros(gates))
        self.peephole = nn.Parameter(torch.zeros(3, hidden_channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the convolutions anew (Glorot uniform over both fans); biases and peepholes start anew."""
        for weight in (self.weight_x, self.weight_h):
            if weight is not None:
                nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias[self.hidden_channels : 2 * self.hidden_channels], self.forget_bias)
        nn.init.zeros_(self.peephole)

    def forward(self, x: Float[Tensor, "batch channel y x"] | None, state: State) -> State:
        """The next ``(h, c)``; `x` is None for a layer without input."""
        return self.step(None if x is None else self.drive(x), state)

    def drive(self, x: Float[Tensor, "frames channel y x"]) -> Float[Tensor, "frames gates y x"]:
        """What the input adds to the gates, bias included; all steps of a sequence may be driven at once."""
        if self.weight_x is None:
            raise ValueError("this layer was made without input (in_channels=0) and cannot take one")
        if x.shape[1] != self.in_channels:
            raise ValueError(f"this layer takes {self.in_channels} channels; got {x.shape[1]}")
        return conv2d(x, self.weight_x, self.bias, padding=self.weight_x.shape[-1] // 2)

    def step(self, driven: Tensor | None, state: State) -> State:
        """The next ``(h, c)`` from what `drive` gave for this step (None: no input)."""
        h, c = state
        padding = self.weight_h.shape[-1] // 2
        if driven is None:
            gates = conv2d(h, self.weight_h, self.bias, padding=padding)
        else:
            gates = conv2d(h, self.weight_h, None, padding=padding) + driven
        i, f, g, o = gates.chunk(4, dim=1)
        peep_i, peep_f, peep_o = self.peephole.to(gates.dtype)
        c = torch.sigmoid(f + peep_f * c) * c + torch.sigmoid(i + peep_i * c) * torch.tanh(g)
        return torch.sigmoid(o + peep_o * c) * torch.tanh(c), c

    def zero_state(self, batch: int, height: int, width: int) -> State:
        """The state before the first input."""
        zero = self.bias.new_zeros(batch, self.hidden_channels, height, width)
        return zero, zero


class ConvLSTM(nn.Module):
    """Layers of `ConvLSTMCell` over a sequence, in the manner of `torch.nn.LSTM` with ``batch_first``.

    Args:
        in_channels: channels of the input; 0 for a first layer that has none.
        hidden_channels: hidden channels of each layer, from the input up.
        input_kernel: odd size of the input-to-state convolution of every layer, between layers too.
        state_kernels: odd sizes of the state-to-state convolutions; one number for all.
        forget_bias: where the biases of the forget gates start.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        *,
        input_kernel: int = 3,
        state_kernels: int | Sequence[int] = 3,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__()
        kernels = [state_kernels] * len(hidden_channels) if isinstance(state_kernels, int) else list(state_kernels)
        if not hidden_channels or len(kernels) != len(hidden_channels):
            raise ValueError(f"hidden_channels={list(hidden_channels)} and state_kernels={kernels} differ in length")
        inputs = [in_channels, *hidden_channels[:-1]]
        self.cells = nn.ModuleList(
            ConvLSTMCell(i, hidden, input_kernel=input_kernel, state_kernel=kernel, forget_bias=forget_bias)
            for i, hidden, kernel in zip(inputs, hidden_channels, kernels, strict=True)
        )

    def forward(
        self,
        x: Float[Tensor, "batch time channel y x"] | None,
        states: Sequence[State] | None = None,
        *,
        steps: int | None = None,
    ) -> tuple[Float[Tensor, "batch time hidden y x"], list[State]]:
        """The hidden states of the top layer and the last state of every layer.

        Args:
            x: the input; None for a first layer without one.
            states: the state of every layer to start from; zeros if None.
            steps: how many steps to make when `x` is None.
        """
        outputs, last = self.layers(x, states, steps=steps)
        return outputs[-1], last

    def layers(
        self,
        x: Float[Tensor, "batch time channel y x"] | None,
        states: Sequence[State] | None = None,
        *,
        steps: int | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """Like `forward`, with the hidden states of every layer."""
        if x is None and (states is None or steps is None):
            raise ValueError("a sequence without input needs states to start from and a number of steps")
        outputs: list[Tensor] = []
        last: list[State] = []
        for level, cell in enumerate(self.cells):
            assert isinstance(cell, ConvLSTMCell)  # for the type checker: a ModuleList does not say
            state = states[level] if states is not None else _zero_state(cell, x)
            x, final = _run(cell, x, state, steps)
            outputs.append(x)
            last.append(final)
        return outputs, last


def _run(cell: ConvLSTMCell, x: Tensor | None, state: State, steps: int | None) -> tuple[Tensor, State]:
    driven: Sequence[Tensor | None] = [None] * (steps or 0)
    if x is not None:
        # One convolution over all steps: the input does not wait for the recurrence.
        gates = cell.drive(x.flatten(0, 1))
        driven = gates.reshape(x.shape[0], x.shape[1], *gates.shape[1:]).unbind(1)
    hidden = []
    for frame in driven:
        state = cell.step(frame, state)
        hidden.append(state[0])
    return torch.stack(hidden, dim=1), state


def _zero_state(cell: ConvLSTMCell, x: Tensor | None) -> State:
    assert x is not None  # `layers` has refused a sequence with neither input nor states
    return cell.zero_state(x.shape[0], x.shape[-2], x.shape[-1])


def _check_sizes(in_channels: int, hidden_channels: int, input_kernel: int, state_kernel: int) -> None:
    if in_channels < 0 or hidden_channels < 1:
        raise ValueError(f"channels must be positive; got in_channels={in_channels}, hidden_channels={hidden_channels}")
    for name, kernel in (("input_kernel", input_kernel), ("state_kernel", state_kernel)):
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"{name} must be odd, so that the grid keeps its size; got {kernel}")
