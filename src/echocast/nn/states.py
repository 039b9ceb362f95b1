"""States as users give them, ``(h_0, c_0)`` of all layers, and as layers compute with them, one by one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from echocast.nn import checks
from echocast.nn.carried import CellState
from echocast.nn.cell import Cell


def initial(cells: Sequence[Cell], directions: int, state: Any, x: Tensor | None, *, batched: bool) -> list[CellState]:
    """The initial state of every cell, checked; zeros if `state` is None.

    Args:
        cells: layer by layer, and direction by direction.
        directions: cells of one layer.
        state: what the user gave.
        x: the input, (time, batch, channel, *space).
        batched: whether the user's tensors have a batch.

    Raises:
        ValueError: a state that does not fit layers or input, or none and no input.
    """
    count = cells[0].num_states
    if x is not None:
        checks.cell_input(cells[0], x[0] if x.shape[0] else x.new_zeros(x.shape[1:]))
    if state is None:
        if x is None:
            raise ValueError("without an input the initial state must be given")
        return _zeros(cells, directions, x)
    given = (state,) if count == 1 else tuple(state)
    if count > 1 and len(cells) > 1:
        _refuse_pairs(state, layers=len(cells), count=count)
    if len(given) != count or any(len(tensors) != len(cells) for tensors in given):
        names = "h_0" if count == 1 else "(h_0, c_0)"
        found = [len(tensors) for tensors in given]
        raise ValueError(f"the state must be {names} with {len(cells)} layers x directions; got {found}")
    states = []
    size = None if x is None else tuple(x.shape[3:])
    for k, cell in enumerate(cells):
        if size is not None and k % directions == 0:
            size = cell.input_convolution.output_size(size)
        tensors = [one[k] for one in given]
        for name, tensor in zip("hc", tensors, strict=False):
            if not isinstance(tensor, Tensor):
                raise ValueError(f"the state {name} of layer {k} must be a tensor; got a {type(tensor).__name__}")
        tensors = [t if batched else t.unsqueeze(0) for t in tensors]
        batch = tensors[0].shape[0] if x is None else x.shape[1]
        cell.check_spatial_size(tensors[0].shape[2:])
        for name, tensor in zip("hc", tensors, strict=False):
            checks.one_state(cell, f"{name} of layer {k}", tensor, batch, size)
        states.append(tuple(checks.trainable(t) for t in tensors))
    return states


def packed(states: Sequence[CellState], *, batched: bool, stacked: bool) -> Any:
    """The state of every cell as the user gets it: in tensors of its own, which may be changed in place."""
    given = [[t if batched else t.squeeze(0) for t in tensors] for tensors in zip(*states, strict=True)]
    whole = tuple(
        torch.stack(tensors).contiguous() if stacked else tuple(_own(t) for t in tensors) for tensors in given
    )
    return whole[0] if len(whole) == 1 else whole


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format) if torch.is_grad_enabled() else tensor.contiguous()


def _zeros(cells: Sequence[Cell], directions: int, x: Tensor) -> list[CellState]:
    states: list[CellState] = []
    size = tuple(x.shape[3:])
    for k, cell in enumerate(cells):
        if k % directions == 0:
            size = cell.input_convolution.output_size(size)
        cell.check_spatial_size(size)
        states.append(tuple(cell.zeros(x.shape[1], *size) for _ in range(cell.num_states)))
    return states


def _refuse_pairs(state: Any, *, layers: int, count: int) -> None:
    """Raise for what may be a list of ``(h, c)`` by layer, as other packages have it, and not ``(h_0, c_0)``."""
    pairs = isinstance(state, list) or len(state) != count
    by_layer = len(state) == layers and all(not isinstance(one, Tensor) and len(one) == count for one in state)
    if pairs and by_layer:
        raise ValueError(
            f"the state is a {type(state).__name__} of {len(state)} pairs, which may be (h, c) by layer; give the"
            " tuple (h_0, c_0), each with all layers: tuple(zip(*pairs)) turns (h, c) by layer into it"
        )
