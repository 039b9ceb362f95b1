"""What ConvLSTM and ConvGRU cells have in common: their parameters, and how they are called.

A cell computes its gates in two parts: `Cell.input_gates` is what the input adds to them, for all time steps at once;
`Cell.update` adds what the hidden state gives, time step by time step.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from echocast.nn import checks, fused, opaque, torch_internals
from echocast.nn.activations import activation as activation_of
from echocast.nn.carried import CellState, CellWeights, Dropout
from echocast.nn.convolution import normalise
from echocast.nn.fused.weights import GATES
from echocast.nn.initialisers import initialise
from echocast.nn.options import CellOptions
from echocast.nn.settings import CellSettings
from echocast.nn.signatures import told_in_full
from echocast.nn.streams import FusedLayer, StreamingLayer
from echocast.shapes import Bool, Float

_CACHED = 4 << 20
"""Bytes of gates that still fit a processor's cache."""


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
    num_states: ClassVar[int] = 2
    """Tensors of the state: 2 for ``(h, c)``, 1 for ``h``."""
    fuses_tiles_only: ClassVar[bool] = False
    """Whether the fused path gains by Winograd's filtering alone."""
    told: str | None = None
    """This cell's settings for `opaque.sequence`; None for a cell outside of a layer."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        told_in_full(cls, [CellSettings])

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
        self.norm, self.norm_groups, self.zoneout = chosen.norm, chosen.norm_groups, chosen.zoneout
        self.input_dropout, self.recurrent_dropout = chosen.input_dropout, chosen.recurrent_dropout
        checks.options(self)

        kind: dict[str, Any] = {"device": chosen.device, "dtype": chosen.dtype}
        gates, share = self.gates * hidden_channels, in_channels // chosen.groups
        self.weight_x = (
            nn.Parameter(torch.empty(gates, share, *self.input_convolution.kernel, **kind)) if in_channels else None
        )
        share = hidden_channels // chosen.state_groups
        self.weight_h = nn.Parameter(torch.empty(gates, share, *self.state_convolution.kernel, **kind))
        self.bias = nn.Parameter(torch.empty(gates, **kind)) if chosen.bias else None
        self.gain = nn.Parameter(torch.empty(gates, **kind)) if chosen.norm else None
        learned = chosen.padding_mode == "learned" and in_channels and self.input_convolution.pads
        self.learned_padding = nn.Parameter(torch.empty(in_channels, **kind)) if learned else None
        self.register_load_state_dict_pre_hook(_without_unused_padding)  # type: ignore[no-untyped-call]

    def reset_parameters(self) -> None:
        """Initialise the weights anew."""
        weights = self.weights()
        rest = [p for p in (weights.bias, weights.own) if p is not None]
        initialise(self.init, x=weights.x, h=weights.h, rest=rest, gates=self.gates)
        if weights.gain is not None:
            nn.init.ones_(weights.gain)
        if weights.learned_padding is not None:
            nn.init.zeros_(weights.learned_padding)

    def weights(self) -> CellWeights:
        """The parameters as they are now."""
        return CellWeights(self.weight_x, self.weight_h, self.bias, self.gain, self.learned_padding, self._own())

    def _own(self) -> Tensor | None:
        """The parameter that only this kind of cell has."""
        raise NotImplementedError

    @property
    def uses_standard_gates(self) -> bool:
        """Whether the gates are the paper's, or have a hard sigmoid: of a sum, the candidate with tanh, without
        normalisation, dropout or zoneout."""
        regularised = self.zoneout or (self.training and self.recurrent_dropout)
        known = self.gate_activation in GATES and self.activation == "tanh"
        return known and self.norm is None and not regularised

    def forward(
        self,
        x: Float[Tensor, "..."] | None,
        state: Any = None,
        *,
        steps: int | None = None,
        mask: Bool[Tensor, "time batch"] | None = None,
        dropout: Dropout | None = None,
    ) -> Any:
        """The next state: ``(h, c)``, or ``h`` for a ConvGRU.

        A layer calls its cells once for a whole sequence, with `steps`. Forward hooks, pruning, weight and spectral
        normalisation of a cell act then, once per sequence.

        Args:
            x: the input, (batch, channel, *space); None for a layer without input.
            state: the old state; zeros if None.
            steps: compute so many time steps from `x`, (time, batch, channel, *space), and give the hidden states of
                all of them before the last state.
            mask: with `steps`, (time, batch): False where the state is to stay as it is.
            dropout: from `draw_dropout`, to use the same in several calls; None draws anew in training.

        Raises:
            ValueError: a wrong number of dimensions or channels, dtype or device; no state and no input.
        """
        weights = self.weights()
        frames = x[None] if x is not None and steps is None else x
        old = checks.cell_state(self, frames, state)
        dropout = dropout or self.draw_dropout(old[0].shape[0])
        if dropout is not None and dropout.x is not None and frames is not None:
            frames = frames * dropout.x
        if steps is not None:
            if opaque.takes(self, frames, old, steps):
                hidden, last = opaque.sequence(self, frames, old, steps, mask, dropout, weights)
            else:
                hidden, last = self._sequence(frames, old, steps, mask, dropout, weights)
            return hidden, self._told(last)
        frame = None if frames is None else frames[0]
        drops = dropout is not None and dropout.h is not None
        stream = None if drops or torch.is_grad_enabled() else self.streaming(old, frames, 1)
        if stream is not None:
            stream.advance(frame)
            return self._told(stream.state())
        x_gates = None if frame is None else self.input_gates(frame, weights)
        return self._told(self.update(x_gates, old, weights, dropout))

    def _told(self, state: CellState) -> Any:
        return state[0] if self.num_states == 1 else state

    def input_gates(self, x: Tensor, weights: CellWeights | None = None) -> Tensor:
        """What the input adds to the gates, bias included, (frames, gates x hidden, *space).

        Args:
            x: (frames, channel, *space), of any number of time steps.
            weights: of this cell; its own as they are now if None.

        Raises:
            ValueError: a wrong number of dimensions or channels, dtype or device.
        """
        checks.cell_input(self, x)
        return self.unchecked_input_gates(x, weights or self.weights())

    def unchecked_input_gates(self, x: Tensor, weights: CellWeights) -> Tensor:
        """`input_gates` of what was checked."""
        if weights.x is None:
            raise ValueError(checks.NO_INPUT)
        bias = None if self.norm else weights.bias
        return self.input_convolution(x, weights.x, bias, weights.learned_padding)

    def all_input_gates(self, x: Tensor, weights: CellWeights) -> Tensor:
        """`input_gates` for (time, batch, channel, *space)."""
        gates = self.input_gates(x.flatten(0, 1), weights)
        return gates.reshape(*x.shape[:2], *gates.shape[1:])

    def draw_dropout(self, batch: int) -> Dropout | None:
        """Dropout of the input's and the hidden state's channels, for all time steps of a sequence; None without."""
        if not (self.training and (self.recurrent_dropout or self.input_dropout)):
            return None
        x = self._factors(self.input_dropout, batch, self.in_channels)
        return Dropout(x, self._factors(self.recurrent_dropout, batch, self.hidden_channels))

    def _factors(self, share: float, batch: int, channels: int) -> Tensor | None:
        if not share or not channels:
            return None
        keep, like = 1 - share, checks.like(self)
        drawn = torch.empty(batch, channels, device=like.device, dtype=like.dtype).bernoulli_(keep).div_(keep)
        return drawn.reshape(batch, channels, *[1] * self.dims)

    def zeros(self, batch: int, *size: int) -> Tensor:
        """One tensor of a state of zeros, (batch, hidden, *size)."""
        like = checks.like(self)
        return torch.zeros(batch, self.hidden_channels, *size, device=like.device, dtype=like.dtype)

    def check_spatial_size(self, size: Sequence[int]) -> None:
        """
        Raises:
            ValueError: the state cannot have this spatial size.
        """

    def update(
        self, x_gates: Tensor | None, state: CellState, weights: CellWeights, dropout: Dropout | None = None
    ) -> CellState:
        """The next state.

        Args:
            x_gates: what `input_gates` gave for this time step; None without input.
            state: the old one.
            weights: from `weights`.
            dropout: from `draw_dropout`.
        """
        raise NotImplementedError

    def _sequence(
        self,
        x: Tensor | None,
        state: CellState,
        steps: int,
        mask: Tensor | None,
        dropout: Dropout | None,
        weights: CellWeights,
    ) -> tuple[Tensor, CellState]:
        """All hidden states (time, batch, hidden, *space) and the last state."""
        dropped = dropout is not None and dropout.h is not None
        if mask is not None or dropped or not self._fuses(x, state, weights, steps):
            return self._plain_sequence(x, state, steps, mask, dropout, weights)
        with fused.careful(x, state[0]):
            layer = self._fused_layer(state, weights)
            x_gates = None if x is None or layer.joins else partial(self.all_input_gates, x, weights)
            output, *last = layer.sequence(x, x_gates, steps)
        return output, tuple(last)

    def _plain_sequence(
        self,
        x: Tensor | None,
        state: CellState,
        steps: int,
        mask: Tensor | None,
        dropout: Dropout | None,
        weights: CellWeights,
    ) -> tuple[Tensor, CellState]:
        """`_sequence` in single operations."""
        if x is not None and torch_internals.is_exporting():
            scan = torch_internals.scan()
            if scan is not None:
                return self._scan(scan, x, state, mask, dropout, weights)
        # One convolution over all time steps does not wait for the recurrence, but its result may not fit the cache.
        at_once = x is not None and (x.device.type != "cpu" or self._gate_bytes(x) <= _CACHED)
        # What is unbound has a fixed number of time steps in a trace, which then refuses another.
        x_gates = self.all_input_gates(x, weights).unbind(0) if x is not None and at_once else None
        frames = None if x is None else x.unbind(0)
        hidden = []
        for t in range(steps):
            frame = x_gates[t] if x_gates else None if frames is None else self.input_gates(frames[t], weights)
            new = self.update(frame, state, weights, dropout)
            state = new if mask is None else self._where(mask[t], new, state)
            hidden.append(state[0])
        return torch.stack(hidden), state

    def _scan(
        self,
        scan: Callable[..., Any],
        x: Tensor,
        state: CellState,
        mask: Tensor | None,
        dropout: Dropout | None,
        weights: CellWeights,
    ) -> tuple[Tensor, CellState]:
        """`_plain_sequence` as one operation, so that an exported layer takes any number of time steps.

        In evaluation mode without gradients: the derivative of a scan is what the ONNX exporter cannot decompose.
        """
        if not self.training:
            # Still parameters: of other tensors, the exporter takes sizes that it has seen change for variable.
            kept = [None if w is None else nn.Parameter(w.detach(), requires_grad=False) for w in weights]
            weights = CellWeights(*kept)  # type: ignore[arg-type]  # mypy does not see which are None
            x, state = x.detach(), tuple(t.detach() for t in state)

        def combine(carry: list[Tensor], here: list[Tensor]) -> tuple[list[Tensor], Tensor]:
            old = tuple(carry)
            new = self.update(here[0], old, weights, dropout)
            new = new if mask is None else self._where(here[1], new, old)
            return [tensor.clone() for tensor in new], new[0].clone()

        x_gates = self.all_input_gates(x, weights)
        last, hidden = scan(combine, list(state), [x_gates] if mask is None else [x_gates, mask])
        return hidden, tuple(last)

    def _where(self, valid: Tensor, new: CellState, old: CellState) -> CellState:
        valid = valid.reshape(-1, *[1] * (self.dims + 1))
        return tuple(torch.where(valid, here, before) for here, before in zip(new, old, strict=True))

    def _gate_bytes(self, x: Tensor) -> int:
        return x.numel() // max(x.shape[2], 1) * self.gates * self.hidden_channels * x.element_size()

    def fuses_when_run(self, x: Tensor | None, state: CellState) -> bool:
        """Whether this cell would have a fast way for such a sequence if no compiler were at work."""
        weights = self.weights()
        of_kind = state[0].device.type == "cpu" and weights.h.dtype in (torch.float32, torch.bfloat16)
        return (
            of_kind and self._has_a_fused_form(state, weights) and self._products(state, weights) >= fused.MIN_PRODUCTS
        )

    def streaming(self, state: CellState, x: Tensor | None, steps: int) -> StreamingLayer | None:
        """This layer from `state` on, frame by frame, if there is a fast way for inputs like `x`; without gradients.

        Args:
            state: the initial one.
            x: (time, batch, channel, *space), all that will come or a part of it, or None without input.
            steps: number of time steps that will come.
        """
        weights = self.weights()
        if not self._fuses(x, state, weights, steps):
            return None
        with fused.careful(x, state[0]):
            return self._fused_layer(state, weights).streaming(
                None if x is None else lambda frame: self.input_gates(frame, weights)
            )

    def _fuses(self, x: Tensor | None, state: CellState, weights: CellWeights, steps: int) -> bool:
        space, kernel = state[0].shape[2:], weights.h.shape[2:]
        if not self._has_a_fused_form(state, weights):
            return False
        learns = torch.is_grad_enabled()
        if not fused.gains(kernel, space, learns=learns, tiles_only=self.fuses_tiles_only):
            return False
        products = fused.gained(self._products(state, weights), kernel, space, steps, learns=learns)
        return fused.takes(*weights, *state, x, products=products)

    def _has_a_fused_form(self, state: CellState, weights: CellWeights) -> bool:
        """Whether the fused path knows such a cell, whatever its size."""
        return False

    def _fused_layer(self, state: CellState, weights: CellWeights) -> FusedLayer:
        """This cell for the fused path; to be called only where `_fuses` says so."""
        raise NotImplementedError

    def _products(self, state: CellState, weights: CellWeights) -> int:
        """Multiplications per time step."""
        h, of_input = state[0], 0 if weights.x is None else weights.x.numel()
        return int(h.shape[0] * math.prod(h.shape[2:]) * (weights.h.numel() + of_input))

    @property
    def _joins_input(self) -> bool:
        """Whether one convolution can serve input and state."""
        convolution = self.input_convolution
        return convolution.is_default and convolution.kernel == self.state_convolution.kernel

    def _zoneout(self, new: Tensor, old: Tensor) -> Tensor:
        if not self.zoneout:
            return new
        if self.training:
            return torch.where(torch.rand_like(new) < self.zoneout, old, new)
        return self.zoneout * old + (1 - self.zoneout) * new

    def _state_gates(self, h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.state_convolution(h, weight, bias)

    def _normalised(self, gates: Tensor, weights: CellWeights, part: slice = slice(None)) -> Tensor:
        """The gates, or a `part` of their channels, normalised if this layer does so."""
        if weights.gain is None or self.norm is None:
            return gates
        count = gates.shape[1] // self.hidden_channels
        gates = normalise(gates, count, self.norm, self.norm_groups) * self._over_space(weights.gain[part])
        return gates if weights.bias is None else gates + self._over_space(weights.bias[part])

    def _over_space(self, channels: Tensor) -> Tensor:
        return channels.reshape(-1, *[1] * self.dims)

    def extra_repr(self) -> str:
        kernel = "x".join(map(str, self.input_convolution.kernel)) or "none"
        state = "x".join(map(str, self.state_convolution.kernel)) or "none"
        return f"{self.in_channels}, {self.hidden_channels}, input_kernel={kernel}, state_kernel={state}"


def _without_unused_padding(cell: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Leave out what cells whose input convolution pads nothing had until version 0.1, and never used."""
    if getattr(cell, "learned_padding", None) is None and not getattr(cell, "input_convolution").pads:  # noqa: B009
        weights.pop(f"{prefix}learned_padding", None)
