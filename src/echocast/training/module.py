"""The network as Lightning trains it: batches in, a loss out, an average of the weights beside it.

Everything random comes from the seed and the number of the step, never from a global state, so a resumed run draws what
an uninterrupted one would have drawn. What a batch is and which loss it has is the task's: each module of
`echocast.training.tasks` has a subclass.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from echocast.errors import ExperimentError
from echocast.training.experiment import Experiment


@runtime_checkable
class AnyBatch(Sized, Protocol):
    """What is learned from at once; its length is the number of cases."""

    def to(self, device: torch.device) -> Any:
        """The same with its tensors on a device."""


N = TypeVar("N", bound=nn.Module)
B = TypeVar("B", bound=AnyBatch)


class TrainingModule(pl.LightningModule, Generic[N, B]):
    """Trains a network.

    Args:
        experiment: the optimiser, precision, seed, and which weights are kept.
        network: what is trained.
    """

    def __init__(self, experiment: Experiment, network: N) -> None:
        super().__init__()
        self.network = network
        self.training_table, self.optimiser = experiment.training, experiment.optimiser
        self.seed = experiment.training.seed
        average = partial(_follow, keep=self.optimiser.ema_decay)
        self.average = AveragedModel(network, avg_fn=average) if self.optimiser.ema_decay else None
        if self.average is not None:
            self.average.requires_grad_(False)  # it follows; several processes would wait for its gradients

    @abstractmethod
    def outputs(self, batch: B, network: N) -> Any:
        """What the network makes of a batch; its products may be in 16 bits."""

    @abstractmethod
    def loss_of(self, outputs: Any, batch: B) -> Tensor:
        """The loss of what the network made."""

    @abstractmethod
    def save_weights(self, path: Path) -> None:
        """Write the network to keep as a checkpoint."""

    def varied(self, batch: B, rng: np.random.Generator) -> B:
        """A training batch varied at random."""
        return batch

    @property
    def trained(self) -> N:
        """The network to keep: the averaged one if an average is kept."""
        return self.average.module if self.average is not None else self.network  # type: ignore[return-value]  # AveragedModel forgets the type of what it copies

    def transfer_batch_to_device(self, batch: B, device: torch.device, dataloader_idx: int) -> B:
        """Lightning does not look into a batch."""
        moved: B = batch.to(device)
        return moved

    def training_step(self, batch: B) -> Tensor:
        """The loss of a batch."""
        rng = np.random.default_rng([self.seed, self.global_step])
        torch.manual_seed(drawn([self.seed, self.global_step, self.global_rank]))  # what dropout hides
        batch = self.varied(batch, rng)
        with self._sixteen_bits():
            outputs = self.outputs(batch, self.network)
        loss = self.loss_of(outputs, batch)
        self._stop_if_lost(loss)
        self.log("train/loss", loss, prog_bar=True, sync_dist=self.trainer.world_size > 1, batch_size=len(batch))
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=len(batch))
        return loss

    def _stop_if_lost(self, loss: Tensor) -> None:
        """Raise `ExperimentError` for a loss that is NaN or infinite, saying which weights are, or what else it is."""
        if torch.isfinite(loss.detach()):
            return
        lost = [name for name, value in self.network.named_parameters() if not value.isfinite().all()]
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
            self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        """Start the sums anew."""
        self._losses: list[tuple[float, int]] = []

    def validation_step(self, batch: B) -> None:
        """The loss of the network that would be kept."""
        loss = self.loss_of(self.outputs(batch, self.trained), batch)
        self._losses.append((float(loss), len(batch)))

    def on_validation_epoch_end(self) -> None:
        """The mean loss."""
        self.validation_loss = sum(loss * count for loss, count in self._losses) / sum(n for _, n in self._losses)
        self.log("validation/loss", self.validation_loss, prog_bar=True)

    def score(self, metrics: Mapping[str, float]) -> float:
        """What decides which weights are kept, the higher the better: minus the loss, unless a task knows better."""
        return -self.validation_loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its learning rate by step."""
        made = self.optimiser.make(weight for weight in self.network.parameters() if weight.requires_grad)
        steps = self.training_table.steps
        schedule = LambdaLR(made, lambda step: self.optimiser.factor(step, steps))
        return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _sixteen_bits(self) -> AbstractContextManager[None]:
        """Products in bf16 if the experiment wants them in training only; Lightning sees to the other precisions."""
        if self.training_table.precision != "bf16-training":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def drawn(numbers: Sequence[int]) -> int:
    """A seed that belongs to these numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _follow(average: Tensor, weight: Tensor, count: Tensor | int, *, keep: float) -> Tensor:
    """An exponential average that forgets its first, untrained values quickly."""
    now = float(count)
    return torch.lerp(average, weight, 1.0 - min(keep, (1.0 + now) / (10.0 + now)))
