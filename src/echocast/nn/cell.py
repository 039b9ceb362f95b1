"""What ConvLSTM and ConvGRU cells have in common: their convolutions, options and checks."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Unpack, runtime_checkable

import torch
from torch import Tensor, nn

from echocast.nn.activations import activation as activation_of
from echocast.nn.convolution import normalise
from echocast.nn.initialisers import initialise
from echocast.nn.settings import CellOptions, CellSettings

Parts = tuple[Tensor, ...]
"""The state of one layer: (h, c), or (h,) for a ConvGRU."""

_CACHED = 4 << 20
"""Bytes of gates that still fit a processor's cache."""

AXES = {0: "", 1: ", x", 2: ", y, x", 3: ", z, y, x"}


@runtime_checkable
class Steps(Protocol):
    """A layer that takes one step after another and writes over its own state."""

    def advance(self, x: Tensor | None) -> Tensor:
        """The next hidden state, good until the next call."""

    def state(self) -> Parts:
        """The state it has come to."""


class Cell(nn.Module):
    """One recurrent layer, one step.

    Args:
        in_channels: channels of the input; 0 for a layer that has none.
        hidden_channels: channels of the hidden state.
        options: see `CellSettings`.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    gates: ClassVar[int]

    def __init__(self, in_channels: int, hidden_channels: int, **options: Unpack[CellOptions]) -> None:
        super().__init__()
        if in_channels < 0 or hidden_channels < 1:
            raise ValueError(
                f"channels must be positive; got in_channels={in_channels}, hidden_channels={hidden_channels}"
            )
        chosen = CellSettings(**options)
        self.in_channels, self.hidden_channels, self.dims = in_channels, hidden_channels, chosen.dims
        self.input_convolution, self.state_convolution = chosen.input_convolution(), chosen.state_convolution()
        self.gate_activation, self.activation, self.init = chosen.gate_activation, chosen.activation, chosen.init
        self._open, self._squash = activation_of(chosen.gate_activation), activation_of(chosen.activation)
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
        self.outside = nn.Parameter(torch.empty(in_channels, **kind)) if learned else None

    def _check_options(self) -> None:
        convolution = self.input_convolution
        if self.in_channels == 0 and not convolution.is_plain:
            raise ValueError(f"in_channels=0 leaves no input convolution for {convolution} to shape")
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
            raise ValueError("norm='layer' over hidden_channels=1 leaves nothing of a gate; take more channels")

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        rest = [p for p in (self.bias, *self._more_parameters()) if p is not None]
        initialise(self.init, x=self.weight_x, h=self.weight_h, rest=rest, gates=self.gates)
        if self.gain is not None:
            nn.init.ones_(self.gain)
        if self.outside is not None:
            nn.init.zeros_(self.outside)

    def _more_parameters(self) -> list[Tensor | None]:
        return []

    @property
    def is_plain(self) -> bool:
        """Whether its gates are the paper's: sigmoids and tanh of a sum, and nothing between."""
        training = self.training and (self.recurrent_dropout or self.zoneout)
        names = (self.gate_activation, self.activation)
        return names == ("sigmoid", "tanh") and self.norm is None and not self.zoneout and not training

    def drive(self, x: Tensor) -> Tensor:
        """What the input adds to the gates, bias included; (frames, channel, *space) of all steps at once.

        Raises:
            ValueError: a wrong rank, channel count, dtype or device.
        """
        self.check_input(x)
        assert self.weight_x is not None  # `check_input` has refused
        return self.input_convolution(x, self.weight_x, None if self.norm else self.bias, self.outside)

    def drive_all(self, x: Tensor) -> Tensor:
        """`drive` for (time, batch, channel, *space)."""
        driven = self.drive(x.flatten(0, 1))
        return driven.reshape(*x.shape[:2], *driven.shape[1:])

    def check_input(self, x: Tensor) -> None:
        """
        Raises:
            ValueError: `x`, (frames, channel, *space), is not what this layer takes.
        """
        if self.weight_x is None:
            raise ValueError("this layer was made without input (in_channels=0) and cannot take one")
        if x.dim() != 2 + self.dims or x.shape[1] != self.in_channels:
            raise ValueError(
                f"this layer takes {self.in_channels} channels in {self.dims} dimensions, "
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

    def check_state(self, name: str, tensor: Tensor, batch: int, grid: Sequence[int] | None) -> None:
        """
        Raises:
            ValueError: one part of a state has not the shape (batch, hidden, *grid), or is of another kind.
        """
        expected = (batch, self.hidden_channels, *(tensor.shape[2:] if grid is None else grid))
        if tensor.dim() != 2 + self.dims or tuple(tensor.shape) != expected:
            raise ValueError(
                f"the state {name} must be (batch, hidden{AXES[self.dims]}) = {expected}; got {tuple(tensor.shape)}"
            )
        self.check_kind(f"the state {name}", tensor)

    def check_grid(self, grid: Sequence[int]) -> None:
        """
        Raises:
            ValueError: the state cannot have a grid of this size.
        """

    def zeros(self, batch: int, *grid: int) -> Tensor:
        """A state of nothing, (batch, hidden, *grid)."""
        return self.weight_h.new_zeros(batch, self.hidden_channels, *grid)

    def hidden_mask(self, h: Tensor) -> Tensor | None:
        """Which channels of the hidden state this sequence may see, or None for all."""
        if not (self.training and self.recurrent_dropout):
            return None
        keep = 1 - self.recurrent_dropout
        return h.new_empty(h.shape[:2]).bernoulli_(keep).div_(keep).reshape(*h.shape[:2], *[1] * self.dims)

    def step(self, driven: Tensor | None, state: Parts, mask: Tensor | None = None) -> Parts:
        """The next state from what `drive` gave for this step (None: no input); `mask` from `hidden_mask`."""
        raise NotImplementedError

    def sequence(self, x: Tensor | None, state: Parts, steps: int, mask: Tensor | None) -> tuple[Tensor, Parts]:
        """All hidden states (time, batch, hidden, *space) and the last state.

        Args:
            x: (time, batch, channel, *space) or None.
            state: to start from.
            steps: how many.
            mask: (time, batch), False where the state is to stay as it is.
        """
        if x is not None and mask is None and torch.compiler.is_exporting():
            return self._scan(x, state)
        # One convolution over all steps does not wait for the recurrence, but its result may not fit the cache.
        at_once = x is not None and (x.device.type != "cpu" or self._driven_bytes(x) <= _CACHED)
        driven = self.drive_all(x).unbind(0) if x is not None and at_once else None
        hidden, seen = [], self.hidden_mask(state[0])
        for t in range(steps):
            frame = None if x is None else self.drive(x[t]) if driven is None else driven[t]
            new = self.step(frame, state, seen)
            if mask is not None:
                shown = mask[t].reshape(-1, *[1] * (self.dims + 1))
                new = tuple(torch.where(shown, here, before) for here, before in zip(new, state, strict=True))
            state = new
            hidden.append(state[0])
        return torch.stack(hidden), state

    def _scan(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """`sequence` as one operation, so that an exported layer takes any number of steps."""
        from torch._higher_order_ops.scan import scan  # exporters know it; the module is still a private one

        def combine(carry: list[Tensor], frame: Tensor) -> tuple[list[Tensor], Tensor]:
            new = self.step(frame, tuple(carry))
            return [part.clone() for part in new], new[0].clone()

        last, hidden = scan(combine, list(state), self.drive_all(x))
        return hidden, tuple(last)

    def _driven_bytes(self, x: Tensor) -> int:
        return x.numel() // max(x.shape[2], 1) * self.gates * self.hidden_channels * x.element_size()

    def one_step(self, x: Tensor | None, state: Parts) -> Parts:
        """The next state from one frame (batch, channel, *space)."""
        return self.step(None if x is None else self.drive(x), state)

    def steps(self, state: Parts, x: Tensor | None) -> Steps | None:
        """This layer as `Steps` from `state` on, if there is a fast way to go one by one; without gradients."""
        return None

    def _zone(self, new: Tensor, old: Tensor) -> Tensor:
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
