"""Forecasters of the next frame: every frame of a window teaches, and more frames come of their own forecasts."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from echocast.context import UNKNOWN, Context
from echocast.models import frames as framing
from echocast.models.base import LearnedForecaster

Frames = Float[Tensor, "batch time channel y x"]
Future = Float[Tensor, "batch steps channel y x"]


class NextFrameForecaster(LearnedForecaster):
    """What forecasters of the next frame share; a subclass has `next_frames` and `forward`."""

    rollout_weight: float = 0.0
    """How much the errors of the future count in training that is forecast from the past alone, each frame from its own
    forecast of the one before."""
    multiple: int = 1
    """The sides of a frame must be multiples of it; `forecast` and the loss add cells of 0 below and to the right."""

    @abstractmethod
    def next_frames(self, frames: Frames) -> Frames:
        """Logits of the frame after each frame, from it and those before it; grey levels in, NaN counts as 0."""

    def training_loss(self, windows: Frames, past: int, context: Context = UNKNOWN) -> Float[Tensor, ""]:
        """The squared error of one-step forecasts: summed over a frame's cells, the mean over all frames but the first.

        With a ``rollout_weight`` the same of the future's frames is added, each forecast from the forecasts before it.

        Args:
            windows: past and future in the unit of the field, NaN where nothing is observed: such cells are left out.
            past: how many frames are known to the forecast of the future; of no account without a `rollout_weight`.
            context: not used.

        Raises:
            ValueError: fewer than 2 frames.
        """
        check_two_frames(windows)
        levels = self.scaling.to_level(windows)
        loss = self.one_step_errors(levels).mean()
        if not self.rollout_weight:
            return loss
        future = self(self.padded(levels[:, :past]), levels.shape[1] - past)
        return loss + self.rollout_weight * _errors(future, levels[:, past:]).mean()

    def one_step_errors(self, levels: Frames) -> Float[Tensor, "batch later"]:
        """The squared error of each frame but the first, summed over its cells, of grey levels in [0, 1]."""
        return _errors(self.next_frames(self.padded(levels[:, :-1])), levels[:, 1:])

    def padded(self, levels: Tensor) -> Tensor:
        """The same with sides that the network can take, 0 for what is NaN."""
        return framing.padded(levels, self.multiple)

    def fitted(self, past: Frames, steps: int, context: Context = UNKNOWN) -> Future:
        """`forward` on a grid of any size: rows and columns of 0 are added, and cut off again."""
        height, width = past.shape[-2:]
        logits: Tensor = self(self.padded(past), steps, context)
        return logits[..., :height, :width]

    def _forecast(self, past: Frames, steps: int, context: Context) -> Future:
        return self.scaling.to_values(torch.sigmoid(self.fitted(self.scaling.to_level(past), steps)))


def check_two_frames(windows: Tensor) -> None:
    """Raise `ValueError` for windows (batch, time, ...) without a next frame."""
    if windows.shape[1] < 2:
        raise ValueError(f"next frames are learned from at least 2 frames; got {windows.shape[1]}")


def cross_entropy(logits: Frames, truth: Frames) -> Float[Tensor, ""]:
    """The binary cross-entropy of grey levels, a mean over what is observed of the truth."""
    losses = binary_cross_entropy_with_logits(logits, truth.nan_to_num(0.0), reduction="none")
    return framing.observed_mean(losses, truth)


def _errors(logits: Tensor, truth: Tensor) -> Tensor:
    """Squared errors (batch, time) of padded logits, summed over a frame's cells."""
    height, width = truth.shape[-2:]
    errors = (torch.sigmoid(logits[..., :height, :width]) - truth).square()
    return errors.where(truth.isfinite(), 0.0).sum(dim=(2, 3, 4))
