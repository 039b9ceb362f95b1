"""An experiment becomes a run: a folder with weights.

::

    experiment.toml      the experiment with every default and every setting in it
    weights.safetensors  the best weights on the validation windows so far, for `echocast nowcast --model`
    last.ckpt            everything that a resumed run needs
    metrics.csv          losses and scores by step; the same for TensorBoard in tensorboard/

Several processes, one a device, share each batch when `torchrun` starts them:
``torchrun --no-python --nproc-per-node 2 echocast train experiment.toml``. The losses are those of one process.

The run is saved after every validation, each file whole or not at all, so stopping it at any moment loses at most the
steps since; a resumed run ends with the same weights as one that was never stopped.

    >>> from echocast.training import experiment, fit
    >>> fit.fit(experiment.load(Path("experiments/taasrad19.toml")), Path("runs/taasrad19"))  # doctest: +SKIP
"""

import csv
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import tomli_w
import xarray as xr
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from echocast import archive, fields
from echocast.errors import DataError, ExperimentError
from echocast.models import base
from echocast.nn.sequence import RecurrentLayers
from echocast.samples import segments, splits, windows
from echocast.samples.batches import Batches, Rounds, Source, of_another, of_archive
from echocast.training.experiment import Experiment
from echocast.training.module import ForecastModule

log = logging.getLogger(__name__)


def fit(experiment: Experiment, out: Path, *, resume: bool = False, callbacks: tuple[pl.Callback, ...] = ()) -> bool:
    """Train, or go on training, into the folder `out`.

    Args:
        experiment: what to train on what.
        out: the run's folder; a new one unless `resume`.
        resume: go on from the folder's ``last.ckpt``.
        callbacks: more of Lightning's callbacks, such as a progress bar.

    Returns:
        Whether it came to its end; False if it was interrupted.

    Raises:
        ExperimentError: the folder holds another run, or none to resume.
        MissingFrames: the archives have no window long enough or wet enough.
    """
    last = out / "last.ckpt"
    if resume and not last.exists():
        raise ExperimentError(f"{out}: holds no last.ckpt to resume; train without --resume, or give the run's folder")
    if not resume and last.exists():
        raise ExperimentError(f"{out}: already holds a run; go on with --resume, or give another folder by --out")
    _quiet()
    rank, world = _place()
    batch = experiment.training.batch
    if batch % world:
        raise ExperimentError(f"training.batch = {batch} cannot be shared by {world} processes; take a multiple of it")
    learned, validation = _sources(experiment)
    pl.seed_everything(experiment.training.seed, verbose=False)
    module = _module(experiment, learned[0])
    if rank == 0:
        _write_experiment(experiment, out)
    trainer = _trainer(experiment, out, callbacks)
    with _interruptible(), warnings.catch_warnings():
        # Windows come from memory faster than a worker process could send them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(
            module,
            DataLoader(
                Batches(
                    learned,
                    share=experiment.data.share_of_others,
                    size=batch,
                    seed=experiment.training.seed,
                    rank=rank,
                    world=world,
                ),
                batch_size=None,
                sampler=Rounds(experiment.training.every),
            ),
            DataLoader(_in_memory(validation), 2 * batch),
            ckpt_path=last if resume else None,
            weights_only=False,
        )
    return not trainer.interrupted


