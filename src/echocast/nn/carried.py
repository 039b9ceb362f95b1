"""What a cell is given beside its input: its state, its parameters and what is dropped.

>>> Dropout(None, None).h is None
True
"""

from typing import NamedTuple

from torch import Tensor

CellState = tuple[Tensor, ...]
"""The state of one layer: hidden and cell state (h, c), or (h,) for a ConvGRU."""


class CellWeights(NamedTuple):
    """The parameters of a cell, read once per call: a parametrisation may compute each of them when it is read."""

    x: Tensor | None
    h: Tensor
    bias: Tensor | None
    gain: Tensor | None
    learned_padding: Tensor | None
    own: Tensor | None
    """The peepholes of a ConvLSTM, the second bias of a ConvGRU."""


class Dropout(NamedTuple):
    """Factors for the channels of a cell's input and hidden state, (batch, channel, *ones); None for none."""

    x: Tensor | None
    h: Tensor | None
