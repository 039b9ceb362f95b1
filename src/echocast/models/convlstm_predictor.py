"""ConvLSTM layers that forecast the next frame at every time step; more frames by being fed their own forecasts.

::

    frame (channel, y, x) -> patches -> ConvLSTM 1 -> ... -> ConvLSTM L -> 1x1 convolution, sigmoid -> the next frame
                                            |_ state _|          |_ state _|

    >>> import torch
    >>> model = ConvLSTMPredictor(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context
from echocast.models._next_frame import Frames, Future, NextFrameForecaster
from echocast.models.base import DRY_LOGIT
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.patches import from_patches, to_patches


class ConvLSTMPredictor(NextFrameForecaster):
    """Forecasts the next frame from a state that has seen all frames before.

    Args:
        hidden_channels: hidden channels of each ConvLSTM layer.
        kernel: odd size of all convolutions but the last.
        patch: side of the patches that a frame is cut into; a frame it does not divide gets rows and columns of 0.
        channels: of each frame: 1 of rain or a grey image, 3 of a colour image.
        forget_bias: initial bias of the forget gates.
        rollout_weight: how much forecasts from its own forecasts count in training, beside those of the next frame.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: ConvLSTM layers as in Shi et al. 2015 (arXiv:1506.04214); the training on every next frame as in the code of
    loliverhennigh's convolutional LSTM for bouncing balls, whose strided convolutions are patches here.
    """

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (32, 32),
        kernel: int = 3,
        patch: int = 2,
        channels: int = 1,
        forget_bias: float = 1.0,
        rollout_weight: float = 0.0,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.kernel, self.patch, self.channels = hidden_channels, kernel, patch, channels
        self.forget_bias, self.scaling = forget_bias, scaling
        self.grid_km, self.time_step_minutes, self.rollout_weight = grid_km, time_step_minutes, rollout_weight
        self.multiple = patch
        cells = channels * patch * patch
        self.recurrent = ConvLSTM(
            cells, list(hidden_channels), batch_first=True, input_kernel=kernel, state_kernel=kernel,
            forget_bias=forget_bias,
        )  # fmt: skip
        self.output = nn.Conv2d(hidden_channels[-1], cells, kernel_size=1)
        nn.init.constant_(self.output.bias, DRY_LOGIT)  # type: ignore[arg-type]  # it has a bias

    def next_frames(self, frames: Frames) -> Frames:
        """Logits of the frame after each frame; grey levels in, NaN counts as 0."""
        self.check_channels(frames)
        return self._read(frames, None)[0]

    def forward(self, past: Frames, steps: int, context: Context = UNKNOWN) -> Future:
        """The future's logits, each frame from its own forecast of the one before.

        Args:
            past: grey levels in [0, 1], both sides divisible by the patch; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used: the network knows only the data that it learned from.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(past)
        logits, state = self._read(past, None)
        made = [logits[:, -1:]]
        while len(made) < steps:
            logits, state = self._read(torch.sigmoid(made[-1]), state)
            made.append(logits)
        return torch.cat(made, dim=1)

    def _read(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What follows each frame, and the state from which more frames can follow."""
        hidden, state = self.recurrent(to_patches(frames.nan_to_num(0.0), self.patch), state)
        logits = self.output(hidden.flatten(0, 1)).reshape(*hidden.shape[:2], -1, *hidden.shape[3:])
        return from_patches(logits, self.patch), state
