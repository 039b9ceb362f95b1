"""viorik's UntiedConvLSTM for Torch7: the first time step has its own weights, no recurrence and no forget gate.

To the names of `viorik` come ``first.GATE.weight`` and ``first.GATE.bias`` for the gates ``input``, ``cell`` and
``output``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from echocast.nn.compat import viorik
from echocast.nn.compat.base import CellWeights, Imported, Weights
from echocast.nn.sequence import RecurrentLayers
from echocast.shapes import Float


class UntiedConvLSTM(nn.Module):
    """A layer for the first frame and a layer for the rest.

    From a state of zeros neither the recurrence nor the forget gate contributes anything, so that the first time step
    is a `ConvLSTM` too.
    """

    def __init__(self, first: RecurrentLayers[Any], rest: RecurrentLayers[Any]) -> None:
        super().__init__()
        self.first, self.rest = first, rest

    def forward(self, x: Float[Tensor, "time batch channel y x"]) -> tuple[Float[Tensor, "time batch hidden y x"], Any]:
        """All hidden states and the last ``(h_n, c_n)``, always from a state of zeros."""
        begin, state = self.first(x[:1])
        if len(x) == 1:
            return begin, state
        output, state = self.rest(x[1:], state)
        return torch.cat([begin, output]), state


@dataclass(frozen=True)
class UntiedImported(Imported):
    """The tied cell, and the first step's."""

    first: Sequence[CellWeights] = ()

    def layer(self, **options: Any) -> Any:
        """The `UntiedConvLSTM` with these weights."""
        return UntiedConvLSTM(Imported(self.first).layer(**options), Imported(self.cells).layer(**options))


MARKS = (r"(?P<prefix>.*?)first\.input\.weight",)


def convert(weights: Weights) -> Imported:
    """The names of `viorik`, and ``first.GATE.weight``, ``first.GATE.bias`` for ``input``, ``cell`` and ``output``."""
    (tied,) = viorik.convert(weights).cells
    hidden, shape = len(tied.x) // 4, (len(tied.x) // 4, *tied.x.shape[1:])
    kernels = [weights.take(f"first.{gate}.weight", shape) for gate in ("input", "cell", "output")]
    biases = [weights.take(f"first.{gate}.bias", (hidden,)) for gate in ("input", "cell", "output")]
    for parts in (kernels, biases):
        parts.insert(1, torch.zeros_like(parts[0]))  # the forget gate acts on a cell state of 0
    first = replace(tied, x=torch.cat(kernels), h=torch.zeros_like(tied.h), bias=torch.cat(biases))
    return UntiedImported([tied], first=[first])
