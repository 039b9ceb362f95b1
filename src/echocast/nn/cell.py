"""What ConvLSTM and ConvGRU cells have in common: their convolutions, options and checks.

A cell computes its gates in two parts: `Cell.input_gates` is what the input adds to them, for all time steps at once;
`Cell.update` adds what the hidden state gives, time step by time step.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Unpack, runtime_checkable

import torch
from torch import Tensor, nn

from echocast.nn import torch_internals
from echocast.nn.activations import activation as activation_of
from echocast.nn.convolution import normalise
from echocast.nn.initialisers import initialise
from echocast.nn.options import CellOptions
from echocast.nn.settings import CellSettings

CellState = tuple[Tensor, ...]
"""The state of one layer: hidden and cell state (h, c), or (h,) for a ConvGRU."""

_CACHED = 4 << 20
"""Bytes of gates that still fit a processor's cache."""

AXES = {0: "", 1: ", x", 2: ", y, x", 3: ", z, y, x"}


@runtime_checkable
class StreamingLayer(Protocol):
    """A layer that takes one frame after another and overwrites its own state."""

    def advance(self, x: Tensor | None) -> Tensor:
        """The next hidden state, valid until the next call."""

    def state(self) -> CellState:
        """The current state."""


class Cell(nn.Module):
    """One recurrent layer, one time step.

    Args:
        in_channels: channels of the input; 0 for a layer without input.
        hidden_channels: channels of the hidden state.
        options: see `CellSettings`.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    gates: int

    def __init__(self, in_channels: int, hidden_channels: int, **options: Unpack[CellOptions]) -> None:
        super().__init__()
        if in_channels < 0 or hidden_channels < 1:
            raise ValueError(
                f"in_channels must be at least 0 and hidden_channels at least 1; "
                f"got in_channels={in_channels}, hidden_channels={hidden_channels}"
            )
        unknown = [name for name in options if name not in CellOptions.__annotations__]
        if unknown:
            raise TypeError(
                f"{type(self).__name__}() got an unexpected keyword argument {unknown[0]!r}; "
                f"it takes {', '.join(CellOptions.__annotations__)} and its own"
            )
        chosen = CellSettings(**options)
        self.in_channels, self.hidden_channels, self.dims = in_channels, hidden_channels, chosen.dims
        self.input_convolution, self.state_convolution = chosen.input_convolution(), chosen.state_convolution()
        self.gate_activation, self.activation, self.init = chosen.gate_activation, chosen.activation, chosen.init
        self._gate_function = activation_of(chosen.gate_activation)
        self._activation_function = activation_of(chosen.activation)
        self.norm, self.norm_groups = chosen.norm, chosen.norm_groups
        self.recurrent_dropout, self.zoneout = chosen.recurrent_dropout, chosen.zoneout
        self._check_options()

        kind: dict[str, Any] = {"device": chosen.device, "dtype": chosen.dtype}
        gates, share = self.gates * hidden_channels, in_channels // chosen.groups
        self.weight_x = (
            nn.Parameter(torch.empty(gates, share, *self.input_convolution.kernel, **kind)) if in_channels else None
        )
        self.weight_h = nn.Parameter(torch.empty(gates, hidden_channels, *self.state_convolution.kernel, **kind))
        self.bias = nn.Parameter(torch.empty(gates, **kind)) if chosen.bias else None
        self.gain = nn.Parameter(torch.empty(gates, **kind)) if chosen.norm else None
        learned = chosen.padding_mode == "learned" and in_channels
        self.learned_padding = nn.Parameter(torch.empty(in_channels, **kind)) if learned else None

    def _check_options(self) -> None:
        convolution = self.input_convolution
        if self.in_channels == 0 and not convolution.is_default:
            raise ValueError(
                "in_channels=0 means that there is no input convolution; leave out stride, dilation, groups, padding "
                f"and padding_mode, got {convolution}"
            )
        gates = self.gates * self.hidden_channels
        if convolution.groups < 1 or self.in_channels % convolution.groups or gates % convolution.groups:
            raise ValueError(
                f"groups={convolution.groups} must divide in_channels={self.in_channels} "
                f"and the {gates} channels of the gates"
            )
        if self.norm_groups < 1 or self.hidden_channels % self.norm_groups:
            raise ValueError(f"norm_groups={self.norm_groups} must divide hidden_channels={self.hidden_channels}")
        if self.norm_groups > 1 and self.norm != "group":
            raise ValueError(f"norm_groups={self.norm_groups} needs norm='group'; got norm={self.norm!r}")
        if self.norm == "layer" and self.hidden_channels == 1:
            raise ValueError("norm='layer' with hidden_channels=1 would make every gate 0; use more channels")

    def reset_parameters(self) -> None:
        """Initialise the weights anew."""
        rest = [p for p in (self.bias, *self._more_parameters()) if p is not None]
        initialise(self.init, x=self.weight_x, h=self.weight_h, rest=rest, gates=self.gates)
        if self.gain is not None:
            nn.init.ones_(self.gain)
        if self.learned_padding is not None:
            nn.init.zeros_(self.learned_padding)

    def _more_parameters(self) -> list[Tensor | None]:
        return []

    @property
    def uses_standard_gates(self) -> bool:
        """Whether the gates are the paper's: sigmoid and tanh of a sum, without normalisation, dropout or zoneout."""
        regularised = self.zoneout or (self.training and self.recurrent_dropout)
        names = (self.gate_activation, self.activation)
        return names == ("sigmoid", "tanh") and self.norm is None and not regularised

    def input_gates(self, x: Tensor) -> Tensor:
        """What the input adds to the gates, bias included, (frames, gates x hidden, *space).

        Args:
            x: (frames, channel, *space), of any number of time steps.

        Raises:
            ValueError: a wrong number of dimensions or channels, dtype or device.
        """
        self.check_input(x)
        bias = None if self.norm else self.bias
        return self.input_convolution(x, self._input_weight(), bias, self.learned_padding)

    def all_input_gates(self, x: Tensor) -> Tensor:
        """`input_gates` for (time, batch, channel, *space)."""
        gates = self.input_gates(x.flatten(0, 1))
        return gates.reshape(*x.shape[:2], *gates.shape[1:])

    def _input_weight(self) -> Tensor:
        if self.weight_x is None:
            raise ValueError("this layer was made without input (in_channels=0) and cannot take one")
        return self.weight_x

    def check_input(self, x: Tensor) -> None:
        """
        Raises:
            ValueError: `x`, (frames, channel, *space), is not what this layer takes.
        """
        self._input_weight()
        if x.dim() != 2 + self.dims or x.shape[1] != self.in_channels:
            raise ValueError(
                f"this layer takes {self.in_channels} channels in {self.dims} spatial dimensions, "
                f"(frames, {self.in_channels}{AXES[self.dims]}); got a tensor of shape {tuple(x.shape)}"
            )
        self.check_kind("the input", x)

    def check_kind(self, name: str, tensor: Tensor) -> None:
        """
        Raises:
            ValueError: `tensor` is on another device than the weights, or of a dtype they do not multiply with.
        """
        weight = self.weight_h
        if tensor.device != weight.device:
            raise ValueError(
                f"{name} is on {tensor.device}, the layer's weights are on {weight.device}; move one of them"
            )
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point; got {tensor.dtype}: try .to({weight.dtype})")
        if tensor.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
            raise ValueError(f"{name} is {tensor.dtype}, the layer's weights are {weight.dtype}; convert one of them")

    def check_state(self, name: str, tensor: Tensor, batch: int, size: Sequence[int] | None) -> None:
        """
        Raises:
            ValueError: one tensor of a state has not the shape (batch, hidden, *size), or is of another kind.
        """
        expected = (batch, self.hidden_channels, *(tensor.shape[2:] if size is None else size))
        if tensor.dim() != 2 + self.dims or tuple(tensor.shape) != expected:
            raise ValueError(
                f"the state {name} must be (batch, hidden{AXES[self.dims]}) = {expected}; got {tuple(tensor.shape)}"
            )
        self.check_kind(f"the state {name}", tensor)

    def check_spatial_size(self, size: Sequence[int]) -> None:
        """
        Raises:
            ValueError: the state cannot have this spatial size.
        """

    def zeros(self, batch: int, *size: int) -> Tensor:
        """One tensor of a state of zeros, (batch, hidden, *size)."""
        return self.weight_h.new_zeros(batch, self.hidden_channels, *size)

    def recurrent_dropout_mask(self, h: Tensor) -> Tensor | None:
        """A factor for every channel of the hidden state, the same in all time steps of a sequence; None without."""
        if not (self.training and self.recurrent_dropout):
            return None
        keep = 1 - self.recurrent_dropout
        return h.new_empty(h.shape[:2]).bernoulli_(keep).div_(keep).reshape(*h.shape[:2], *[1] * self.dims)

    def update(self, x_gates: Tensor | None, state: CellState, mask: Tensor | None = None) -> CellState:
        """The next state.

        Args:
            x_gates: what `input_gates` gave for this time step; None without input.
            state: the old one.
            mask: from `recurrent_dropout_mask`.
        """
        raise NotImplementedError

    def sequence(self, x: Tensor | None, state: CellState, steps: int, mask: Tensor | None) -> tuple[Tensor, CellState]:
        """All hidden states (time, batch, hidden, *space) and the last state.

        Args:
            x: (time, batch, channel, *space) or None.
            state: the initial one.
            steps: number of time steps.
            mask: (time, batch), False where the state is to stay as it is.
        """
        if x is not None and mask is None and torch_internals.is_exporting():
            scan = torch_internals.scan()
            if scan is not None:
                return self._scan(scan, x, state)
        # One convolution over all time steps does not wait for the recurrence, but its result may not fit the cache.
        at_once = x is not None and (x.device.type != "cpu" or self._gate_bytes(x) <= _CACHED)
        x_gates = self.all_input_gates(x).unbind(0) if x is not None and at_once else None
        hidden, dropout = [], self.recurrent_dropout_mask(state[0])
        for t in range(steps):
            frame = None if x is None else self.input_gates(x[t]) if x_gates is None else x_gates[t]
            new = self.update(frame, state, dropout)
            if mask is not None:
                valid = mask[t].reshape(-1, *[1] * (self.dims + 1))
                new = tuple(torch.where(valid, here, before) for here, before in zip(new, state, strict=True))
            state = new
            hidden.append(state[0])
        return torch.stack(hidden), state

    def _scan(self, scan: Callable[..., Any], x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """`sequence` as one operation, so that an exported layer takes any number of time steps."""

        def combine(carry: list[Tensor], frame: Tensor) -> tuple[list[Tensor], Tensor]:
            new = self.update(frame, tuple(carry))
            return [tensor.clone() for tensor in new], new[0].clone()

        last, hidden = scan(combine, list(state), self.all_input_gates(x))
        return hidden, tuple(last)

    def _gate_bytes(self, x: Tensor) -> int:
        return x.numel() // max(x.shape[2], 1) * self.gates * self.hidden_channels * x.element_size()

    def next_state(self, x: Tensor | None, state: CellState) -> CellState:
        """The next state from one frame (batch, channel, *space)."""
        return self.update(None if x is None else self.input_gates(x), state)

    def streaming(self, state: CellState, x: Tensor | None) -> StreamingLayer | None:
        """This layer from `state` on, frame by frame, if there is a fast way for inputs like `x`; without gradients."""
        return None

    def _zoneout(self, new: Tensor, old: Tensor) -> Tensor:
        if not self.zoneout:
            return new
        if self.training:
            return torch.where(torch.rand_like(new) < self.zoneout, old, new)
        return self.zoneout * old + (1 - self.zoneout) * new

    def _state_gates(self, h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.state_convolution(h, weight, bias)

    def _normalised(self, gates: Tensor, part: slice = slice(None)) -> Tensor:
        """The gates, or a `part` of their channels, normalised if this layer does so."""
        if self.gain is None or self.norm is None:
            return gates
        count = gates.shape[1] // self.hidden_channels
        gates = normalise(gates, count, self.norm, self.norm_groups) * self._over_space(self.gain[part])
        return gates if self.bias is None else gates + self._over_space(self.bias[part])

    def _over_space(self, channels: Tensor) -> Tensor:
        return channels.reshape(-1, *[1] * self.dims)

    def extra_repr(self) -> str:
        kernel = "x".join(map(str, self.input_convolution.kernel)) or "none"
        state = "x".join(map(str, self.state_convolution.kernel)) or "none"
        return f"{self.in_channels}, {self.hidden_channels}, input_kernel={kernel}, state_kernel={state}"
