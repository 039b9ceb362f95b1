"""Layers of recurrent cells over a sequence, with the contract of `torch.nn.LSTM`.

Inside, sequences are always (time, batch, channel, *space) and states a list with the parts of each layer, direction by
direction.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from echocast.nn.cell import AXES, Cell, Parts, Steps

C = TypeVar("C", bound=Cell)


class RecurrentLayers(nn.Module, Generic[C]):
    """What ConvLSTM, ConvGRU and LSTM have in common; see `ConvLSTM` for the arguments."""

    parts = 2
    """Tensors in a layer's state."""

    def __init__(
        self,
        cell: Callable[..., C],
        in_channels: int,
        hidden_channels: int | Sequence[int],
        *,
        num_layers: int | None,
        batch_first: bool,
        bidirectional: bool,
        dropout: float,
        recompute: bool,
        options: Mapping[str, object],
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            **{name: value for name, value in options.items() if name not in ("device", "dtype")},
            "in_channels": in_channels,
            "hidden_channels": hidden_channels if isinstance(hidden_channels, int) else list(hidden_channels),
            "num_layers": num_layers,
            "batch_first": batch_first,
            "bidirectional": bidirectional,
            "dropout": dropout,
            "recompute": recompute,
        }
        """What this layer was made with, but for device and dtype."""
        hidden = [hidden_channels] * (num_layers or 1) if isinstance(hidden_channels, int) else list(hidden_channels)
        if not hidden or (num_layers is not None and num_layers != len(hidden)):
            raise ValueError(f"hidden_channels={hidden} gives {len(hidden)} layers and num_layers={num_layers}")
        if bidirectional and in_channels == 0:
            raise ValueError("bidirectional=True needs an input: a layer with in_channels=0 has no end to begin from")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be in [0, 1]; got {dropout}")
        if dropout and len(hidden) == 1:
            warnings.warn(f"dropout={dropout} acts between layers, and there is only one", UserWarning, stacklevel=3)
        self.in_channels, self.batch_first, self.bidirectional = in_channels, batch_first, bidirectional
        self.dropout, self.recompute, self.stacked = dropout, recompute, isinstance(hidden_channels, int)
        self.directions = 2 if bidirectional else 1
        inputs = [in_channels, *(self.directions * n for n in hidden[:-1])]
        cells: list[C] = []
        for layer, (here, size) in enumerate(zip(inputs, hidden, strict=True)):
            chosen = _of_layer(options, layer, len(hidden))
            if layer and chosen.get("grid") is not None and in_channels:
                chosen["grid"] = cells[-1].grid
            cells += [cell(here, size, **chosen) for _ in range(self.directions)]
        self.cells = nn.ModuleList(cells)
        shrinks = any(not c.input_convolution.is_plain and _changes_grid(c) for c in cells[self.directions :])
        if self.stacked and shrinks:
            raise ValueError(
                "a stride or padding='valid' gives every layer a grid of its own, so that their states cannot be "
                f"stacked; give hidden_channels as a list, {hidden}"
            )

    @property
    def num_layers(self) -> int:
        """Layers, directions not counted."""
        return len(self.cells) // self.directions

    @property
    def dims(self) -> int:
        """Dimensions of space."""
        return self._cell(0).dims

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
            state: ``(h_0, c_0)`` (``h_0`` for a ConvGRU), each (layers x directions, batch, hidden, *space) or a
                sequence of tensors; zeros if None.
            steps: how many steps to make when `x` is None.
            lengths: steps of each sequence of a ragged batch; after its last, a sequence keeps its state.
            mask: False where a step is to be left out, (time, batch), or (batch, time) with ``batch_first``.

        Returns:
            The output, (time, batch, directions x hidden, *space) or as `x`, and the state: stacked as in
            `torch.nn.LSTM` if ``hidden_channels`` was one number, a tuple of tensors by layer if it was a sequence.
            NaN in the input spreads as far as the convolutions reach, and stays.

        Raises:
            ValueError: a wrong rank, channel count, dtype, device, state or length; no steps.
        """
        outputs, last, batched = self._run(x, state, steps, lengths, mask, all_layers=False, wants_output=True)
        return self._outside(outputs[-1], batched), self._pack(last, batched)

    def layers(
        self, x: Float[Tensor, "..."] | None, state: Any = None, *, steps: int | None = None
    ) -> tuple[list[Tensor], Any]:
        """Like `forward`, with the hidden states of every layer."""
        outputs, last, batched = self._run(x, state, steps, None, None, all_layers=True, wants_output=True)
        return [self._outside(output, batched) for output in outputs], self._pack(last, batched)

    def last_state(self, x: Float[Tensor, "..."] | None, state: Any = None, *, steps: int | None = None) -> Any:
        """The state alone, as of an encoder: without gradients its memory does not grow with the steps."""
        _, last, batched = self._run(x, state, steps, None, None, all_layers=False, wants_output=False)
        return self._pack(last, batched)

    def step(self, x: Float[Tensor, "..."] | None, state: Any = None) -> tuple[Tensor, Any]:
        """One frame: the top layer's hidden state and the state, to be given to the next call.

        Args:
            x: (batch, channel, *space), or without batch; None for a first layer without input.
            state: as `forward` takes and returns it; zeros if None.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional layer cannot go step by step: it begins at both ends")
        batched = x is None or x.dim() == self.dims + 2
        frames = None if x is None else (x if batched else x.unsqueeze(0)).unsqueeze(0)
        states = self._states(state, frames, batched)
        new = []
        below = None if frames is None else frames[0]
        for cell, parts in zip(self._all_cells(), states, strict=True):
            new.append(cell.one_step(below, parts))
            below = new[-1][0]
        assert below is not None  # there is at least one layer
        return (below if batched else below.squeeze(0)), self._pack(new, batched)

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
    ) -> tuple[list[Tensor], list[Parts], bool]:
        frames, batched = self._inside(x)
        if frames is None and (state is None or steps is None):
            raise ValueError("a sequence without input needs a state to start from and a number of steps")
        states = self._states(state, frames, batched)
        count = steps if frames is None else frames.shape[0]
        assert count is not None  # refused above
        if count < 1 or (frames is not None and steps not in (None, count)):
            raise ValueError(
                f"an input of {count} steps and steps={steps}; at least one is needed, and no other number"
            )
        shown = self._mask(lengths, mask, count, states[0][0])
        cells = self._all_cells()
        training = torch.is_grad_enabled() and ((frames is not None and frames.requires_grad) or _learns(self, states))
        if not training and not self.bidirectional and shown is None and not all_layers:
            streams = [cell.steps(parts, frames) for cell, parts in zip(cells, states, strict=True)]
            if all(stream is not None for stream in streams):
                output, last = _stream([s for s in streams if s], frames, count, wants_output=wants_output)
                return ([] if output is None else [output]), last, batched
        if training and self.recompute and not self.bidirectional:
            outputs, last = self._in_segments(frames, states, count, shown, all_layers=all_layers, wants=wants_output)
        else:
            outputs, last = self._layer_by_layer(frames, states, count, shown)
        return outputs, last, batched

    def _layer_by_layer(
        self, x: Tensor | None, states: list[Parts], steps: int, mask: Tensor | None
    ) -> tuple[list[Tensor], list[Parts]]:
        outputs: list[Tensor] = []
        last: list[Parts] = []
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
        self, x: Tensor | None, states: list[Parts], steps: int, mask: Tensor | None, *, all_layers: bool, wants: bool
    ) -> tuple[list[Tensor], list[Parts]]:
        length = max(1, round(math.sqrt(steps)))
        kept: list[list[Tensor]] = []

        def segment(begin: int, *flat: Tensor) -> tuple[list[Tensor], list[Parts]]:
            end = min(begin + length, steps)
            parts = [tuple(flat[k : k + self.parts]) for k in range(0, len(flat), self.parts)]
            part = None if x is None else x[begin:end]
            outputs, last = self._layer_by_layer(part, parts, end - begin, None if mask is None else mask[begin:end])
            return (outputs if all_layers else outputs[-1:] if wants else []), last

        for begin in range(0, steps, length):
            flat = [part for parts in states for part in parts]
            outputs, states = checkpoint(segment, begin, *flat, use_reentrant=False)
            kept.append(outputs)
        return [torch.cat(pieces) for pieces in zip(*kept, strict=True)], states

    def _inside(self, x: Tensor | None) -> tuple[Tensor | None, bool]:
        if x is None:
            return None, True
        batched = x.dim() == self.dims + 3
        if not batched and x.dim() != self.dims + 2:
            order = "batch, time" if self.batch_first else "time, batch"
            raise ValueError(
                f"the input must be ({order}, channel{AXES[self.dims]}), or the same without batch; "
                f"got {tuple(x.shape)}"
            )
        if not batched:
            return x.unsqueeze(1), False
        return (x.transpose(0, 1) if self.batch_first else x), True

    def _outside(self, output: Tensor, batched: bool) -> Tensor:
        if not batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output

    def _states(self, state: Any, x: Tensor | None, batched: bool) -> list[Parts]:
        cells = self._all_cells()
        if x is not None:
            cells[0].check_input(x[0] if x.shape[0] else x.new_zeros(x.shape[1:]))
        if state is None:
            if x is None:
                raise ValueError("a step without input needs a state to start from")
            states: list[Parts] = []
            grid: tuple[int, ...] | None = tuple(x.shape[3:])
            for k, cell in enumerate(cells):
                if k % self.directions == 0:
                    grid = cell.input_convolution.grid(grid or ())
                cell.check_grid(grid or ())
                states.append(tuple(cell.zeros(x.shape[1], *(grid or ())) for _ in range(self.parts)))
            return states
        given = (state,) if self.parts == 1 else tuple(state)
        if len(given) != self.parts or any(len(part) != len(cells) for part in given):
            names = "h_0" if self.parts == 1 else "(h_0, c_0)"
            raise ValueError(
                f"the state must be {names} with {len(cells)} layers x directions; got {[len(part) for part in given]}"
            )
        states = [tuple(part[k] if batched else part[k].unsqueeze(0) for part in given) for k in range(len(cells))]
        grid = None if x is None else tuple(x.shape[3:])
        for k, (cell, parts) in enumerate(zip(cells, states, strict=True)):
            if grid is not None and k % self.directions == 0:
                grid = cell.input_convolution.grid(grid)
            cell.check_grid(parts[0].shape[2:])
            for name, part in zip("hc", parts, strict=False):
                cell.check_state(f"{name} of layer {k}", part, parts[0].shape[0] if x is None else x.shape[1], grid)
        return states

    def _pack(self, states: list[Parts], batched: bool) -> Any:
        parts = [[p if batched else p.squeeze(0) for p in part] for part in zip(*states, strict=True)]
        packed = tuple(torch.stack(part) if self.stacked else tuple(part) for part in parts)
        return packed[0] if self.parts == 1 else packed

    def _mask(self, lengths: Tensor | None, mask: Tensor | None, steps: int, example: Tensor) -> Tensor | None:
        batch = example.shape[0]
        if lengths is not None and mask is not None:
            raise ValueError("give lengths or a mask, not both")
        if lengths is not None:
            if lengths.shape != (batch,) or int(lengths.min()) < 1 or int(lengths.max()) > steps:
                raise ValueError(f"lengths must be {batch} numbers between 1 and {steps}; got {lengths.tolist()}")
            return torch.arange(steps, device=example.device)[:, None] < lengths.to(example.device)
        if mask is None:
            return None
        shown = mask.transpose(0, 1) if self.batch_first else mask
        if shown.shape != (steps, batch):
            order = "(batch, time)" if self.batch_first else "(time, batch)"
            raise ValueError(
                f"the mask must be {order} for {batch} sequences of {steps} steps; got {tuple(mask.shape)}"
            )
        return shown

    def _all_cells(self) -> list[C]:
        return list(self.cells)  # type: ignore[arg-type]

    def _cell(self, k: int) -> C:
        return self.cells[k]  # type: ignore[return-value]


def _stream(
    layers: list[Steps], x: Tensor | None, steps: int, *, wants_output: bool
) -> tuple[Tensor | None, list[Parts]]:
    """All layers step by step, keeping no frame of any but the top one."""
    outputs = []
    for t in range(steps):
        below = None if x is None else x[t]
        for layer in layers:
            below = layer.advance(below)
        if wants_output:
            assert below is not None  # there is at least one layer
            outputs.append(below.clone())
    return (torch.stack(outputs) if wants_output else None), [layer.state() for layer in layers]


def _learns(layer: nn.Module, states: list[Parts]) -> bool:
    return any(p.requires_grad for p in layer.parameters()) or any(p.requires_grad for s in states for p in s)


def _changes_grid(cell: Cell) -> bool:
    size = (99,) * cell.dims
    return cell.input_convolution.grid(size) != size


def _of_layer(options: Mapping[str, object], layer: int, layers: int) -> dict[str, Any]:
    chosen = {}
    for name, value in options.items():
        if isinstance(value, list):
            if len(value) != layers:
                raise ValueError(f"{name}={value} has {len(value)} values for {layers} layers")
            value = value[layer]
        chosen[name] = value
    return chosen
