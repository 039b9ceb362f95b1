"""Layers in other forms than a module: frame by frame, and as the fused path has them."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from echocast.nn.carried import CellState


@runtime_checkable
class StreamingLayer(Protocol):
    """A layer that takes one frame after another and overwrites its own state."""

    def advance(self, x: Tensor | None) -> Tensor:
        """The next hidden state, valid until the next call."""

    def state(self) -> CellState:
        """The current state."""


@runtime_checkable
class FusedLayer(Protocol):
    """A layer with its initial state, as the fused path needs it; see `fused.layer` and `fused.gru_layer`."""

    joins: bool
    """Whether it convolves the input itself."""

    def sequence(self, x: Tensor | None, x_gates: Callable[[], Tensor] | None, steps: int) -> tuple[Tensor, ...]:
        """All hidden states and the last state."""

    def streaming(self, input_gates: Callable[[Tensor], Tensor] | None) -> StreamingLayer:
        """The layer frame by frame."""
