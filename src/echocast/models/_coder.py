"""The pair of ConvLSTMs in both networks: an encoder, and a forecaster that continues from its states."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from echocast.nn.convlstm import ConvLSTM


def pair(
    channels: int,
    hidden_channels: Sequence[int],
    *,
    input_kernel: int,
    state_kernels: int | Sequence[int],
    forget_bias: float,
) -> tuple[ConvLSTM, ConvLSTM]:
    """The encoder of `channels`, and the forecaster, whose first layer has no input."""
    layers = partial(
        ConvLSTM,
        hidden_channels=list(hidden_channels),
        batch_first=True,
        input_kernel=input_kernel,
        state_kernel=state_kernels if isinstance(state_kernels, int) else list(state_kernels),
        forget_bias=forget_bias,
    )
    return layers(channels), layers(0)


def unrolled(encoder: ConvLSTM, forecaster: ConvLSTM, frames: Tensor, more: int) -> list[Tensor]:
    """Hidden states (batch, 1 + more, channel, row, column) of each layer: the encoder's last, and the forecaster's."""
    state = encoder.last_state(frames)
    first = [h.unsqueeze(1) for h in state[0]]
    if not more:
        return first
    later, _ = forecaster.all_layers(None, state, steps=more)
    return [torch.cat(both, dim=1) for both in zip(first, later, strict=True)]


def one_by_one(encoder: ConvLSTM, forecaster: ConvLSTM, frames: Tensor, more: int) -> Iterator[list[Tensor]]:
    """The same step by step, (batch, channel, row, column) of each layer: only one step is in memory at a time."""
    state = encoder.last_state(frames)
    yield list(state[0])
    for _ in range(more):
        _, state = forecaster.all_layers(None, state, steps=1)
        yield list(state[0])
