"""A bar in the terminal while a model trains."""

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingBar(pl.Callback):
    """Steps done, time left, the last loss and the last score on the validation windows.

    Args:
        what: is trained, in front of the bar.
    """

    def __init__(self, what: str = "training") -> None:
        self._bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar, at the step where a resumed run goes on."""
        self._bar.start()
        self._task = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Move it."""
        metrics = trainer.callback_metrics
        words = [f"loss {metrics['train/loss']:.4f}"] if "train/loss" in metrics else []
        if "validation/csi" in metrics:
            words.append(f"CSI {metrics['validation/csi']:.3f}")
        elif "validation/loss" in metrics:
            words.append(f"validation loss {metrics['validation/loss']:.4g}")
        self._bar.update(self._task, completed=trainer.global_step, description="  ".join(words))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the terminal as it was, however the training ended."""
        self._bar.stop()
