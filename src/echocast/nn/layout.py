"""Sequences and masks as users give them, (batch, time, ...) or (time, batch, ...), and as layers compute with them.

Inside, sequences are always (time, batch, channel, *space) and masks (time, batch).
"""

import torch
from torch import Tensor

from echocast.nn.cell import AXES


def time_first(x: Tensor, dims: int, *, batch_first: bool) -> tuple[Tensor, bool]:
    """A user's input as (time, batch, channel, *space), and whether it had a batch.

    Raises:
        ValueError: a wrong number of dimensions.
    """
    if x.dim() == dims + 2:
        return x.unsqueeze(1), False
    if x.dim() != dims + 3:
        order = "batch, time" if batch_first else "time, batch"
        raise ValueError(
            f"the input must be ({order}, channel{AXES[dims]}), or the same without batch; got {tuple(x.shape)}"
        )
    return (x.transpose(0, 1) if batch_first else x), True


def as_given(output: Tensor, *, batched: bool, batch_first: bool) -> Tensor:
    """An output (time, batch, channel, *space) in the order of the user's input."""
    if not batched:
        return output.squeeze(1)
    return output.transpose(0, 1) if batch_first else output


def valid_steps(
    lengths: Tensor | None, mask: Tensor | None, *, steps: int, batch: int, device: torch.device, batch_first: bool
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
        if lengths.shape != (batch,) or int(lengths.min()) < 1 or int(lengths.max()) > steps:
            raise ValueError(f"lengths must be {batch} numbers between 1 and {steps}; got {lengths.tolist()}")
        return torch.arange(steps, device=device)[:, None] < lengths.to(device)
    if mask is None:
        return None
    valid = mask.transpose(0, 1) if batch_first else mask
    if valid.shape != (steps, batch):
        order = "(batch, time)" if batch_first else "(time, batch)"
        raise ValueError(
            f"the mask must be {order} for {batch} sequences of {steps} time steps; got {tuple(mask.shape)}"
        )
    return valid
