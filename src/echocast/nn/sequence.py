"""Layers of recurrent cells over a sequence, with the contract of `torch.nn.LSTM`.

Inside, sequences are always (time, batch, channel, *space) and states a list with the tensors of each layer, direction
by direction.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from echocast.nn.cell import Cell, CellState, StreamingLayer
from echocast.nn.layout import as_given, time_first, valid_steps
from echocast.nn.settings import LayerSettings

C = TypeVar("C", bound=Cell)


class RecurrentLayers(nn.Module, Generic[C]):
    """What ConvLSTM, ConvGRU and LSTM have in common.

    Args:
        in_channels: channels of the input; 0 for a first layer without input.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        settings: how the layers are stacked and run.
        options: of the cells; a list has one value for each layer.

    Raises:
        ValueError: options that do not go together, named with their values.
    """

    cell_type: ClassVar[type[Cell]]
    num_states: ClassVar[int] = 2
    """Tensors in a layer's state: 2 for ``(h, c)``, 1 for ``h``."""
    size_names: ClassVar[tuple[str, str]] = ("in_channels", "hidden_channels")
    """What the constructor calls its first two arguments."""
    fixed_options: ClassVar[Mapping[str, object]] = {}
    """Options of the cells that the constructor does not take."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int],
        settings: LayerSettings,
        options: Mapping[str, object],
    ) -> None:
        super().__init__()
        sizes = in_channels, hidden_channels if isinstance(hidden_channels, int) else list(hidden_channels)
        self.arguments: dict[str, Any] = {
            **dict(zip(self.size_names, sizes, strict=True)),
            **vars(settings),
            **{name: value for name, value in options.items() if name not in ("device", "dtype")},
        }
        """What this layer was made with, but for device and dtype."""
        hidden = settings.hidden_sizes(in_channels, hidden_channels)
        if settings.dropout and len(hidden) == 1:
            warnings.warn(f"dropout={settings.dropout} acts between layers; there is only one", stacklevel=3)
        self.in_channels, self.stacked = in_channels, isinstance(hidden_channels, int)
        self.batch_first, self.bidirectional = settings.batch_first, settings.bidirectional
        self.dropout, self.gradient_checkpointing = settings.dropout, settings.gradient_checkpointing
        self.directions = 2 if settings.bidirectional else 1
        self.cells = nn.ModuleList(self._make_cells(hidden, {**options, **self.fixed_options}))
        if self.stacked and any(_changes_size(cell) for cell in self._all_cells()[self.directions :]):
            raise ValueError(
                "with a stride or padding='valid' every layer has its own spatial size, so that the states cannot be "
                f"stacked; give hidden_channels as a list, {hidden}"
            )

    def _make_cells(self, hidden: list[int], options: Mapping[str, object]) -> list[Cell]:
        inputs = [self.in_channels, *(self.directions * size for size in hidden[:-1])]
        cells: list[Cell] = []
        for layer, (channels, size) in enumerate(zip(inputs, hidden, strict=True)):
            chosen = _of_layer(options, layer, len(hidden))
            if cells and chosen.get("spatial_size") is not None and self.in_channels:
                chosen["spatial_size"] = cells[-1].spatial_size
            cells += [self.cell_type(channels, size, **chosen) for _ in range(self.directions)]
        return cells

    @property
    def num_layers(self) -> int:
        """Number of layers, directions not counted."""
        return len(self.cells) // self.directions

    @property
    def dims(self) -> int:
        """Spatial dimensions."""
        return self._all_cells()[0].dims

    def forward(
        self,
        x: Float[Tensor, "..."] | None,
        state: Any = None,
        *,
        steps: int | None = None,
        lengths: Int[Tensor, "batch"] | None = None,
        mask: Bool[Tensor, "first second"] | None = None,
    ) -> tuple[Tensor, Any]:
        """The top layer's hidden states and the last state of every layer.

        Args:
            x: (time, batch, channel, *space), batch and time the other way round with ``batch_first``, or without
                batch; None for a first layer without input.
            state: the initial state ``(h_0, c_0)`` (``h_0`` for a ConvGRU), each (layers x directions, batch, hidden,
                *space) or a sequence of tensors; zeros if None.
            steps: number of time steps when `x` is None.
            lengths: number of time steps of each sequence of a ragged batch; after its last, a sequence keeps its
                state.
            mask: False where a time step is to be left out, (time, batch), or (batch, time) with ``batch_first``.

        Returns:
            The output, (time, batch, directions x hidden, *space) or as `x`, and the state: stacked as in
            `torch.nn.LSTM` if ``hidden_channels`` was one number, a tuple of tensors by layer if it was a sequence.
            NaN in the input spreads as far as the convolutions reach, and stays.

        Raises:
            ValueError: a wrong number of dimensions or channels, dtype, device, state or length; no time steps.
        """
        outputs, last, batched = self._run(x, state, steps, lengths, mask, all_layers=False, wants_output=True)
        return as_given(outputs[-1], batched=batched, batch_first=self.batch_first), self._pack(last, batched)

    def all_layers(
        self, x: Float[Tensor, "..."] | None, state: Any = None, *, steps: int | None = None
    ) -> tuple[list[Tensor], Any]:
        """Like `forward`, with the hidden states of every layer."""
        outputs, last, batched = self._run(x, state, steps, None, None, all_layers=True, wants_output=True)
        given = [as_given(output, batched=batched, batch_first=self.batch_first) for output in outputs]
        return given, self._pack(last, batched)

    def last_state(self, x: Float[Tensor, "..."] | None, state: Any = None, *, steps: int | None = None) -> Any:
        """The last state alone, as of an encoder: without gradients its memory does not grow with the time steps."""
        _, last, batched = self._run(x, state, steps, None, None, all_layers=False, wants_output=False)
        return self._pack(last, batched)

    def step(self, x: Float[Tensor, "..."] | None, state: Any = None) -> tuple[Tensor, Any]:
        """One time step: the top layer's hidden state, and the state, to be given to the next call.

        Args:
            x: (batch, channel, *space), or without batch; None for a first layer without input.
            state: as `forward` takes and returns it; zeros if None.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional layer needs the whole sequence at once: call the layer, not its step")
        batched = x is None or x.dim() == self.dims + 2
        frames = None if x is None else (x if batched else x.unsqueeze(0)).unsqueeze(0)
        new: list[CellState] = []
        frame = None if frames is None else frames[0]
        for cell, old in zip(self._all_cells(), self._states(state, frames, batched), strict=True):
            new.append(cell.next_state(frame, old))
            frame = new[-1][0]
        top = new[-1][0]
        return (top if batched else top.squeeze(0)), self._pack(new, batched)

    def _run(
        self,
        x: Tensor | None,
        state: Any,
        steps: int | None,
        lengths: Tensor | None,
        mask: Tensor | None,
        *,
        all_layers: bool,
        wants_output: bool,
    ) -> tuple[list[Tensor], list[CellState], bool]:
        frames, batched = (None, True) if x is None else time_first(x, self.dims, batch_first=self.batch_first)
        count = self._count(frames, state, steps)
        states = self._states(state, frames, batched)
        if count < 1 or steps not in (None, count):
            raise ValueError(
                f"the input has {count} time steps and steps={steps}; "
                "at least one time step is needed, and steps only where there is no input"
            )
        h = states[0][0]
        valid = valid_steps(lengths, mask, steps=count, batch=h.shape[0], device=h.device, batch_first=self.batch_first)
        training = torch.is_grad_enabled() and ((frames is not None and frames.requires_grad) or _learns(self, states))
        if not training and not self.bidirectional and valid is None and not all_layers:
            streams = [cell.streaming(old, frames) for cell, old in zip(self._all_cells(), states, strict=True)]
            if all(stream is not None for stream in streams):
                output, last = _stream([s for s in streams if s], frames, count, wants_output=wants_output)
                return ([] if output is None else [output]), last, batched
        if training and self.gradient_checkpointing and not self.bidirectional:
            outputs, last = self._in_segments(frames, states, count, valid, all_layers=all_layers, wants=wants_output)
        else:
            outputs, last = self._layer_by_layer(frames, states, count, valid)
        return outputs, last, batched

    def _count(self, x: Tensor | None, state: Any, steps: int | None) -> int:
        """The number of time steps."""
        if x is not None:
            return x.shape[0]
        if state is None or steps is None:
            names = "h_0" if self.num_states == 1 else "(h_0, c_0)"
            raise ValueError(
                f"without an input the initial state and the number of time steps must be given: state={names}, steps="
            )
        return steps

    def _layer_by_layer(
        self, x: Tensor | None, states: list[CellState], steps: int, mask: Tensor | None
    ) -> tuple[list[Tensor], list[CellState]]:
        outputs: list[Tensor] = []
        last: list[CellState] = []
        cells = self._all_cells()
        for k in range(0, len(cells), self.directions):
            if outputs and self.dropout and self.training:
                x = F.dropout(outputs[-1], self.dropout)
            output, final = cells[k].sequence(x, states[k], steps, mask)
            last.append(final)
            if self.bidirectional and x is not None:
                back, final = cells[k + 1].sequence(
                    x.flip(0), states[k + 1], steps, None if mask is None else mask.flip(0)
                )
                output = torch.cat([output, back.flip(0)], dim=2)
                last.append(final)
            outputs.append(output)
            x = output
        return outputs, last

    def _in_segments(
        self,
        x: Tensor | None,
        states: list[CellState],
        steps: int,
        mask: Tensor | None,
        *,
        all_layers: bool,
        wants: bool,
    ) -> tuple[list[Tensor], list[CellState]]:
        """`_layer_by_layer` with gradient checkpointing, a segment of time steps at a time."""
        length = max(1, round(math.sqrt(steps)))
        kept: list[list[Tensor]] = []

        def segment(begin: int, *flat: Tensor) -> tuple[list[Tensor], list[CellState]]:
            end = min(begin + length, steps)
            old = [tuple(flat[k : k + self.num_states]) for k in range(0, len(flat), self.num_states)]
            part = None if x is None else x[begin:end]
            outputs, last = self._layer_by_layer(part, old, end - begin, None if mask is None else mask[begin:end])
            return (outputs if all_layers else outputs[-1:] if wants else []), last

        for begin in range(0, steps, length):
            flat = [tensor for state in states for tensor in state]
            outputs, states = checkpoint(segment, begin, *flat, use_reentrant=False)
            kept.append(outputs)
        return [torch.cat(pieces) for pieces in zip(*kept, strict=True)], states

    def _states(self, state: Any, x: Tensor | None, batched: bool) -> list[CellState]:
        """The initial state of every cell, checked; zeros if `state` is None."""
        cells = self._all_cells()
        if x is not None:
            cells[0].check_input(x[0] if x.shape[0] else x.new_zeros(x.shape[1:]))
        if state is None:
            if x is None:
                raise ValueError("without an input the initial state must be given")
            return self._zero_states(x)
        given = (state,) if self.num_states == 1 else tuple(state)
        if self.num_states > 1 and len(cells) > 1:
            self._refuse_pairs(state)
        if len(given) != self.num_states or any(len(tensors) != len(cells) for tensors in given):
            names = "h_0" if self.num_states == 1 else "(h_0, c_0)"
            raise ValueError(
                f"the state must be {names} with {len(cells)} layers x directions; "
                f"got {[len(tensors) for tensors in given]}"
            )
        states = [tuple(t[k] if batched else t[k].unsqueeze(0) for t in given) for k in range(len(cells))]
        size = None if x is None else tuple(x.shape[3:])
        for k, (cell, tensors) in enumerate(zip(cells, states, strict=True)):
            if size is not None and k % self.directions == 0:
                size = cell.input_convolution.output_size(size)
            cell.check_spatial_size(tensors[0].shape[2:])
            for name, tensor in zip("hc", tensors, strict=False):
                batch = tensors[0].shape[0] if x is None else x.shape[1]
                cell.check_state(f"{name} of layer {k}", tensor, batch, size)
        return states

    def _refuse_pairs(self, state: Any) -> None:
        """Raise for what may be a list of ``(h, c)`` by layer, as other packages have it, and not ``(h_0, c_0)``."""
        pairs = isinstance(state, list) or len(state) != self.num_states
        by_layer = len(state) == len(self.cells) and all(
            not isinstance(one, Tensor) and len(one) == self.num_states for one in state
        )
        if pairs and by_layer:
            raise ValueError(
                f"the state is a {type(state).__name__} of {len(state)} pairs, which may be (h, c) by layer; give the"
                " tuple (h_0, c_0), each with all layers: tuple(zip(*pairs)) turns (h, c) by layer into it"
            )

    def _zero_states(self, x: Tensor) -> list[CellState]:
        states: list[CellState] = []
        size = tuple(x.shape[3:])
        for k, cell in enumerate(self._all_cells()):
            if k % self.directions == 0:
                size = cell.input_convolution.output_size(size)
            cell.check_spatial_size(size)
            states.append(tuple(cell.zeros(x.shape[1], *size) for _ in range(self.num_states)))
        return states

    def _pack(self, states: list[CellState], batched: bool) -> Any:
        """The state of every cell as the user gets it."""
        given = [[t if batched else t.squeeze(0) for t in tensors] for tensors in zip(*states, strict=True)]
        packed = tuple(torch.stack(tensors) if self.stacked else tuple(tensors) for tensors in given)
        return packed[0] if self.num_states == 1 else packed

    def _all_cells(self) -> list[C]:
        return list(self.cells)  # type: ignore[arg-type]


def _stream(
    layers: list[StreamingLayer], x: Tensor | None, steps: int, *, wants_output: bool
) -> tuple[Tensor | None, list[CellState]]:
    """All layers time step by time step, keeping no hidden state of any but the top one."""
    outputs = []
    for t in range(steps):
        frame = None if x is None else x[t]
        for layer in layers:
            frame = layer.advance(frame)
        if wants_output and frame is not None:
            outputs.append(frame.clone())
    return (torch.stack(outputs) if wants_output else None), [layer.state() for layer in layers]


def _learns(layer: nn.Module, states: list[CellState]) -> bool:
    return any(p.requires_grad for p in layer.parameters()) or any(t.requires_grad for s in states for t in s)


def _changes_size(cell: Cell) -> bool:
    size = (99,) * cell.dims
    return not cell.input_convolution.is_default and cell.input_convolution.output_size(size) != size


def _of_layer(options: Mapping[str, object], layer: int, layers: int) -> dict[str, Any]:
    chosen = {}
    for name, value in options.items():
        if isinstance(value, list):
            if len(value) != layers:
                raise ValueError(f"{name}={value} has {len(value)} values for {layers} layers")
            value = value[layer]
        chosen[name] = value
    return chosen
