"""Convolutions that forecast the next frame from the last few alone, without a state: the comparison for recurrence.

::

    the last N frames (N x channel, y, x) -> patches -> convolution, ReLU -> ... -> 1x1 convolution, sigmoid -> next

    >>> import torch
    >>> model = ConvPredictor(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context
from echocast.models._next_frame import Frames, Future, NextFrameForecaster
from echocast.models.base import DRY_LOGIT
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.patches import from_patches, to_patches


class ConvPredictor(NextFrameForecaster):
    """Forecasts the next frame from the last `frames` frames; where there are fewer, the first counts again.

    Args:
        hidden_channels: channels of each layer but the last.
        frames: how many frames it sees.
        kernel: odd size of all convolutions but the last.
        patch: side of the patches that a frame is cut into; a frame it does not divide gets rows and columns of 0.
        channels: of each frame: 1 of rain or a grey image, 3 of a colour image.
        rollout_weight: how much forecasts from its own forecasts count in training, beside those of the next frame.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: our own, as wide as `ConvLSTMPredictor`.
    """

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 64),
        frames: int = 2,
        kernel: int = 3,
        patch: int = 2,
        channels: int = 1,
        rollout_weight: float = 0.0,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        if frames < 1 or kernel % 2 == 0:
            raise ValueError(f"frames={frames} must be at least 1, and kernel={kernel} odd")
        self.hidden_channels, self.frames, self.kernel = hidden_channels, frames, kernel
        self.patch, self.channels, self.scaling = patch, channels, scaling
        self.grid_km, self.time_step_minutes, self.rollout_weight = grid_km, time_step_minutes, rollout_weight
        self.multiple = patch
        cells = channels * patch * patch
        widths = [frames * cells, *hidden_channels]
        layers: list[nn.Module] = []
        for before, after in zip(widths, hidden_channels, strict=False):
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], cells, kernel_size=1))
        nn.init.constant_(self.layers[-1].bias, DRY_LOGIT)  # type: ignore[arg-type]  # it has a bias

    def next_frames(self, frames: Frames) -> Frames:
        """Logits of the frame after each frame; grey levels in, NaN counts as 0."""
        self.check_channels(frames)
        patches = to_patches(frames.nan_to_num(0.0), self.patch)
        first = patches[:, :1].expand(-1, self.frames - 1, -1, -1, -1)
        held, count = torch.cat([first, patches], dim=1), frames.shape[1]
        seen = torch.cat([held[:, n : n + count] for n in range(self.frames)], dim=2)
        logits: Tensor = self.layers(seen.flatten(0, 1))
        return from_patches(logits.reshape(*seen.shape[:2], -1, *seen.shape[3:]), self.patch)

    def forward(self, past: Frames, steps: int, context: Context = UNKNOWN) -> Future:
        """The future's logits, each frame from the last ones, its own forecasts among them.

        Args:
            past: grey levels in [0, 1], both sides divisible by the patch; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used: the network knows only the data that it learned from.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(past)
        seen, made = past.nan_to_num(0.0)[:, -self.frames :], []
        for _ in range(steps):
            made.append(self.next_frames(seen)[:, -1:])
            seen = torch.cat([seen, torch.sigmoid(made[-1])], dim=1)[:, -self.frames :]
        return torch.cat(made, dim=1)
