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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import tomli_w
import xarray as xr
from jaxtyping import Float
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Sampler

from echocast import field as fields
from echocast.data import archive, windows
from echocast.errors import DataError, ExperimentError, MissingFrames
from echocast.models import base
from echocast.training.experiment import Data, Experiment, Training
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
    train, validation = _archives(experiment)
    pl.seed_everything(experiment.training.seed, verbose=False)
    module = _module(experiment, train.field)
    if rank == 0:
        _write_experiment(experiment, out)
    trainer = _trainer(experiment, out, callbacks)
    with _interruptible(), warnings.catch_warnings():
        # Windows come from memory faster than a worker process could send them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(
            module,
            DataLoader(train.windows, batch // world, sampler=WetWindows(train.wet, experiment.training, rank, world)),
            DataLoader(validation.windows, 2 * batch),
            ckpt_path=last if resume else None,
            weights_only=False,
        )
    return not trainer.interrupted


class WetWindows(Sampler[int]):
    """Window numbers, the wetter the likelier, drawn anew each round from the seed and the round's number.

    A window's chance is proportional to its share of rain, held between 1 and 15 percent: a dry window teaches little,
    and a flood should not be all that is learned.
    """

    def __init__(self, wet: Float[np.ndarray, "windows"], training: Training, rank: int = 0, world: int = 1) -> None:
        self.chances = np.clip(wet, 0.01, 0.15) / np.clip(wet, 0.01, 0.15).sum()
        self.training, self.round = training, 0
        self.rank, self.world = rank, world

    def set_epoch(self, number: int) -> None:
        """Which round comes next; Lightning calls this, also when it resumes."""
        self.round = number

    def __len__(self) -> int:
        return self.training.every * self.training.batch // self.world

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.training.seed, 1, self.round])
        drawn = rng.choice(len(self.chances), len(self) * self.world, p=self.chances)
        yield from drawn[self.rank :: self.world].tolist()  # so that each batch is the one of a single process


class Keep(pl.Callback):
    """After each validation: a line of metrics, the best weights, and what a resumed run needs."""

    def __init__(self, out: Path) -> None:
        self.out, self.best = out, -1.0

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
        better = metrics["validation/csi"] > self.best
        self.best = max(self.best, metrics["validation/csi"])
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


@dataclass(frozen=True)
class _Learned:
    field: xr.DataArray
    windows: windows.Windows
    wet: np.ndarray


def _archives(experiment: Experiment) -> tuple[_Learned, _Learned]:
    data = experiment.data
    length = data.past + data.future
    train = archive.open(data.train)
    if data.validation is None:
        parts = [(train, windows.split(train, "train")), (train, windows.split(train, "validation"))]
    else:
        other = archive.open(data.validation)
        fields.check_same_grid(train, other, str(data.validation))
        _refuse_shared_frames(train, other, data.validation)
        parts = [(train, windows.runs(train)), (other, windows.runs(other))]
    strides = (data.stride, max(data.stride, length // 2))
    names = ("training", "validation")
    learned = [
        _wet_windows(*part, data, stride, name) for part, stride, name in zip(parts, strides, names, strict=True)
    ]
    return learned[0], learned[1]


def _wet_windows(field: xr.DataArray, runs: list[slice], data: Data, stride: int, name: str) -> _Learned:
    starts = windows.starts(runs, data.past, data.future, stride)
    length = data.past + data.future
    shares = np.concatenate([[0.0], np.cumsum(_wet_by_frame(field))])
    wet = (shares[starts + length] - shares[starts]) / length
    starts, wet = starts[wet >= data.least_wet], wet[wet >= data.least_wet]
    if not len(starts):
        raise MissingFrames(
            f"no {name} window of {length} unbroken frames has rain on {data.least_wet:.1%} of its pixels;"
            " archive more, or lower data.least_wet"
        )
    log.info("%d %s windows", len(starts), name)
    return _Learned(field, windows.Windows(field, starts, past=data.past, future=data.future, in_memory=True), wet)


def _wet_by_frame(field: xr.DataArray, chunk: int = 512) -> np.ndarray:
    """The share of a frame's pixels with at least 0.5 mm/h, for every frame; a chunk at a time, for memory."""
    starts = range(0, field.sizes["time"], chunk)
    return np.concatenate([(field[i : i + chunk].values >= 0.5).mean(axis=(1, 2)) for i in starts])


def _refuse_shared_frames(train: xr.DataArray, validation: xr.DataArray, path: Path) -> None:
    seen = [field.time.values[field.observed.values] for field in (train, validation)]
    shared = np.intersect1d(*seen)
    if shared.size:
        raise DataError(
            f"{path}: shares {shared.size} frames with the training archive, the first at {shared[0]};"
            " a score on them would be worthless: archive other days, or leave data.validation out"
        )


def _module(experiment: Experiment, field: xr.DataArray) -> ForecastModule:
    minutes = fields.step(field.time.values) / np.timedelta64(1, "m")
    model = experiment.make_model(grid_km=round(fields.grid_km(field), 3), step_minutes=float(minutes))
    return ForecastModule(
        model,
        experiment.make_loss(),
        past=experiment.data.past,
        optimiser=experiment.optimiser,
        seed=experiment.training.seed,
    )


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
