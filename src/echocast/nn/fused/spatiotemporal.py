"""Layers of spatiotemporal LSTMs on the CPU, time step by time step.

What input, hidden state and memory give the gates is two convolutions in place of three, and all weights are prepared
once for all time steps; see `repeated`.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from echocast.nn.fused.repeated import Convolution, prepare

if TYPE_CHECKING:
    from echocast.nn.stlstm import STLSTM, STLSTMCell


class _Prepared(NamedTuple):
    """The convolutions of a layer: of input and hidden state, of input and memory, of both memories."""

    hidden: Convolution
    memory: Convolution
    shown: Convolution


class Stepper:
    """The layers for frames of one size.

    Args:
        layers: 32-bit, without layer normalisation.
        space: rows and columns.
    """

    def __init__(self, layers: "STLSTM", space: tuple[int, int]) -> None:
        self._cells: list[STLSTMCell] = list(layers.cells)  # type: ignore[arg-type]  # they are
        self._prepared = [_prepared(cell, space) for cell in self._cells]

    def __call__(
        self, x: Tensor, state: tuple[list[Tensor], list[Tensor], Tensor] | None
    ) -> tuple[Tensor, tuple[list[Tensor], list[Tensor], Tensor]]:
        """The top layer's hidden state and the state, to be given to the next call; None before the first."""
        if state is None:
            zero = x.new_zeros(len(x), self._cells[0].hidden_channels, *x.shape[2:])
            state = [zero] * len(self._cells), [zero] * len(self._cells), zero
        (h, c, m), hidden, cells = state, [], []
        for n, (cell, own) in enumerate(zip(self._cells, self._prepared, strict=True)):
            gates, keep, f = own.hidden(x, h[n]), cell.kept, cell.hidden_channels
            new, m = keep(gates[:, : 3 * f], c[n]), keep(own.memory(x, m), m)
            x = torch.sigmoid(gates[:, 3 * f :] + own.shown(new, m)) * torch.tanh(cell.last(torch.cat([new, m], dim=1)))
            hidden.append(x)
            cells.append(new)
        return x, (hidden, cells, m)


def _prepared(cell: "STLSTMCell", space: tuple[int, int]) -> _Prepared:
    of_c, of_m, of_o = torch.split(cell.x.weight, [3 * cell.hidden_channels] * 2 + [cell.hidden_channels])
    hidden = torch.cat([torch.cat([of_c, of_o]), cell.h.weight], dim=1)
    memory = torch.cat([of_m, cell.m.weight], dim=1)
    biases: tuple[Tensor | None, Tensor | None] = None, None
    if cell.x.bias is not None:
        c, m, o = torch.split(cell.x.bias, [3 * cell.hidden_channels] * 2 + [cell.hidden_channels])
        biases = torch.cat([c, o]), m
    return _Prepared(
        prepare(hidden, biases[0], space=space),
        prepare(memory, biases[1], space=space),
        prepare(cell.o.weight, None, space=space),
    )
