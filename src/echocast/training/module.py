"""The forecaster as Lightning trains it: batches of windows in, a loss out, an average of the weights kept.

Everything random comes from the seed and the number of the step, never from a global state, so a resumed run draws what
an uninterrupted one would have drawn.

    >>> from echocast.models.encoder_forecaster import EncoderForecaster
    >>> from echocast.training.losses import Balanced
    >>> module = ForecastModule(EncoderForecaster(hidden_channels=[4]), Balanced(), past=2, optimiser=Optimiser())
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from echocast.context import Context
from echocast.errors import ExperimentError
from echocast.models.base import LearnedEnsemble, LearnedForecaster
from echocast.samples.batches import Batch
from echocast.verification.scores import contingency

WATCHED_MM_H = (0.5, 1.0, 2.0, 5.0)
"""The thresholds whose CSI on the validation windows decides which weights are kept."""


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """How weights follow gradients: Adam, with a learning rate that rises, stays and falls in straight lines.

    Args:
        learning_rate: the rate between rise and fall.
        warmup: steps of rise.
        decay: share of all steps, at the end, over which the rate falls to 0.
        clip: the largest norm of a gradient; longer ones are shortened to it.
        averaging: how much of the averaged weights each step keeps; 0 keeps no average.
        weight_decay: how much of each weight a step at a learning rate of 1 would take away, beside its gradient.
    """

    learning_rate: float = 1e-3
    warmup: int = 50
    decay: float = 0.4
    clip: float = 1.0
    averaging: float = 0.995
    weight_decay: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        """The share of `learning_rate` to use at a step out of `steps`."""
        fall = max(1.0, self.decay * steps)
        return max(0.0, min(1.0, (step + 1) / max(1, self.warmup), (steps - step) / fall))


class ForecastModule(pl.LightningModule):
    """Trains a forecaster with weights.

    Args:
        forecaster: has a ``scaling`` and a differentiable ``forward(levels, steps)`` that gives logits.
        loss: takes (logits, observed, scaling, time_step_minutes).
        past: how many frames of a window are input; the others are to be forecast.
        optimiser: how weights follow gradients.
        seed: what augmentation draws from.
    """

    def __init__(
        self, forecaster: LearnedForecaster, loss: nn.Module, *, past: int, optimiser: Optimiser, seed: int = 0
    ) -> None:
        super().__init__()
        self.forecaster, self.loss = forecaster, loss
        self.past, self.optimiser, self.seed = past, optimiser, seed
        average = partial(_follow, keep=optimiser.averaging)
        self.average = AveragedModel(forecaster, avg_fn=average) if optimiser.averaging else None
        if self.average is not None:
            self.average.requires_grad_(False)  # it follows; several processes would wait for its gradients

    @property
    def trained(self) -> LearnedForecaster:
        """The forecaster to keep: the averaged one if an average is kept."""
        kept = self.average.module if self.average is not None else self.forecaster
        assert isinstance(kept, LearnedForecaster)  # AveragedModel forgets the type of what it copies
        return kept

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of a batch, turned or mirrored at random."""
        rng = np.random.default_rng([self.seed, self.global_step])
        torch.manual_seed(_drawn([self.seed, self.global_step, self.global_rank]))  # what dropout hides
        loss = self._loss(Batch(turn(batch.windows, rng), batch.past, batch.context), self.forecaster)
        self._stop_if_lost(loss)
        self.log("train/loss", loss, prog_bar=True, sync_dist=self.trainer.world_size > 1)
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def _stop_if_lost(self, loss: Tensor) -> None:
        """
        Raises:
            ExperimentError: the loss is no number; the message says which weights are none, or what else it may be.
        """
        if torch.isfinite(loss.detach()):
            return
        lost = [name for name, value in self.forecaster.named_parameters() if not value.isfinite().all()]
        cause = (
            f"{len(lost)} weights are no numbers any more, {lost[0]} first: lower optimiser.learning_rate or"
            " optimiser.clip"
            if lost
            else "all weights are numbers, so the arithmetic overflowed: try training.precision = '32-true'"
        )
        raise ExperimentError(
            f"the loss is {float(loss.detach())} at step {self.global_step}; {cause}. The run's last checkpoint is"
            " from before: go on from it with --resume and other settings"
        )

    def on_train_batch_end(self, *_: object) -> None:
        """Let the average follow the weights."""
        if self.average is not None:
            self.average.update_parameters(self.forecaster)

    def validation_step(self, windows: Float[Tensor, "batch time channel y x"]) -> None:
        """The loss and the contingency table of the forecaster that would be kept."""
        past, future = windows[:, : self.past], windows[:, self.past :]
        context = Context(self.trained.grid_km, self.trained.time_step_minutes)
        loss = self._loss(Batch(windows, self.past, context), self.trained)
        self.log("validation/loss", loss, batch_size=len(windows))
        forecast = self.trained.forecast(past, future.shape[1])
        self._tables.append(_hits_misses_alarms(forecast, future))

    def on_validation_epoch_start(self) -> None:
        """Start the contingency table anew."""
        self._tables: list[Tensor] = []

    def on_validation_epoch_end(self) -> None:
        """CSI by threshold, pooled over windows and averaged over leads."""
        hits, misses, alarms = torch.stack(self._tables).sum(0).unbind(-1)
        csi = (hits / (hits + misses + alarms)).nan_to_num(0.0).mean(dim=0)
        for threshold, value in zip(WATCHED_MM_H, csi, strict=True):
            self.log(f"validation/csi_{threshold:g}", value)
        self.log("validation/csi", csi.mean(), prog_bar=True)

    def score(self, metrics: Mapping[str, float]) -> float:
        """What decides which weights are kept: the CSI of the one forecast, or the loss of members."""
        return -metrics["validation/loss"] if getattr(self.loss, "members", 0) else metrics["validation/csi"]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam and its schedule by step."""
        learned = [weight for weight in self.forecaster.parameters() if weight.requires_grad]
        adam = torch.optim.AdamW(learned, self.optimiser.learning_rate, weight_decay=self.optimiser.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(adam, lambda step: self.optimiser.factor(step, steps))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, batch: Batch, forecaster: LearnedForecaster) -> Tensor:
        past, future = batch.windows[:, : batch.past], batch.windows[:, batch.past :]
        scaling = forecaster.scaling
        logits = self._logits(scaling.to_level(past), future.shape[1], batch.context, forecaster)
        loss: Tensor = self.loss(logits.float(), future, scaling, batch.context.time_step_minutes)
        return loss

    def _logits(self, levels: Tensor, steps: int, context: Context, forecaster: LearnedForecaster) -> Tensor:
        """Of the one forecast, or of as many members as the loss wants."""
        members = getattr(self.loss, "members", 0)
        if not members:
            logits: Tensor = forecaster(levels, steps, context)
            return logits
        if not isinstance(forecaster, LearnedEnsemble):
            raise ExperimentError(f"the loss wants {members} members, and {type(forecaster).__name__} makes none")
        generator = torch.Generator().manual_seed(_drawn([self.seed, self.global_step]))
        return forecaster.member_logits(levels, steps, members, context, generator)


def turn(windows: Float[Tensor, "batch time channel y x"], rng: np.random.Generator) -> Tensor:
    """A batch mirrored along y, x and the diagonal, each by the toss of a coin."""
    changes: list[Callable[[Tensor], Tensor]] = [lambda w: w.flip(-1), lambda w: w.flip(-2)]
    if windows.shape[-1] == windows.shape[-2]:
        changes.append(lambda w: w.transpose(-1, -2))
    for change in changes:
        if rng.random() < 0.5:
            windows = change(windows)
    return windows


def _drawn(numbers: Sequence[int]) -> int:
    """A seed that belongs to these numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _follow(average: Tensor, weight: Tensor, count: Tensor | int, *, keep: float) -> Tensor:
    """An exponential average that forgets its first, untrained values quickly."""
    now = float(count)
    return torch.lerp(average, weight, 1.0 - min(keep, (1.0 + now) / (10.0 + now)))


def _hits_misses_alarms(forecast: Tensor, observed: Tensor) -> Tensor:
    """Counts (lead, threshold, 3) of one batch."""
    sums = contingency.statistics(
        forecast.flatten(1, 2).cpu().numpy(), observed.flatten(1, 2).cpu().numpy(), thresholds=WATCHED_MM_H
    )
    return torch.stack([torch.as_tensor(sums[name]) for name in ("hits", "misses", "false_alarms")], dim=-1)
