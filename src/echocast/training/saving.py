"""What a run saves after each validation: a line of metrics, the best weights, and what a resumed run needs."""

import csv
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from echocast.errors import DataError
from echocast.training.module import TrainingModule

log = logging.getLogger(__name__)

WEIGHTS, LAST, METRICS = "weights.safetensors", "last.ckpt", "metrics.csv"
"""The files of a run."""


class SaveRun(pl.Callback):
    """Saves after each validation, each file whole or not at all.

    Args:
        out: the run's folder.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.best, self.seconds = out, -np.inf, 0.0

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and the seconds that the run has taken."""
        return {"best": self.best, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the score and the time of the run that is resumed."""
        self.best, self.seconds = state_dict["best"], state_dict["seconds"]

    def on_train_start(self, *_: object) -> None:
        """Start the clock."""
        self._begun = time.monotonic() - self.seconds

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save."""
        assert isinstance(pl_module, TrainingModule)  # the only module that `fit` trains
        if trainer.sanity_checking:
            return
        self.seconds = time.monotonic() - self._begun
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        score = pl_module.score(metrics)
        better = score > self.best
        self.best = max(self.best, score)
        if trainer.is_global_zero:
            if better:
                pl_module.save_weights(self.out / WEIGHTS)
            self._append({"step": trainer.global_step, "seconds": self.seconds} | metrics)
            log.info(
                "%s: step %d of %d, %.0f s, loss %.5g, validation loss %.5g",
                self.out.name,
                trainer.global_step,
                trainer.max_steps,
                self.seconds,
                metrics["train/loss"],
                pl_module.validation_loss,
            )
        self._save_last(trainer)

    def _save_last(self, trainer: pl.Trainer) -> None:
        partial = self.out / ".last.ckpt.partial"
        try:
            trainer.save_checkpoint(partial)  # all processes take part, the first one writes
            if trainer.is_global_zero:
                partial.replace(self.out / LAST)
        except (OSError, RuntimeError) as bad:
            raise DataError(
                f"{self.out}: the run cannot be saved ({bad}); is the disk full? free some, then --resume"
            ) from bad

    def _append(self, row: Mapping[str, float | int]) -> None:
        path = self.out / METRICS
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
