"""The settings of recurrent cells and layers: their meaning, their defaults, and which do not go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch

from echocast.nn.activations import Activation
from echocast.nn.convolution import Convolution, Padding, PaddingMode, Size, by_dimension
from echocast.nn.initialisers import Initialiser, check_name
from echocast.nn.options import Norm


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """`CellOptions` with their defaults, checked.

    Args:
        dims: spatial dimensions, 0 to 3; 0 is a fully connected layer.
        input_kernel: kernel size of the input-to-state convolution; a tuple is by dimension. An even one pads one pixel
            more at the end than at the beginning of each dimension, as in PyTorch.
        state_kernel: kernel size of the state-to-state convolution; it always keeps the spatial size and pads with
            zeros.
        bias: whether the gates have a bias.
        stride, dilation: of the input-to-state convolution, as in `torch.nn.Conv2d`; a tuple is by dimension.
        groups: groups of channels of the input-to-state convolution, each convolved alone.
        state_groups: the same of the state-to-state convolution; each group gives a share of every gate.
        padding: ``same`` keeps the spatial size, divided by the stride and rounded up; so does ``keras``, with the grid
            of outputs placed as Keras' ``same`` places it, which differs where there is a stride; ``valid`` pads
            nothing.
        padding_mode: what lies beyond the border of the input: ``zeros``, ``reflect`` and ``circular`` as in
            `torch.nn.Conv2d`; ``learned`` is one trained number per channel.
        gate_activation: activation of the gates: a name (see `activations`) or a function of a tensor.
        activation: the same of the candidate and of the output.
        norm: ``layer`` or ``group`` normalises the sum of input and state to mean 0 and variance 1, before a trained
            gain and the bias (Ba et al. 2016; see `normalise`).
        norm_groups: groups of channels per gate for ``norm="group"``.
        input_dropout: probability of setting a channel of the input to 0 in training; the same channels in every time
            step.
        recurrent_dropout: probability of setting a channel of the hidden state to 0 in training, before the
            state-to-state convolution; the same channels in every time step (Gal and Ghahramani 2016).
        zoneout: probability with which a value of the state keeps its old value in training (Krueger et al. 2017); in
            evaluation, the expected value.
        init: how the weights start (see `initialisers`).
        device, dtype: of the weights.

    Raises:
        ValueError: a value that is not allowed, or values that do not go together.
    """

    dims: int = 2
    input_kernel: Size = 3
    state_kernel: Size = 3
    bias: bool = True
    stride: Size = 1
    dilation: Size = 1
    groups: int = 1
    state_groups: int = 1
    padding: Padding = "same"
    padding_mode: PaddingMode = "zeros"
    gate_activation: str | Activation = "sigmoid"
    activation: str | Activation = "tanh"
    norm: Norm | None = None
    norm_groups: int = 1
    input_dropout: float = 0.0
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
        spatial["state_groups"] = self.state_groups
        given = [f"{k}={v!r}" for k, v in spatial.items() if v not in (1, (), [], "zeros")]
        if self.dims == 0 and given:
            raise ValueError(f"dims=0 has no spatial dimensions; leave out {', '.join(given)}")
        if self.norm not in (None, "layer", "group"):
            raise ValueError(f"norm must be None, 'layer' or 'group'; got {self.norm!r}")
        for name in ("input_dropout", "recurrent_dropout", "zoneout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)}")

    def input_convolution(self) -> Convolution:
        """The geometry of the input-to-state convolution."""
        return Convolution(
            by_dimension("input_kernel", self.input_kernel, self.dims),
            by_dimension("stride", self.stride, self.dims),
            by_dimension("dilation", self.dilation, self.dims),
            self.groups,
            self.padding,
            self.padding_mode,
        )

    def state_convolution(self) -> Convolution:
        """The geometry of the state-to-state convolution."""
        ones = (1,) * self.dims
        return Convolution(by_dimension("state_kernel", self.state_kernel, self.dims), ones, ones, self.state_groups)


@dataclass(frozen=True)
class LayerSettings:
    """How cells are stacked to layers and run over a sequence, checked.

    Args:
        num_layers, batch_first, bidirectional, dropout, gradient_checkpointing: as `ConvLSTM` takes them.

    Raises:
        ValueError: a value that is not allowed.
    """

    num_layers: int | None = None
    batch_first: bool = False
    bidirectional: bool = False
    dropout: float = 0.0
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout must be in [0, 1]; got {self.dropout}")

    def hidden_sizes(self, in_channels: int, hidden_channels: int | Sequence[int]) -> list[int]:
        """The hidden channels of each layer.

        Raises:
            ValueError: `hidden_channels` and `num_layers` disagree, or both directions are wanted without an input.
        """
        if isinstance(hidden_channels, Integral):
            sizes = [int(hidden_channels)] * (1 if self.num_layers is None else self.num_layers)
        else:
            sizes = [int(size) for size in hidden_channels]  # type: ignore[union-attr]  # mypy: an int is Integral
        if not sizes or self.num_layers not in (None, len(sizes)):
            raise ValueError(
                f"hidden_channels={hidden_channels!r} gives {len(sizes)} layers and num_layers={self.num_layers}; "
                "at least one layer is needed, and both must agree"
            )
        if self.bidirectional and in_channels == 0:
            raise ValueError("bidirectional=True needs an input; in_channels=0 means that there is none")
        return sizes
