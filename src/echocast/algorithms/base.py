"""What every network that learns an algorithm is: symbols in, as many symbols out.

>>> REGISTRY.names()
['neural_gpu']
"""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from echocast.algorithms import NOT_NETWORKS
from echocast.models.registry import Registry


class SequenceNetwork(nn.Module, ABC):
    """Symbols in, logits of as many symbols out.

    A subclass keeps every constructor argument as an attribute of the same name, so that a checkpoint can tell how to
    construct it again.
    """

    symbols: int
    """How many symbols there are, the padding 0 among them."""

    @abstractmethod
    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length symbol"]:
        """Logits of the output's symbols; all sequences of a batch have one length."""

    def spread(self) -> Tensor | None:
        """How far weights that should be equal are apart, as a sum of squares; None if there are none such."""
        return None

    def unite(self) -> None:
        """Set weights that should be equal to their mean."""


REGISTRY = Registry("algorithm", "echocast.algorithms", SequenceNetwork, NOT_NETWORKS)  # type: ignore[type-abstract]
"""All networks that learn algorithms."""
