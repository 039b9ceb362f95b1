"""The options of every recurrent cell: their names, their meaning, and which do not go together."""

from dataclasses import dataclass
from typing import TypedDict

import torch

from echocast.nn.convolution import Convolution, Padding, PaddingMode, Size, by_dimension
from echocast.nn.initialisers import Initialiser, check_name


class CellOptions(TypedDict, total=False):
    """The keywords that every cell and layer takes; `CellSettings` says what they mean."""

    dims: int
    input_kernel: Size
    state_kernel: Size
    bias: bool
    stride: Size
    dilation: Size
    groups: int
    padding: Padding
    padding_mode: PaddingMode
    gate_activation: str
    activation: str
    norm: str | None
    norm_groups: int
    recurrent_dropout: float
    zoneout: float
    init: Initialiser
    device: torch.device | str | None
    dtype: torch.dtype | None


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """`CellOptions` with their defaults, checked.

    Args:
        dims: dimensions of space, 0 to 3; 0 is a fully connected layer.
        input_kernel: size of the input-to-state convolution, odd unless ``padding="valid"``; a tuple is by dimension.
        state_kernel: odd size of the state-to-state convolution, which always keeps the grid, with zeros beyond it.
        bias: whether the gates have one.
        stride, dilation, groups, padding, padding_mode: of the input convolution (see `Convolution`); ``learned`` fills
            the border with one trained number per channel.
        gate_activation: of the gates, by name (see `activations`).
        activation: of candidate and output.
        norm: ``layer`` or ``group`` brings the summed gates to mean 0 and variance 1, before a trained gain and the
            bias (Ba et al. 2016, applied to the sum of input and state; see `normalise`).
        norm_groups: groups of channels per gate for ``norm="group"``.
        recurrent_dropout: share of the hidden state's channels that training hides from the state convolution, the same
            ones in every step of a sequence (Gal and Ghahramani 2016).
        zoneout: share of the state that training leaves as it was (Krueger et al. 2017).
        init: how the weights start (see `initialisers`).
        device, dtype: of the weights.

    Raises:
        ValueError: an impossible value, or values that do not go together.
    """

    dims: int = 2
    input_kernel: Size = 3
    state_kernel: Size = 3
    bias: bool = True
    stride: Size = 1
    dilation: Size = 1
    groups: int = 1
    padding: Padding = "same"
    padding_mode: PaddingMode = "zeros"
    gate_activation: str = "sigmoid"
    activation: str = "tanh"
    norm: str | None = None
    norm_groups: int = 1
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    init: Initialiser = "xavier"
    device: torch.device | str | None = None
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.dims not in (0, 1, 2, 3):
            raise ValueError(f"dims must be 0, 1, 2 or 3; got {self.dims}")
        check_name(self.init)
        spatial = {"stride": self.stride, "dilation": self.dilation, "padding_mode": self.padding_mode}
        told = [f"{k}={v!r}" for k, v in spatial.items() if v not in (1, (), [], "zeros")]
        if self.dims == 0 and told:
            raise ValueError(f"dims=0 has no space for {', '.join(told)}")
        if self.norm not in (None, "layer", "group"):
            raise ValueError(f"norm must be None, 'layer' or 'group'; got {self.norm!r}")
        for name in ("recurrent_dropout", "zoneout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)}")

    def input_convolution(self) -> Convolution:
        """The geometry of the input-to-state convolution."""
        return Convolution(
            by_dimension("input_kernel", self.input_kernel, self.dims, odd=self.padding == "same"),
            by_dimension("stride", self.stride, self.dims),
            by_dimension("dilation", self.dilation, self.dims),
            self.groups,
            self.padding,
            self.padding_mode,
        )

    def state_convolution(self) -> Convolution:
        """The geometry of the state-to-state convolution."""
        ones = (1,) * self.dims
        return Convolution(by_dimension("state_kernel", self.state_kernel, self.dims, odd=True), ones, ones)
