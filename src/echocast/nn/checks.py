"""What cells take and what they refuse, in one clear error each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from echocast.nn import torch_internals

if TYPE_CHECKING:
    from echocast.nn.cell import Cell

AXES = {0: "", 1: ", x", 2: ", y, x", 3: ", z, y, x"}
NO_INPUT = "this layer was made without input (in_channels=0) and cannot take one"


def options(cell: "Cell") -> None:
    """
    Raises:
        ValueError: options of a cell that do not go together.
    """
    convolution, gates = cell.input_convolution, cell.gates * cell.hidden_channels
    if cell.in_channels == 0 and not convolution.is_default:
        raise ValueError(
            "in_channels=0 means that there is no input convolution; leave out stride, dilation, groups, padding "
            f"and padding_mode, got {convolution}"
        )
    if convolution.groups < 1 or cell.in_channels % convolution.groups or gates % convolution.groups:
        raise ValueError(
            f"groups={convolution.groups} must divide in_channels={cell.in_channels} "
            f"and the {gates} channels of the gates"
        )
    groups = cell.state_convolution.groups
    if groups < 1 or cell.hidden_channels % groups:
        raise ValueError(f"state_groups={groups} must divide hidden_channels={cell.hidden_channels}")
    if cell.norm_groups < 1 or cell.hidden_channels % cell.norm_groups:
        raise ValueError(f"norm_groups={cell.norm_groups} must divide hidden_channels={cell.hidden_channels}")
    if cell.norm_groups > 1 and cell.norm != "group":
        raise ValueError(f"norm_groups={cell.norm_groups} needs norm='group'; got norm={cell.norm!r}")
    if cell.norm == "layer" and cell.hidden_channels == 1:
        raise ValueError("norm='layer' with hidden_channels=1 would make every gate 0; use more channels")


def like(cell: "Cell") -> Tensor:
    """A parameter, for device and dtype: one that is trained, as a weight that a hook computes may be out of date."""
    return next(cell.parameters())


def cell_input(cell: "Cell", x: Tensor) -> None:
    """
    Raises:
        ValueError: `x`, (frames, channel, *space), is not what this cell takes.
    """
    if cell.in_channels == 0:
        raise ValueError(NO_INPUT)
    if x.dim() != 2 + cell.dims or x.shape[1] != cell.in_channels:
        raise ValueError(
            f"this layer takes {cell.in_channels} channels in {cell.dims} spatial dimensions, "
            f"(frames, {cell.in_channels}{AXES[cell.dims]}); got a tensor of shape {tuple(x.shape)}"
        )
    kind(cell, "the input", x)


def kind(cell: "Cell", name: str, tensor: Tensor) -> None:
    """
    Raises:
        ValueError: `tensor` is on another device than the weights, or of a dtype they do not multiply with.
    """
    weight = like(cell)
    if tensor.device != weight.device:
        raise ValueError(f"{name} is on {tensor.device}, the layer's weights are on {weight.device}; move one of them")
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be floating point; got {tensor.dtype}: try .to({weight.dtype})")
    if tensor.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
        raise ValueError(f"{name} is {tensor.dtype}, the layer's weights are {weight.dtype}; convert one of them")


def one_state(cell: "Cell", name: str, tensor: Any, batch: int, size: Sequence[int] | None) -> None:
    """
    Raises:
        ValueError: one tensor of a state has not the shape (batch, hidden, *size), or is of another kind.
    """
    if not isinstance(tensor, Tensor):
        raise ValueError(f"the state {name} must be a tensor; got a {type(tensor).__name__}")
    expected = (batch, cell.hidden_channels, *(tensor.shape[2:] if size is None else size))
    if tensor.dim() != 2 + cell.dims or tuple(tensor.shape) != expected:
        raise ValueError(
            f"the state {name} must be (batch, hidden{AXES[cell.dims]}) = {expected}; got {tuple(tensor.shape)}"
        )
    kind(cell, f"the state {name}", tensor)


def cell_state(cell: "Cell", x: Tensor | None, state: Any) -> tuple[Tensor, ...]:
    """The old state of a cell that is given `x`, (time, batch, channel, *space); zeros if `state` is None.

    Raises:
        ValueError: input or state is not what this cell takes.
    """
    names = ("h", "c")[: cell.num_states]
    if x is not None:
        cell_input(cell, x[0] if x.shape[0] else x.new_zeros(x.shape[1:]))
    if state is None and x is None:
        given = "h" if cell.num_states == 1 else "(h, c)"
        raise ValueError(f"without an input the initial state must be given: state={given}")
    size = None if x is None else cell.input_convolution.output_size(x.shape[3:])
    if state is None and x is not None and size is not None:
        cell.check_spatial_size(size)
        return tuple(cell.zeros(x.shape[1], *size) for _ in names)
    tensors = (state,) if cell.num_states == 1 else tuple(state)
    if len(tensors) != len(names):
        raise ValueError(f"the state must be the tensors ({', '.join(names)}); got {len(tensors)}")
    for name, tensor in zip(names, tensors, strict=True):
        one_state(cell, name, tensor, tensors[0].shape[0] if x is None else x.shape[1], size)
    cell.check_spatial_size(tensors[0].shape[2:])
    return tuple(trainable(tensor) for tensor in tensors)


def trainable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy where it was made in inference mode and autograd is to keep it."""
    if torch.is_grad_enabled() and not torch_internals.is_recorded() and tensor.is_inference():
        return tensor.clone()
    return tensor
