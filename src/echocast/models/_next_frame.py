"""Forecasters of the next frame: every frame of a window teaches, and more frames come of their own forecasts."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from echocast.context import UNKNOWN, Context
from echocast.models.base import LearnedForecaster

Frames = Float[Tensor, "batch time channel y x"]
Future = Float[Tensor, "batch steps channel y x"]


class NextFrameForecaster(LearnedForecaster):
    """What forecasters of the next frame share; a subclass has `next_frames` and `forward`."""

    channels: int
    multiple: int = 1
    """The sides of a frame must be multiples of it; `forecast` and the loss add cells of 0 below and to the right."""

    @abstractmethod
    def next_frames(self, frames: Frames) -> Frames:
        """Logits of the frame after each frame, from it and those before it; grey levels in, NaN counts as 0."""

    def training_loss(self, windows: Frames, past: int, context: Context = UNKNOWN) -> Float[Tensor, ""]:
        """The squared error of one-step forecasts: summed over a frame's cells, the mean over all frames but the first.

        Args:
            windows: past and future in the unit of the field, NaN where nothing is observed: such cells are left out.
            past: not used: every frame but the first is forecast from those before it.
            context: not used.

        Raises:
            ValueError: fewer than 2 frames.
        """
        if windows.shape[1] < 2:
            raise ValueError(f"next frames are learned from at least 2 frames; got {windows.shape[1]}")
        return self.one_step_errors(self.scaling.to_level(windows)).mean()

    def one_step_errors(self, levels: Frames) -> Float[Tensor, "batch later"]:
        """The squared error of each frame but the first, summed over its cells, of grey levels in [0, 1]."""
        height, width = levels.shape[-2:]
        logits = self.next_frames(self.padded(levels[:, :-1]))[..., :height, :width]
        errors = (torch.sigmoid(logits) - levels[:, 1:]).square()
        return errors.where(levels[:, 1:].isfinite(), 0.0).sum(dim=(2, 3, 4))

    def padded(self, levels: Tensor) -> Tensor:
        """The same with sides that the network can take, 0 for what is NaN."""
        height, width = levels.shape[-2:]
        return pad(levels.nan_to_num(0.0), (0, -width % self.multiple, 0, -height % self.multiple))

    def check_channels(self, frames: Tensor) -> None:
        """
        Raises:
            ValueError: another number of channels than its own.
        """
        if frames.shape[2] != self.channels:
            name = type(self).__name__
            raise ValueError(f"this {name} has channels={self.channels}; got frames of {frames.shape[2]} channels")

    def _forecast(self, past: Frames, steps: int, context: Context) -> Future:
        height, width = past.shape[-2:]
        future = torch.sigmoid(self(self.padded(self.scaling.to_level(past)), steps))
        return self.scaling.to_values(future[..., :height, :width])
