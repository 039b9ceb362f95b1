"""A cell over a whole sequence as one operation of PyTorch, for compilers.

`torch.compile` would write the loop over time out step by step: again for every number of time steps, and without the
fused path. Seen as one operation, a cell compiles once and computes what it computes without the compiler.

The operation is a function of tensors, numbers and words alone, so that a compiled graph may be kept on disk: a cell is
told by its class and its settings. Of the forward pass only what it was given is kept; the backward pass computes the
sequence again.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from echocast.nn import fused, torch_internals
from echocast.nn.carried import CellState, CellWeights, Dropout

if TYPE_CHECKING:
    from echocast.nn.cell import Cell

C = TypeVar("C", bound=type)

_KINDS: dict[str, Any] = {}
_WEIGHTS = ("weight_x", "weight_h", "bias", "gain", "learned_padding", "own")


def register(kind: C) -> C:
    """Make a class of cells known, so that a graph can name it: one that computes from `CellWeights` alone. What is
    derived from it is not known, as it may have weights of its own."""
    _KINDS[_name(kind)] = kind
    return kind


def told(kind: "type[Cell]", in_channels: int, hidden_channels: int, options: dict[str, Any]) -> str | None:
    """What `sequence` needs to know of a cell, in words; None for one that is of no known class, or has a function
    of its own as activation."""
    if _KINDS.get(_name(kind)) is not kind or any(
        callable(options.get(name)) for name in ("gate_activation", "activation")
    ):
        return None
    kept = {name: value for name, value in options.items() if name not in ("device", "dtype", "init")}
    return json.dumps([_name(kind), in_channels, hidden_channels, kept], default=_plain_number, sort_keys=True)


def takes(cell: "Cell", x: Tensor | None, state: CellState, steps: int) -> bool:
    """Whether a compiler is at work that should see this cell as one operation.

    It should where the number of time steps varies, and where the fused path would run; a short loop of a small layer
    is what compilers are good at.
    """
    if not torch_internals.is_compiled() or not torch_internals.can_record:
        return False
    if cell.told is None or (cell.training and cell.zoneout):
        return False  # what is drawn in the forward pass would be drawn anew in the backward pass
    return torch_internals.varies(steps) or cell.fuses_when_run(x, state)


def sequence(
    cell: "Cell",
    x: Tensor | None,
    state: CellState,
    steps: int,
    mask: Tensor | None,
    dropout: Dropout | None,
    weights: CellWeights,
) -> tuple[Tensor, CellState]:
    """All hidden states (time, batch, hidden, *space) and the last state of a cell that `takes` has taken."""
    dropped = None if dropout is None else dropout.h
    given = {"x": x, "mask": mask, "dropout": dropped, "h": state[0], "c": state[1] if len(state) > 1 else None}
    given |= dict(zip(_WEIGHTS, weights, strict=True))
    kept = {name: tensor for name, tensor in given.items() if tensor is not None}
    device = state[0].device.type
    autocast = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else ""
    output, *last = _forward(list(kept.values()), " ".join(kept), cell.told or "", float(cell.zoneout), steps, autocast)
    return output, tuple(last)


@torch.library.custom_op("echocast::sequence", mutates_args=())
def _forward(tensors: list[Tensor], names: str, told: str, zoneout: float, steps: int, autocast: str) -> list[Tensor]:
    # Detached, as autocast would keep what it casts a parameter to, here without its derivative.
    given = [tensor.detach() for tensor in tensors]
    return [_own(tensor) for tensor in _computed(given, names, told, zoneout, steps, autocast)]


@_forward.register_fake
def _(tensors: list[Tensor], names: str, told: str, zoneout: float, steps: int, autocast: str) -> list[Tensor]:
    # One time step gives shapes and dtypes of any number.
    first = [t[:1] if name in ("x", "mask") else t for name, t in zip(names.split(), tensors, strict=True)]
    output, *last = _computed(first, names, told, zoneout, 1, autocast)
    return [output.new_empty((steps, *output.shape[1:])), *(t.new_empty(t.shape) for t in last)]


@torch.library.custom_op("echocast::sequence_backward", mutates_args=())
def _backward(
    gradients: list[Tensor],
    tensors: list[Tensor],
    needed: str,
    names: str,
    told: str,
    zoneout: float,
    steps: int,
    autocast: str,
) -> list[Tensor]:
    wanted = needed.split()
    with torch_internals.recording(), torch.enable_grad():
        leaves = [t.detach().requires_grad_(name in wanted) for name, t in zip(names.split(), tensors, strict=True)]
        made = _computed(leaves, names, told, zoneout, steps, autocast)
        pairs = [(one, d) for one, d in zip(made, gradients, strict=True) if one.requires_grad]
        inputs = [leaf for leaf in leaves if leaf.requires_grad]
        found = torch.autograd.grad([one for one, _ in pairs], inputs, [d for _, d in pairs], materialize_grads=True)
    return [_own(one) for one in found]


@_backward.register_fake
def _(_gradients: list[Tensor], tensors: list[Tensor], needed: str, names: str, *_: Any) -> list[Tensor]:
    wanted = needed.split()
    return [t.new_empty(t.shape) for name, t in zip(names.split(), tensors, strict=True) if name in wanted]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:  # noqa: ARG001  # PyTorch's name
    tensors, *ctx.settings = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, gradients: Sequence[Tensor]) -> tuple[Any, ...]:
    names = ctx.settings[0].split()
    needed = [name for name, need in zip(names, ctx.needs_input_grad[0], strict=True) if need]
    found = _backward(list(gradients), list(ctx.saved_tensors), " ".join(needed), *ctx.settings)
    by_name = dict(zip(needed, found, strict=True))
    return [by_name.get(name) for name in names], None, None, None, None, None


torch.library.register_autograd("echocast::sequence", _gradients, setup_context=_remember)


def _computed(
    tensors: Sequence[Tensor], names: str, told: str, zoneout: float, steps: int, autocast: str
) -> list[Tensor]:
    given = dict(zip(names.split(), tensors, strict=True))
    cell = _cell(told, zoneout)
    state = tuple(given[name] for name in ("h", "c")[: cell.num_states])
    dropped = given.get("dropout")
    weights = CellWeights(*(given.get(name) for name in _WEIGHTS))  # type: ignore[arg-type]  # h is always given
    with _autocast(autocast, given["h"].device.type), nullcontext() if dropped is None else fused.plain():
        dropout = None if dropped is None else Dropout(None, dropped)
        output, last = cell._sequence(given.get("x"), state, steps, given.get("mask"), dropout, weights)
    return [output, *last]


def _autocast(dtype: str, device: str) -> AbstractContextManager[Any]:
    if not dtype:
        return torch.autocast(device, enabled=False)
    return torch.autocast(device, getattr(torch, dtype.removeprefix("torch.")))


@lru_cache(maxsize=256)
def _cell(told: str, zoneout: float) -> "Cell":
    """A cell with these settings and without weights."""
    kind, in_channels, hidden_channels, options = json.loads(told)
    cell: Cell = _KINDS[kind](in_channels, hidden_channels, **options, device="meta").eval()
    cell.zoneout = zoneout
    for name, _ in list(cell.named_parameters()):
        setattr(cell, name, None)
    # The cell that was called has checked its input; this one has no weights to compare it with.
    cell.input_gates = cell.unchecked_input_gates  # type: ignore[method-assign, assignment]
    return cell


def _own(tensor: Tensor) -> Tensor:
    """A contiguous copy, as an operation may not give what it was given."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain_number(value: Any) -> int:
    return int(value)
