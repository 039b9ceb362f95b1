"""The spatio-temporal autoencoder of Chong and Tay: convolutions within frames, ConvLSTMs between them.

::

    10 x 1 x 227 x 227 -> 128 x 55 x 55 -> 64 x 26 x 26     (convolutions 11x11/4 and 5x5/2, frame by frame)
                       -> ConvLSTM 64 -> 32 -> 64           (3x3, along time)
                       -> 128 x 55 x 55 -> 10 x 1 x 227 x 227    (transposed convolutions 5x5/2 and 11x11/4)

Each frame is convolved by itself; time is the axis that the ConvLSTMs run along.

    >>> sum(weight.numel() for weight in SpatioTemporal().parameters())
    1068225
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from echocast.anomaly.base import Autoencoder
from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.nn.convlstm import ConvLSTM

_STRIDE = 8
"""Of both convolutions together."""
_SMALLEST = 27
"""The side of the smallest frame that the convolutions take without padding: 11 + 4 * (5 - 1)."""


class SpatioTemporal(Autoencoder):
    """Convolutional encoder, three ConvLSTMs, convolutional decoder.

    A side of the frames that is not 27 + 8 n pixels long is lengthened by its last row or column, and cut back.

    Args:
        spatial_channels: of the two convolutions of the encoder; the decoder has the same in reverse.
        temporal_channels: hidden channels of the three ConvLSTMs, narrowest in the middle.
        channels: of each frame: 1 of grey, 3 of colour.
        dropout: share of the input of each ConvLSTM that training hides.
        frames: of the sequences that it learns from.
        scaling: between the values of the field and grey levels.

    Source: Chong and Tay 2017 (arXiv:1701.01546), Figure 2; tanh after each convolution. Grey levels from 0 to 1 are
    shifted to -1 to 1, where a tanh gives the output. The ConvLSTMs have no peepholes and a forget
    bias of 1, as in Keras.
    """

    def __init__(
        self,
        *,
        spatial_channels: Sequence[int] = (128, 64),
        temporal_channels: Sequence[int] = (64, 32, 64),
        channels: int = 1,
        dropout: float = 0.0,
        frames: int = 10,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
    ) -> None:
        super().__init__()
        if len(spatial_channels) != 2 or len(temporal_channels) != 3:
            raise ValueError(
                f"spatial_channels={list(spatial_channels)} must be two numbers, and"
                f" temporal_channels={list(temporal_channels)} three"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout:g} is no share in [0, 1)")
        self.spatial_channels, self.temporal_channels = tuple(spatial_channels), tuple(temporal_channels)
        self.channels, self.dropout, self.frames, self.scaling = channels, dropout, frames, scaling
        wide, narrow = spatial_channels
        self.first, self.second = nn.Conv2d(channels, wide, 11, 4), nn.Conv2d(wide, narrow, 5, 2)
        inputs = (narrow, *temporal_channels[:-1])
        self.recurrent = nn.ModuleList(
            ConvLSTM(given, hidden, input_kernel=3, state_kernel=3, peephole=None, forget_bias=1.0, batch_first=True)
            for given, hidden in zip(inputs, temporal_channels, strict=True)
        )
        self.third = nn.ConvTranspose2d(temporal_channels[-1], wide, 5, 2)
        self.fourth = nn.ConvTranspose2d(wide, channels, 11, 4)

    def forward(self, levels: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """The reconstruction of grey levels in [0, 1]; what is NaN counts as 0.

        Raises:
            ValueError: another number of channels than its own.
        """
        batch, time, channels, height, width = levels.shape
        if channels != self.channels:
            raise ValueError(f"this SpatioTemporal has channels={self.channels}; got frames of {channels} channels")
        frames = _lengthened(2 * levels.nan_to_num(0.0).flatten(0, 1) - 1)
        code = torch.tanh(self.second(torch.tanh(self.first(frames))))
        code = code.reshape(batch, time, *code.shape[1:])
        for layer in self.recurrent:
            code, _ = layer(F.dropout(code, self.dropout, self.training))
        made: Tensor = torch.tanh(self.fourth(torch.tanh(self.third(code.flatten(0, 1)))))
        return ((made + 1) / 2)[..., :height, :width].reshape(batch, time, channels, height, width)


def _lengthened(frames: Float[Tensor, "frames channel y x"]) -> Float[Tensor, "frames channel rows columns"]:
    """Frames whose sides fit the convolutions: the last row and column are repeated."""
    down, right = (max(_SMALLEST - side, -(side - _SMALLEST) % _STRIDE) for side in frames.shape[-2:])
    return F.pad(frames, (0, right, 0, down), mode="replicate")
