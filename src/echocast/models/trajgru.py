"""The TrajGRU encoder and forecaster of the HKO-7 benchmark: coarser level by level, and back.

::

    past -> convolution -> TrajGRU 1 -> convolution -> TrajGRU 2 -> ... TrajGRU L     (strides make the grid coarser)
                              | state                      | state          | state
    future <- convolutions <- TrajGRU 1 <- upsampling <- TrajGRU 2 <- ... TrajGRU L   (the last one has no input)

    >>> import torch
    >>> model = TrajGru(hidden_channels=[4, 6], links=[3, 2], strides=[2, 2])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from echocast.context import UNKNOWN, Context
from echocast.errors import ModelError
from echocast.models.base import DRY_LOGIT, LearnedForecaster
from echocast.models.frames import padded
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn import trajgru as layers

_OUTER = 8
"""Channels of the first and the last convolution."""


class TrajGru(LearnedForecaster):
    """Encoder and forecaster of TrajGRU layers at several resolutions.

    Args:
        hidden_channels: hidden channels of each level, from the finest grid to the coarsest.
        links: places that each pixel of each level sees.
        strides: by how much each level is coarser than the one before; a grid that their product does not divide is
            padded with 0.
        channels: of each frame: 1 of rain, 3 of a colour image.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Shi et al. 2017 (arXiv:1706.03458), section 3.1 and Figure 1. There the strides are 5, 3 and 2 on 480x480
    pixels; convolutions between levels are here two wider than their stride, and the output is squashed by a sigmoid.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 96, 96),
        links: Sequence[int] = (13, 13, 9),
        strides: Sequence[int] = (2, 2, 2),
        channels: int = 1,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        if not len(hidden_channels) == len(links) == len(strides) > 0 or min(strides) < 1:
            raise ModelError(
                f"hidden_channels={list(hidden_channels)}, links={list(links)} and strides={list(strides)} must have"
                " one number for each level, strides at least 1"
            )
        self.hidden_channels, self.links, self.strides = hidden_channels, links, strides
        self.channels, self.scaling = channels, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        widths = [_OUTER, *hidden_channels[1:]]
        inputs = [channels, *hidden_channels[:-1]]
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, stride + 2, stride, padding=1) for a, b, stride in zip(inputs, widths, strides, strict=True)
        )
        self.encoder = nn.ModuleList(
            layers.TrajGRU(a, [b], links=count, batch_first=True)
            for a, b, count in zip(widths, hidden_channels, links, strict=True)
        )
        above = [*hidden_channels[:-1], 0]
        self.forecaster = nn.ModuleList(
            layers.TrajGRU(a, [b], links=count, batch_first=True)
            for a, b, count in zip(above, hidden_channels, links, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, stride + 2, stride, padding=1)
            for (a, b), stride in zip(pairwise([_OUTER, *hidden_channels]), strides, strict=True)
        )
        self.refine = nn.Conv2d(_OUTER, _OUTER, 3, padding=1)
        self.output = nn.Conv2d(_OUTER, channels, 1)
        nn.init.constant_(self.output.bias, DRY_LOGIT)  # type: ignore[arg-type]  # it has a bias

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid.

        Args:
            past: grey levels in [0, 1]; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(past)
        height, width = past.shape[-2:]
        frames, states = padded(past, math.prod(self.strides)), []
        for convolution, layer in zip(self.down, self.encoder, strict=True):
            frames, state = layer(_each(convolution, frames))
            states.append(state)
        hidden: Tensor | None = None
        for layer, upsampling, state in reversed(list(zip(self.forecaster, self.up, states, strict=True))):
            hidden, _ = layer(hidden, state, steps=None if hidden is not None else steps)
            hidden = _each(upsampling, hidden)
        assert hidden is not None  # there is at least one level
        logits: Tensor = self.output(leaky_relu(self.refine(hidden.flatten(0, 1)), 0.2))
        return logits.reshape(*hidden.shape[:2], *logits.shape[1:])[..., :height, :width]


def _each(convolution: nn.Module, frames: Tensor) -> Tensor:
    """A convolution and a leaky ReLU of every frame (batch, time, channel, y, x)."""
    made = leaky_relu(convolution(frames.flatten(0, 1)), 0.2)
    return made.reshape(*frames.shape[:2], *made.shape[1:])
