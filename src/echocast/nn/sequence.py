"""Layers of recurrent cells over a sequence, with the contract of `torch.nn.LSTM`.

Inside, sequences are always (time, batch, channel, *space) and states a list with the tensors of each layer, direction
by direction.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

from echocast.nn import checks, fused, opaque, states, torch_internals
from echocast.nn.carried import CellState, Dropout
from echocast.nn.cell import Cell
from echocast.nn.layout import Layout, opened, restored, room, valid_steps
from echocast.nn.settings import CellSettings, LayerSettings
from echocast.nn.signatures import told_in_full
from echocast.nn.streams import StreamingLayer
from echocast.shapes import Bool, Float, Int

C = TypeVar("C", bound=Cell)

Sequences = Float[Tensor, "..."] | PackedSequence
"""(time, batch, channel, *space), batch and time the other way round with ``batch_first``, without batch, or packed."""

Lengths = Int[Tensor, "batch"] | Sequence[int]


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
    size_names: ClassVar[tuple[str, str]] = ("in_channels", "hidden_channels")
    """What the constructor calls its first two arguments."""
    fixed_options: ClassVar[Mapping[str, object]] = {}
    """Options of the cells that the constructor does not take."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        told_in_full(cls, [CellSettings, cls.cell_type] if hasattr(cls, "cell_type") else [])

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int],
        settings: LayerSettings,
        options: Mapping[str, object],
    ) -> None:
        super().__init__()
        hidden = settings.hidden_sizes(in_channels, hidden_channels)
        self.stacked = isinstance(hidden_channels, Integral)
        self.in_channels, self.hidden_channels = int(in_channels), hidden[0] if self.stacked else hidden
        self.arguments: dict[str, Any] = {
            **dict(zip(self.size_names, (self.in_channels, self.hidden_channels), strict=True)),
            **vars(settings),
            **{name: value for name, value in options.items() if name not in ("device", "dtype")},
        }
        """What this layer was made with, but for device and dtype."""
        if settings.dropout and len(hidden) == 1:
            warnings.warn(f"dropout={settings.dropout} acts between layers; there is only one", stacklevel=3)
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
            made = [self.cell_type(channels, size, **chosen) for _ in range(self.directions)]
            for cell in made:
                cell.told = opaque.told(self.cell_type, channels, size, chosen)
            cells += made
        return cells

    @property
    def num_layers(self) -> int:
        """Number of layers, directions not counted."""
        return len(self.cells) // self.directions

    @property
    def num_states(self) -> int:
        """Tensors in a layer's state: 2 for ``(h, c)``, 1 for ``h``."""
        return self.cell_type.num_states

    @property
    def dims(self) -> int:
        """Spatial dimensions."""
        return self._all_cells()[0].dims

    def reset_parameters(self) -> None:
        """Initialise the weights of all layers anew."""
        for cell in self._all_cells():
            cell.reset_parameters()

    def forward(
        self,
        x: Sequences | None,
        state: Any = None,
        steps: int | None = None,
        lengths: Lengths | None = None,
        mask: Bool[Tensor, "first second"] | None = None,
    ) -> tuple[Any, Any]:
        """The top layer's hidden states and the last state of every layer.

        Args:
            x: (time, batch, channel, *space), batch and time the other way round with ``batch_first``, without batch,
                or a `PackedSequence`; None for a first layer without input.
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
        outputs, last, layout = self._run(x, state, steps, lengths, mask, all_layers=False, wants_output=True)
        return restored(layout, outputs[-1]), self._told(last, layout)

    def all_layers(
        self,
        x: Sequences | None,
        state: Any = None,
        steps: int | None = None,
        lengths: Lengths | None = None,
        mask: Bool[Tensor, "first second"] | None = None,
    ) -> tuple[list[Any], Any]:
        """Like `forward`, with the hidden states of every layer."""
        outputs, last, layout = self._run(x, state, steps, lengths, mask, all_layers=True, wants_output=True)
        return [restored(layout, output) for output in outputs], self._told(last, layout)

    def last_state(
        self,
        x: Sequences | None,
        state: Any = None,
        steps: int | None = None,
        lengths: Lengths | None = None,
        mask: Bool[Tensor, "first second"] | None = None,
    ) -> Any:
        """The last state alone, as of an encoder: without gradients its memory does not grow with the time steps."""
        _, last, layout = self._run(x, state, steps, lengths, mask, all_layers=False, wants_output=False)
        return self._told(last, layout)

    def step(self, x: Float[Tensor, "..."] | None, state: Any = None) -> tuple[Tensor, Any]:
        """One time step: the top layer's hidden state, and the state, to be given to the next call.

        In training, every call draws its dropout anew, that of the recurrent state too; call the layer with the whole
        sequence for the same channels in every time step.

        Args:
            x: (batch, channel, *space), or without batch; None for a first layer without input.
            state: as `forward` takes and returns it; zeros if None.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional layer needs the whole sequence at once: call the layer, not its step")
        layout = Layout(x is None or x.dim() == self.dims + 2, self.batch_first)
        frame = x if x is None or layout.batched else x.unsqueeze(0)
        cells = self._all_cells()
        new: list[CellState] = []
        old = states.initial(cells, 1, state, None if frame is None else frame[None], batched=layout.batched)
        for cell, one in zip(cells, old, strict=True):
            frame = self._dropped(frame) if new else frame
            told = cell(frame, one if self.num_states > 1 else one[0])
            new.append(told if self.num_states > 1 else (told,))
            frame = new[-1][0]
        top = new[-1][0]
        return (top if layout.batched else top.squeeze(0)).contiguous(), self._told(new, layout)

    def _run(
        self,
        x: Sequences | None,
        state: Any,
        steps: int | None,
        lengths: Lengths | None,
        mask: Tensor | None,
        *,
        all_layers: bool,
        wants_output: bool,
    ) -> tuple[list[Tensor], list[CellState], Layout]:
        frames, layout, lengths = opened(x, self.dims, batch_first=self.batch_first, lengths=lengths)
        frames = None if frames is None else checks.trainable(frames)
        count = self._count(frames, state, steps)
        cells = self._all_cells()
        begin = states.initial(cells, self.directions, state, frames, batched=layout.batched)
        if count < 1 or steps not in (None, count):
            raise ValueError(
                f"the input has {count} time steps and steps={steps}; "
                "at least one time step is needed, and steps only where there is no input"
            )
        h = begin[0][0]
        valid = valid_steps(lengths, mask, steps=count, batch=h.shape[0], device=h.device, batch_first=self.batch_first)
        training = torch.is_grad_enabled() and ((frames is not None and frames.requires_grad) or _learns(self, begin))
        if not training and valid is None and not all_layers:
            streams = self._streams(frames, begin, count)
            if streams:
                output, last = _stream(streams, frames, count, wants_output=wants_output)
                return ([] if output is None else [output]), last, layout
        drawn = [cell.draw_dropout(h.shape[0]) for cell in cells]
        if training and self.gradient_checkpointing and not self.bidirectional:
            wanted = "all" if all_layers else "top" if wants_output else "none"
            outputs, last = self._in_segments(frames, begin, count, valid, drawn, wanted=wanted)
        else:
            outputs, last = self._layer_by_layer(frames, begin, count, valid, drawn)
        return outputs, last, layout

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

    def _streams(self, x: Tensor | None, begin: list[CellState], steps: int) -> list[StreamingLayer]:
        """All layers frame by frame, if each has a fast way; none where a dropout or a hook wants whole sequences."""
        cells: list[C] = self._all_cells()
        found: list[StreamingLayer] = []
        drops = self.training and (self.dropout or any(cell.input_dropout for cell in cells))
        if self.bidirectional or drops or any(torch_internals.has_hooks(cell) for cell in cells):
            return []
        with ExitStack() as stack:
            seen = x
            for cell, old in zip(cells, begin, strict=True):
                stream = cell.streaming(old, seen, steps)
                if stream is None:
                    return []
                if not found and x is not None:
                    stack.enter_context(fused.careful(x))  # what is bad in the input is bad in every layer
                    seen = x[:1, :, :1]
                found.append(stream)
        return found

    def _dropped(self, x: Tensor | None) -> Tensor | None:
        """A layer's output as the next one is given it."""
        if x is None or not (self.dropout and self.training):
            return x
        # Drawn in the order of time, batch, channel and space, however the output lies in memory.
        return F.dropout(x.contiguous(), self.dropout)

    def _layer_by_layer(
        self,
        x: Tensor | None,
        begin: list[CellState],
        steps: int,
        mask: Tensor | None,
        drawn: Sequence[Dropout | None],
    ) -> tuple[list[Tensor], list[CellState]]:
        outputs: list[Tensor] = []
        last: list[CellState] = []
        for k in range(0, len(begin), self.directions):
            x = self._dropped(x) if outputs else x
            output, final = self._call(k, x, begin, steps, mask, drawn)
            last.append(final)
            if self.bidirectional and x is not None:
                flipped = None if mask is None else mask.flip(0)
                back, final = self._call(k + 1, x.flip(0), begin, steps, flipped, drawn)
                output = torch.cat([output, back.flip(0)], dim=2)
                last.append(final)
            outputs.append(output)
            x = output
        return outputs, last

    def _call(
        self,
        k: int,
        x: Tensor | None,
        begin: list[CellState],
        steps: int,
        mask: Tensor | None,
        drawn: Sequence[Dropout | None],
    ) -> tuple[Tensor, CellState]:
        """Call a cell as a module, so that its hooks act, once for the whole sequence."""
        old = begin[k] if self.num_states > 1 else begin[k][0]
        output, last = self.cells[k](x, old, steps=steps, mask=mask, dropout=drawn[k])
        return output, last if self.num_states > 1 else (last,)

    def _in_segments(
        self,
        x: Tensor | None,
        begin: list[CellState],
        steps: int,
        mask: Tensor | None,
        drawn: Sequence[Dropout | None],
        *,
        wanted: str,
    ) -> tuple[list[Tensor], list[CellState]]:
        """`_layer_by_layer` with gradient checkpointing, a segment of time steps at a time.

        Args:
            wanted: the outputs of ``all`` layers, of the ``top`` one or of ``none``.
        """
        length = max(1, round(math.sqrt(steps)))
        kept: list[list[Tensor]] = []

        def segment(first: int, *flat: Tensor) -> tuple[list[Tensor], list[CellState]]:
            end = min(first + length, steps)
            old = [tuple(flat[k : k + self.num_states]) for k in range(0, len(flat), self.num_states)]
            part, valid = (None if t is None else t[first:end] for t in (x, mask))
            outputs, last = self._layer_by_layer(part, old, end - first, valid, drawn)
            return {"all": outputs, "top": outputs[-1:], "none": []}[wanted], last

        for first in range(0, steps, length):
            flat = [tensor for state in begin for tensor in state]
            outputs, begin = checkpoint(segment, first, *flat, use_reentrant=False)
            kept.append(outputs)
        return [torch.cat(pieces) for pieces in zip(*kept, strict=True)], begin

    def _told(self, last: list[CellState], layout: Layout) -> Any:
        return states.packed(last, batched=layout.batched, stacked=self.stacked)

    def _all_cells(self) -> list[C]:
        return list(self.cells)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        given = {name: value for name, value in self.arguments.items() if name not in self.size_names}
        shown = [f"{name}={value!r}" for name, value in given.items() if value not in (None, False, 0.0)]
        return ", ".join([str(self.in_channels), str(self.hidden_channels), *shown])

    def __prepare_scriptable__(self) -> None:
        raise NotImplementedError(
            f"torch.jit.script cannot compile a {type(self).__name__}; use torch.export.export, or torch.jit.trace for"
            " one number of time steps"
        )


def _stream(
    layers: list[StreamingLayer], x: Tensor | None, steps: int, *, wants_output: bool
) -> tuple[Tensor | None, list[CellState]]:
    """All layers time step by time step, keeping no hidden state of any but the top one."""
    output: Tensor | None = None
    for t in range(steps):
        frame = None if x is None else x[t]
        for layer in layers:
            frame = layer.advance(frame)
        if wants_output and frame is not None:
            output = room(frame, steps, x) if output is None else output
            fused.copy(output[t], frame)
    return output, [layer.state() for layer in layers]


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
