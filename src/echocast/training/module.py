"""The forecaster as Lightning trains it: batches of windows in, a loss out, an average of the weights beside it.

Everything random comes from the seed and the number of the step, never from a global state, so a resumed run draws what
an uninterrupted one would have drawn.

    >>> from echocast.models.encoder_forecaster import EncoderForecaster
    >>> from echocast.training.losses import Balanced
    >>> from echocast.training.experiment import parse
    >>> experiment = parse({"model": {"name": "encoder_forecaster"}, "data": {"train": "train.zarr"}})
    >>> module = ForecastModule(experiment, EncoderForecaster(hidden_channels=[4]), Balanced(), Context(1.0, 5.0))
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from echocast.fields import RAINFALL_RATE
from echocast.models.base import LearnedEnsemble, LearnedForecaster
from echocast.samples.augmentation import flipped
from echocast.samples.sources import Batch
from echocast.training.experiment import Experiment
from echocast.verification.scores import contingency

WATCHED_MM_H = (0.5, 1.0, 2.0, 5.0)
"""The thresholds whose CSI on the validation windows can decide which weights are kept."""


class ForecastModule(pl.LightningModule):
    """Trains a forecaster with weights.

    Args:
        experiment: lengths of past and future, the optimiser, precision, seed, and which weights are kept.
        forecaster: has a ``scaling`` and a differentiable ``forward(levels, steps)`` that gives logits.
        loss: takes (logits, observed, scaling, time_step_minutes).
        context: the cell size and time step of the validation windows.
    """

    def __init__(
        self, experiment: Experiment, forecaster: LearnedForecaster, loss: nn.Module, context: Context
    ) -> None:
        super().__init__()
        self.forecaster, self.loss, self.context = forecaster, loss, context
        self.data, self.training_table, self.optimiser = experiment.data, experiment.training, experiment.optimiser
        self.past, self.seed = experiment.data.past, experiment.training.seed
        average = partial(_follow, keep=self.optimiser.ema_decay)
        self.average = AveragedModel(forecaster, avg_fn=average) if self.optimiser.ema_decay else None
        if self.average is not None:
            self.average.requires_grad_(False)  # it follows; several processes would wait for its gradients

    @property
    def trained(self) -> LearnedForecaster:
        """The forecaster to keep: the averaged one if an average is kept."""
        kept = self.average.module if self.average is not None else self.forecaster
        assert isinstance(kept, LearnedForecaster)  # AveragedModel forgets the type of what it copies
        return kept

    def transfer_batch_to_device(
        self, batch: Batch | Tensor, device: torch.device, dataloader_idx: int
    ) -> Batch | Tensor:
        """Lightning does not look into a frozen context."""
        return batch.to(device)

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of a batch, turned or mirrored at random."""
        rng = np.random.default_rng([self.seed, self.global_step])
        torch.manual_seed(_drawn([self.seed, self.global_step, self.global_rank]))  # what dropout hides
        if self.data.flip:
            batch = batch._replace(windows=flipped(batch.windows, rng))
        with self._sixteen_bits():
            logits = self._logits(batch, self.forecaster)
        loss = self._loss(logits, batch, self.forecaster)
        self._stop_if_lost(loss)
        self.log("train/loss", loss, prog_bar=True, sync_dist=self.trainer.world_size > 1)
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def _stop_if_lost(self, loss: Tensor) -> None:
        """Raise `ExperimentError` for a loss that is NaN or infinite, saying which weights are, or what else it is."""
        if torch.isfinite(loss.detach()):
            return
        lost = [name for name, value in self.forecaster.named_parameters() if not value.isfinite().all()]
        cause = (
            f"{len(lost)} weights are NaN or infinite, {lost[0]} first: lower optimiser.learning_rate or"
            " optimiser.gradient_clip"
            if lost
            else "all weights are finite, so the arithmetic overflowed: try training.precision = '32-true'"
        )
        raise ExperimentError(
            f"the loss is {float(loss.detach())} at step {self.global_step}; {cause}. The run's last checkpoint is"
            " from before: go on from it with --resume and other settings"
        )

    def on_train_batch_end(self, *_: object) -> None:
        """Let the average follow the weights."""
        if self.average is not None:
            self.average.update_parameters(self.forecaster)

    @property
    def kept_by_loss(self) -> bool:
        """Whether the weights with the lowest loss are kept, and not those with the highest CSI."""
        wanted = self.training_table.keep_best
        return wanted == "loss" or (wanted is None and (bool(getattr(self.loss, "members", 0)) or not self.is_rain))

    @property
    def is_rain(self) -> bool:
        """Whether it learns rain rates."""
        return self.trained.scaling.quantity == RAINFALL_RATE.name

    @property
    def watches_csi(self) -> bool:
        """Whether validation computes the CSI."""
        return self.training_table.keep_best != "loss" and self.is_rain

    def on_validation_epoch_start(self) -> None:
        """Start the sums anew."""
        self._tables: list[Tensor] = []
        self._losses: list[tuple[float, int]] = []

    def validation_step(self, windows: Float[Tensor, "batch time channel y x"]) -> None:
        """The loss and the contingency table of the forecaster that would be kept."""
        batch = Batch(windows, self.past, self.context)
        loss = self._loss(self._logits(batch, self.trained), batch, self.trained)
        self._losses.append((float(loss), len(windows)))
        if self.watches_csi:
            past, future = windows[:, : self.past], windows[:, self.past :]
            self._tables.append(_hits_misses_alarms(self.trained.forecast(past, future.shape[1]), future))

    def on_validation_epoch_end(self) -> None:
        """The mean loss; and the CSI by threshold, pooled over windows and averaged over leads."""
        self.validation_loss = sum(loss * count for loss, count in self._losses) / sum(n for _, n in self._losses)
        self.log("validation/loss", self.validation_loss, prog_bar=True)
        if not self.watches_csi:
            return
        hits, misses, alarms = torch.stack(self._tables).sum(0).unbind(-1)
        csi = (hits / (hits + misses + alarms)).nan_to_num(0.0).mean(dim=0)
        for threshold, value in zip(WATCHED_MM_H, csi, strict=True):
            self.log(f"validation/csi_{threshold:g}", value)
        self.log("validation/csi", csi.mean(), prog_bar=True)

    def score(self, metrics: Mapping[str, float]) -> float:
        """What decides which weights are kept, the higher the better: minus the loss, or the CSI."""
        return -self.validation_loss if self.kept_by_loss else metrics["validation/csi"]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its learning rate by step."""
        made = self.optimiser.make(weight for weight in self.forecaster.parameters() if weight.requires_grad)
        steps = self.training_table.steps
        schedule = LambdaLR(made, lambda step: self.optimiser.factor(step, steps))
        return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, logits: Tensor, batch: Batch, forecaster: LearnedForecaster) -> Tensor:
        future = batch.windows[:, batch.past :]
        loss: Tensor = self.loss(logits.float(), future, forecaster.scaling, batch.context.time_step_minutes)
        return loss

    def _logits(self, batch: Batch, forecaster: LearnedForecaster) -> Tensor:
        """Of the deterministic forecast, or of as many members as the loss wants."""
        levels = forecaster.scaling.to_level(batch.windows[:, : batch.past])
        steps = batch.windows.shape[1] - batch.past
        members = getattr(self.loss, "members", 0)
        if not members:
            logits: Tensor = forecaster(levels, steps, batch.context)
            return logits
        if not isinstance(forecaster, LearnedEnsemble):
            raise ExperimentError(f"the loss wants {members} members, and {type(forecaster).__name__} makes none")
        generator = torch.Generator().manual_seed(_drawn([self.seed, self.global_step]))
        return forecaster.member_logits(levels, steps, members, batch.context, generator)

    def _sixteen_bits(self) -> AbstractContextManager[None]:
        """Products in bf16 if the experiment wants them in training only; Lightning sees to the other precisions."""
        if self.training_table.precision != "bf16-training":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


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