class Keep(pl.Callback):
    """After each validation: a line of metrics, the best weights, and what a resumed run needs."""

    def __init__(self, out: Path) -> None:
        self.out, self.best = out, -np.inf

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score of the run that is resumed."""
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, each file whole or not at all."""
        assert isinstance(pl_module, ForecastModule)  # the only module that `fit` trains
        if trainer.sanity_checking:
            return
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        score = pl_module.score(metrics)
        better = score > self.best
        self.best = max(self.best, score)
        if trainer.is_global_zero:
            if better:
                base.save(pl_module.trained, self.out / "weights.safetensors")
            self._append({"step": trainer.global_step} | metrics)
        partial = self.out / ".last.ckpt.partial"
        try:
            trainer.save_checkpoint(partial)  # all processes take part, the first one writes
            if trainer.is_global_zero:
                partial.replace(self.out / "last.ckpt")
        except (OSError, RuntimeError) as bad:
            raise DataError(
                f"{self.out}: the run cannot be saved ({bad}); is the disk full? free some, then --resume"
            ) from bad

    def _append(self, row: Mapping[str, float | int]) -> None:
        path = self.out / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def _sources(experiment: Experiment) -> tuple[list[Source], Source]:
    """What is learned from, the archive to forecast for first; and what is validated with."""
    data = experiment.data
    train = archive.open(data.train)
    if data.validation is None:
        parts = [(train, splits.by_fractions(train, "train")), (train, splits.by_fractions(train, "validation"))]
    else:
        other = archive.open(data.validation)
        fields.check_same_grid(train, other, str(data.validation))
        _refuse_shared_frames(train, other, data.validation)
        parts = [(train, segments.segments(train)), (other, segments.segments(other))]
    strides = (data.stride, max(data.stride, (data.past + data.future) // 2))
    names = ("training", "validation")
    first, held = [
        of_archive(*part, data, stride, name) for part, stride, name in zip(parts, strides, names, strict=True)
    ]
    return [first, *(of_another(archive.open(path), data) for path in data.others)], held


def _in_memory(source: Source) -> windows.Windows:
    data = source.data
    return windows.Windows(source.field, source.starts, past=data.past, future=data.future, in_memory=True)


def _refuse_shared_frames(train: xr.DataArray, validation: xr.DataArray, path: Path) -> None:
    seen = [field.time.values[field.observed.values] for field in (train, validation)]
    shared = np.intersect1d(*seen)
    if shared.size:
        raise DataError(
            f"{path}: shares {shared.size} frames with the training archive, the first at {shared[0]};"
            " a score on them would be worthless: archive other days, or leave data.validation out"
        )


def _module(experiment: Experiment, source: Source) -> ForecastModule:
    training = experiment.training
    model = experiment.make_model(grid_km=source.grid_km, time_step_minutes=source.time_step_minutes)
    if training.start is not None:
        _start_from(model, training.start)
    for name, weight in model.named_parameters():
        weight.requires_grad_(not training.only or name.startswith(training.only))
    _drop(model, training.dropout)
    if not any(weight.requires_grad for weight in model.parameters()):
        parts = ", ".join(sorted({name.partition(".")[0] for name, _ in model.named_parameters()}))
        raise ExperimentError(f"training.only = {list(training.only)} names no part of the model; it has {parts}")
    return ForecastModule(
        model,
        experiment.make_loss(),
        past=experiment.data.past,
        optimiser=experiment.optimiser,
        seed=training.seed,
    )


def _drop(model: nn.Module, share: float) -> None:
    """Let training hide a share of what the recurrent layers give."""
    layers = [part for part in model.modules() if isinstance(part, RecurrentLayers)]
    if not 0 <= share < 1:
        raise ExperimentError(f"training.dropout = {share:g} is no share in [0, 1); 0 hides nothing, 0.2 is usual")
    if share and not any(part.num_layers > 1 for part in layers):
        raise ExperimentError(
            f"training.dropout = {share:g} hides what one recurrent layer gives the next, and this model has no two;"
            " leave it out, or give model.hidden_channels two numbers"
        )
    for part in layers:
        part.dropout = share


def _start_from(model: base.LearnedForecaster, path: Path) -> None:
    """Take over the weights of a checkpoint; what it lacks keeps its first weights."""
    weights = base.load(path).state_dict()
    own = model.state_dict()
    wrong = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    if wrong:
        raise ExperimentError(f"training.start = {path}: does not fit the model of this experiment ({wrong[0]})")
    model.load_state_dict(weights, strict=False)


def _write_experiment(experiment: Experiment, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "experiment.toml").write_text(tomli_w.dumps(experiment.table()), encoding="utf-8")
    except OSError as bad:
        raise DataError(f"{out}: the run cannot be written ({bad}); give another folder by --out") from bad


def _trainer(experiment: Experiment, out: Path, callbacks: tuple[pl.Callback, ...]) -> pl.Trainer:
    training = experiment.training
    return pl.Trainer(
        accelerator=training.accelerator,
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=_place()[1] // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy="ddp" if _place()[1] > 1 else "auto",
        use_distributed_sampler=False,
        precision=training.precision,
        max_epochs=-(-training.steps // training.every),
        gradient_clip_val=experiment.optimiser.clip,
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        callbacks=[*callbacks, Keep(out)],
        log_every_n_steps=min(10, training.every),
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _place() -> tuple[int, int]:
    """Which process this is, of how many, as `torchrun` says it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into `SystemExit`; here it only ends the training, and `fit` says that it did."""
    try:
        yield
    except SystemExit:
        log.info("interrupted")


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
