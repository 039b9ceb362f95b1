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

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import tomli_w
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from echocast import checkpoint
from echocast.errors import DataError, ExperimentError
from echocast.nn.sequence import RecurrentLayers
from echocast.samples.batches import Ahead, StepSampler
from echocast.training import experiment as experiments
from echocast.training import tasks
from echocast.training.experiment import Experiment
from echocast.training.saving import LAST, WEIGHTS, SaveRun

log = logging.getLogger(__name__)


def fit(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool = False,
    callbacks: tuple[pl.Callback, ...] = (),
    sources: Any = None,
) -> bool:
    """Train, or go on training, into the folder `out`.

    Args:
        experiment: what to train on what.
        out: the run's folder; a new one unless `resume`.
        resume: go on from the folder's ``last.ckpt``.
        callbacks: more of Lightning's callbacks, such as a progress bar.
        sources: what the task opened of ``[data]``, where several trainings share it; opened if None.

    Returns:
        Whether it came to its end; False if it was interrupted.

    Raises:
        ExperimentError: the folder holds another run, or none to resume.
        MissingFrames: the archives have no window long enough or wet enough.
    """
    last = out / LAST
    if resume and not last.exists():
        raise ExperimentError(f"{out}: holds no last.ckpt to resume; train without --resume, or give the run's folder")
    if not resume and last.exists():
        raise ExperimentError(f"{out}: already holds a run; go on with --resume, or give another folder by --out")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    rank, world = _process()
    if experiment.training.batch_size % world:
        raise ExperimentError(
            f"training.batch_size = {experiment.training.batch_size} cannot be shared by {world} processes;"
            " take a multiple of it"
        )
    task, table = tasks.load(experiment.task), experiment.training
    opened = sources or task.open_sources(experiment.data)
    pl.seed_everything(table.seed, verbose=False)
    module = task.module(experiment, opened)
    _prepare(module.network, experiment)
    if rank == 0:
        _write_experiment(experiment, out)
    trainer = _trainer(experiment, out, callbacks)
    batches = task.training_batches(opened, size=table.batch_size, seed=table.seed, rank=rank, world=world)
    sampler = StepSampler(table.interval, step=lambda: trainer.global_step)
    began = time.monotonic()
    with _interruptible(), warnings.catch_warnings():
        # Windows come from memory faster than a worker process could send them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        # `StepSampler` begins at the present step, wherever that is.
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
        trainer.fit(
            module,
            DataLoader(batches, batch_size=None, sampler=sampler),
            task.validation_batches(opened, size=2 * table.batch_size),
            ckpt_path=last if resume else None, weights_only=False,
        )  # fmt: skip
    if isinstance(batches, Ahead):
        spent = time.monotonic() - began
        log.info("process %d of %d: waited %.2f s of %.2f s for batches", rank, world, batches.waited, spent)
    return not trainer.interrupted


def fit_or_resume(
    experiment: Experiment,
    out: Path,
    *,
    callbacks: tuple[pl.Callback, ...] = (),
    sources: Any = None,
) -> Any:
    """Train into the folder `out`, or go on where that was stopped, or take what is finished there; the best weights.

    Raises:
        ExperimentError: the folder holds the run of another experiment.
        KeyboardInterrupt: it was interrupted.
    """
    resume = (out / LAST).exists()
    if resume and experiments.load(out / "experiment.toml") != experiment:
        raise ExperimentError(f"{out}: holds the run of another experiment; take another folder, or delete it")
    if not fit(experiment, out, resume=resume, callbacks=callbacks, sources=sources):
        raise KeyboardInterrupt
    return tasks.load(experiment.task).REGISTRY.load(out / WEIGHTS)


class _StopAtLastStep(pl.Callback):
    """Ends the training after its last step with a validation, also where that is not due yet."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= trainer.max_steps


def _prepare(model: nn.Module, experiment: Experiment) -> None:
    """Take over weights of another run, keep those fixed that are not trained, and set the dropout."""
    training = experiment.training
    if training.init_from is not None:
        _start_from(model, experiment, training.init_from)
    for name, weight in model.named_parameters():
        weight.requires_grad_(not training.trainable or name.startswith(training.trainable))
    _drop(model, training.dropout)
    if not any(weight.requires_grad for weight in model.parameters()):
        parts = ", ".join(sorted({name.partition(".")[0] for name, _ in model.named_parameters()}))
        raise ExperimentError(
            f"training.trainable = {list(training.trainable)} names no part of the model; it has {parts}"
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


def _start_from(model: nn.Module, experiment: Experiment, path: Path) -> None:
    """Take over the weights of a checkpoint; what it lacks keeps its first weights.

    Of a network of another task, the parts of the same names and shapes are taken, such as a common backbone.
    """
    registry, own = tasks.load(experiment.task).REGISTRY, model.state_dict()
    if path.is_file() and (task := checkpoint.task_of(path)) != registry.task:
        _take_parts(model, path, task)
        return
    weights = registry.load(path).state_dict()
    wrong = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    if wrong:
        raise ExperimentError(f"training.init_from = {path}: does not fit the model of this experiment ({wrong[0]})")
    model.load_state_dict(weights, strict=False)


def _take_parts(model: nn.Module, path: Path, task: str) -> None:
    """Take over the parts of another task's network that `model` has too, and say which."""
    own, weights = model.state_dict(), checkpoint.read(path, task=task).weights
    found = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    parts = sorted({name.partition(".")[0] for name in found})
    broken = [name for name in own if name.partition(".")[0] in parts and name not in found]
    if not found or broken:
        raise ExperimentError(
            f"training.init_from = {path}: is a {task}, of which this experiment's model has"
            f" {'no part' if not found else f'only a part of {parts[0]} (not {broken[0]})'}; give the model the same"
            " sizes, or leave init_from out"
        )
    model.load_state_dict(found, strict=False)
    log.info("%s: a %s, of which %s is taken over; all else begins anew", path, task, ", ".join(parts))


def _write_experiment(experiment: Experiment, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "experiment.toml").write_text(tomli_w.dumps(experiment.table()), encoding="utf-8")
    except OSError as bad:
        raise DataError(f"{out}: the run cannot be written ({bad}); give another folder by --out") from bad


def _trainer(experiment: Experiment, out: Path, callbacks: tuple[pl.Callback, ...]) -> pl.Trainer:
    training, (_, world) = experiment.training, _process()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return pl.Trainer(
        accelerator=training.accelerator,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        use_distributed_sampler=False,
        precision="32-true" if training.precision == "bf16-training" else training.precision,
        max_epochs=-1,
        max_steps=training.steps,
        gradient_clip_val=experiment.optimiser.gradient_clip or None,
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        callbacks=[*callbacks, SaveRun(out), _StopAtLastStep()],
        log_every_n_steps=min(10, training.interval),
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _process() -> tuple[int, int]:
    """Which process this is, of how many, as `torchrun` says it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into `SystemExit`; here it only ends the training, and `fit` says that it did."""
    try:
        yield
    except SystemExit:
        log.info("interrupted")
