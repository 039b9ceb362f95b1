"""Sequences and masks as users give them, (batch, time, ...) or (time, batch, ...), and as layers compute with them.

Inside, sequences are always (time, batch, channel, *space) and masks (time, batch).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from echocast.nn import checks, torch_internals

Lengths = Tensor | Sequence[int]


class Layout(NamedTuple):
    """How a user gave an input, for the output to be like it.

    Args:
        batched: whether it had a batch.
        batch_first: whether it was (batch, time, ...).
        packed: the packed sequence, if it was one.
    """

    batched: bool
    batch_first: bool
    packed: PackedSequence | None = None


def restored(layout: Layout, output: Tensor) -> Tensor | PackedSequence:
    """An output (time, batch, channel, *space) in the order of the user's input, contiguous."""
    if layout.packed is not None:
        return _packed_like(layout.packed, output)
    if not layout.batched:
        return output.squeeze(1).contiguous()
    return (output.transpose(0, 1) if layout.batch_first else output).contiguous()


def room(frame: Tensor, steps: int, x: Tensor | None) -> Tensor:
    """Memory for frames (time, batch, ...), one sequence after the other if `x` lies so."""
    if x is None or x.stride(0) >= x.stride(1):
        return frame.new_empty((steps, *frame.shape))
    return frame.new_empty((len(frame), steps, *frame.shape[1:])).transpose(0, 1)


def opened(
    x: Tensor | PackedSequence | None, dims: int, *, batch_first: bool, lengths: Lengths | None
) -> tuple[Tensor | None, Layout, Lengths | None]:
    """A user's input as (time, batch, channel, *space), how it was given, and the lengths of its sequences.

    Raises:
        ValueError: a wrong number of dimensions, or lengths beside a packed sequence, which has its own.
    """
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ValueError("a PackedSequence has its own lengths; leave out lengths")
        _check_dimensions(x.data.dim() == dims + 2, x.data, dims, "(all steps of all sequences")
        padded, known = pad_packed_sequence(x)
        return padded, Layout(True, batch_first, x), known
    if x is None:
        return None, Layout(True, batch_first), lengths
    if x.dim() == dims + 2:
        return x.unsqueeze(1), Layout(False, batch_first), lengths
    _check_dimensions(x.dim() == dims + 3, x, dims, "(batch, time" if batch_first else "(time, batch")
    return (x.transpose(0, 1) if batch_first else x), Layout(True, batch_first), lengths


def _check_dimensions(right: bool, x: Tensor, dims: int, order: str) -> None:
    if not right:
        more = "" if order.startswith("(all") else ", or the same without batch"
        raise ValueError(f"the input must be {order}, channel{checks.AXES[dims]}){more}; got {tuple(x.shape)}")


def _packed_like(packed: PackedSequence, output: Tensor) -> PackedSequence:
    order = packed.sorted_indices
    lengths = (packed.batch_sizes[:, None] > torch.arange(output.shape[1], device="cpu")).sum(0)
    data = pack_padded_sequence(output if order is None else output.index_select(1, order), lengths).data
    return PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices)


def valid_steps(
    lengths: Lengths | None, mask: Tensor | None, *, steps: int, batch: int, device: torch.device, batch_first: bool
) -> Tensor | None:
    """The time steps that count, (time, batch), False where a sequence keeps its state; None where all count.

    Args:
        lengths: number of time steps of each sequence.
        mask: in the user's order; at most one of the two.
        steps, batch: time steps and sequences of the input.
        device: of the input.
        batch_first: whether `mask` is (batch, time).

    Raises:
        ValueError: both are given, or one does not fit the input.
    """
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or a mask, not both")
    if lengths is not None:
        numbers = torch.as_tensor(lengths, device=device)
        if not torch_internals.is_recorded():
            _check_lengths(numbers, steps, batch)
        return torch.arange(steps, device=device)[:, None] < numbers
    if mask is None:
        return None
    valid = mask.transpose(0, 1) if batch_first else mask
    if valid.shape != (steps, batch):
        order = "(batch, time)" if batch_first else "(time, batch)"
        raise ValueError(
            f"the mask must be {order} for {batch} sequences of {steps} time steps; got {tuple(mask.shape)}"
        )
    return valid


def _check_lengths(lengths: Tensor, steps: int, batch: int) -> None:
    whole = not (lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool) or not batch
    if not whole or lengths.shape != (batch,) or bool((lengths < 1).any()) or bool((lengths > steps).any()):
        raise ValueError(f"lengths must be {batch} numbers between 1 and {steps}; got {lengths.tolist()}")
