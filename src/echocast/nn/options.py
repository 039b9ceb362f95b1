"""The keyword arguments of cells and layers as types, so that editors and type checkers know them.

What each one means is said once: in `CellSettings` for all cells, in `ConvLSTMCell` and `ConvGRUCell` for their own. A
layer takes the arguments of its cells; there a **list** has one value for each layer, a tuple one for each dimension.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict, TypeVar

import torch

from echocast.nn.activations import Activation
from echocast.nn.convolution import Padding, PaddingMode, Size
from echocast.nn.initialisers import Initialiser

T = TypeVar("T")
PerLayer: TypeAlias = T | list[T]
"""One value for all layers, or a list with one for each."""

Norm = Literal["layer", "group"]
Peephole = Literal["channel", "pixel"]


class CellOptions(TypedDict, total=False):
    """What every cell takes; see `CellSettings`."""

    dims: int
    input_kernel: Size
    state_kernel: Size
    bias: bool
    stride: Size
    dilation: Size
    groups: int
    state_groups: int
    padding: Padding
    padding_mode: PaddingMode
    gate_activation: str | Activation
    activation: str | Activation
    norm: Norm | None
    norm_groups: int
    input_dropout: float
    recurrent_dropout: float
    zoneout: float
    init: Initialiser
    device: torch.device | str | None
    dtype: torch.dtype | None


class _AnyLayerOptions(TypedDict, total=False):
    bias: PerLayer[bool]
    gate_activation: PerLayer[str | Activation]
    activation: PerLayer[str | Activation]
    norm: PerLayer[Norm | None]
    norm_groups: PerLayer[int]
    input_dropout: PerLayer[float]
    recurrent_dropout: PerLayer[float]
    zoneout: PerLayer[float]
    init: PerLayer[Initialiser]
    device: torch.device | str | None
    dtype: torch.dtype | None


class _ConvolutionalOptions(_AnyLayerOptions, total=False):
    dims: int
    input_kernel: PerLayer[Size]
    state_kernel: PerLayer[Size]
    stride: PerLayer[Size]
    dilation: PerLayer[Size]
    groups: PerLayer[int]
    state_groups: PerLayer[int]
    padding: PerLayer[Padding]
    padding_mode: PerLayer[PaddingMode]


class ConvLSTMOptions(_ConvolutionalOptions, total=False):
    """What `ConvLSTM` hands on to its `ConvLSTMCell`."""

    peephole: PerLayer[Peephole | None]
    spatial_size: Sequence[int] | None
    forget_bias: PerLayer[float]
    forget_gate: PerLayer[bool]


class ConvGRUOptions(_ConvolutionalOptions, total=False):
    """What `ConvGRU` hands on to its `ConvGRUCell`."""

    reset_after: PerLayer[bool]
    update_bias: PerLayer[float]


class LSTMOptions(_AnyLayerOptions, total=False):
    """What `LSTM` hands on to its `ConvLSTMCell`."""

    peephole: PerLayer[Literal["channel"] | None]
    forget_bias: PerLayer[float]
    forget_gate: PerLayer[bool]
