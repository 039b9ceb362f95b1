"""Weights fine-tuned on an archive of one's own: the start is a forecaster that ships, the data are a user's radar.

The archive is cut in the order of time: the first three fifths to learn from, a fifth to choose the best
weights by, the last fifth for a test that nothing is chosen by (`echocast.samples.splits.in_three`). A network that
learned from cells of 4 km learns on from means over such cells, along the motion that it will be carried along.

    >>> job = Adaptation.of("radar.zarr", "lagrangian", Path("mine.run"))  # doctest: +SKIP
    >>> job.learn(minutes=60).gain  # doctest: +SKIP
    0.021
"""

import csv
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import xarray as xr

from echocast import archive, checkpoint, fields
from echocast.archive.transforms.coarsen import coarsen
from echocast.errors import DataError, ExperimentError, MissingFrames, ModelError
from echocast.io.location import Location
from echocast.models import base, resolution
from echocast.models.lagrangian import Lagrangian
from echocast.samples import segments, splits, wet
from echocast.samples.data import Data
from echocast.samples.sources import evenly, of_archive
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import Sources
from echocast.training.experiment import Experiment
from echocast.training.saving import LAST, METRICS, WEIGHTS
from echocast.training.tasks import forecast

log = logging.getLogger(__name__)

LEAD_MINUTES = 90.0
"""How far ahead it learns."""
PARTS = ("train", "validation", "test")
CELLS = "cells.npy"
"""The file of a run with what is learned from; every run has it."""

_SQUARE = 64
"""Side in cells of the squares that are learned from."""
_MEMBERS_SHARE = 0.2
"""Of the time, for how members differ."""
_LOSSES = {"forecast": "firm", "members": "ensemble_crps"}
_LEARNING_RATES = {"firm": 3e-4, "ensemble_crps": 1e-3}
_PATIENCE = 1.3
"""A training ends at the latest after so many times the minutes that were reckoned."""
_STEPS_RANGE = (40, 6000)
_BATCH_SIZE = 16
_VALIDATION_WINDOWS = 48
_VALIDATIONS = 12
_PART_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Learned:
    """What the fine-tuning came to.

    Args:
        weights: the file of the best weights on the validation windows.
        csi_before: mean CSI at 0.5, 1, 2 and 5 mm/h on the validation windows of the weights that it began with.
        csi_after: of the best weights.
        steps: of training, of the deterministic forecast, when it ended.
    """

    weights: Path
    csi_before: float
    csi_after: float
    steps: int

    @property
    def gain(self) -> float:
        """By what share the CSI on the validation windows rose; not above 0 if nothing was gained."""
        return self.csi_after / self.csi_before - 1.0 if self.csi_before else 0.0


@dataclass(frozen=True, eq=False)
class Adaptation:
    """An archive, cut in three, and the weights to begin with.

    Args:
        store: the archive.
        run: a folder for what is between; a run that was stopped there goes on.
        start: the checkpoint to begin with.
        field: the archive's field.
        cells: its means over cells of the size that the weights know.
        parts: the segments to learn from, to validate with, and to test with.
        wet_cells: of `cells`.
    """

    store: str
    run: Path
    start: Path
    field: xr.DataArray
    cells: xr.DataArray
    parts: Mapping[str, list[slice]]
    wet_cells: wet.WetCells

    @classmethod
    def of(
        cls, store: Location, model: str, run: Path, *, on_frame: Callable[[int, int], None] = lambda *_: None
    ) -> "Adaptation":
        """Read the archive once and cut it.

        Args:
            store: the archive, of rain, on a grid with a place on Earth.
            model: ``lagrangian``, or a checkpoint of such a forecaster.
            run: a folder for what is between.
            on_frame: called with the number of frames read and in all.

        Raises:
            ModelError: weights that cannot be fine-tuned so.
            DataError: an archive of something else, or one too short.
            MissingFrames: a time step that the weights do not know.
        """
        start = checkpoint_of(model)
        known = _loaded(start)
        field = archive.open(store)
        if field.name != fields.NAME or "crs" not in field.coords:
            what = field.name if field.name != fields.NAME else "rain without a place on Earth"
            raise DataError(f"{store}: holds {what}; weights are adapted to archives of rain on a map")
        step = float(fields.time_step(field.time.values) / np.timedelta64(1, "m"))
        known.check_past(known.min_frames, step, str(field.name))
        past, future = _window(known, step)
        factor = resolution.factor(fields.grid_km(field), known.grid_km)
        run.mkdir(parents=True, exist_ok=True)
        cells = _coarse(field, factor, run / CELLS, on_frame)
        found = wet.counted(cells)
        try:
            parts = splits.in_three(cells, past, future, found.counts.sum(axis=(1, 2)))
        except DataError as bad:
            raise DataError(f"{store}: {bad}") from bad
        return cls(str(store), run, start, field, cells, parts, found)

    @property
    def factor(self) -> int:
        """How many of the archive's cells, along a side, make one that the weights know."""
        return max(1, round(self.field.sizes["y"] / self.cells.sizes["y"]))

    @property
    def spans(self) -> dict[str, tuple[np.datetime64, np.datetime64]]:
        """The first and last time of each part."""
        times = self.field.time.values
        return {name: (times[self.parts[name][0].start], times[self.parts[name][-1].stop - 1]) for name in PARTS}

    @cached_property
    def data(self) -> Data:
        """How windows are drawn."""
        past, future = _window(_loaded(self.start), self._step_minutes)
        return Data(
            train=self.store,
            past=past,
            future=future,
            augment=True,
            crop=min(self.cells.sizes["y"], self.cells.sizes["x"]) > _SQUARE,
            crop_size=_SQUARE,
            validation_windows=_VALIDATION_WINDOWS,
        )

    @cached_property
    def sources(self) -> Sources:
        """The windows to learn from and to validate with; raises `MissingFrames` where none is wet."""
        try:
            first, held = (
                of_archive(self.cells, self.parts[name], self.data, stride, name, self.wet_cells)
                for name, stride in (("train", 1), ("validation", 2))
            )
        except MissingFrames as bad:
            raise MissingFrames(
                f"{self.store}: {bad}; an archive to adapt to needs rain in each of its parts: add rainy days"
            ) from bad
        return Sources([first], replace(held, starts=evenly(held.starts, self.data.validation_windows)))

    def learn(self, *, minutes: float, callbacks: Callable[[str], tuple[pl.Callback, ...]] = lambda _: ()) -> Learned:
        """Train within so many minutes, or go on with what was stopped in the folder.

        Args:
            minutes: for training, on a machine that does not become slower meanwhile.
            callbacks: of Lightning, for each of the two trainings, by its name.

        Raises:
            ExperimentError: the folder holds a run on another archive, or from other weights.
            KeyboardInterrupt: it was stopped; called again with the same folder it goes on.
        """
        before = _csi(_loaded(self.start), self)
        best = self._trained("forecast", minutes * (1.0 - _MEMBERS_SHARE), self.start, callbacks)
        after = _csi(_loaded(best), self)
        log.info("CSI on the validation windows %.4f before, %.4f after", before, after)
        learned = Learned(best, before, after, _last_step(self.run / "forecast" / METRICS))
        if learned.gain <= 0:
            return learned
        members = self._trained("members", minutes * _MEMBERS_SHARE, best, callbacks)
        losses = {path: self._members_loss(path) for path in (best, members)}
        log.info("loss of members on the validation windows %.4f before, %.4f after", *losses.values())
        return replace(learned, weights=min(losses, key=losses.__getitem__))

    def _trained(
        self, stage: str, minutes: float, start: Path, callbacks: Callable[[str], tuple[pl.Callback, ...]]
    ) -> Path:
        """The best weights of a stage."""
        out = self.run / stage
        plan = self._plan(out, minutes, start, loss=_LOSSES[stage])
        ends = _Deadline(_PATIENCE * minutes)
        fit.fit_or_resume(plan, out, callbacks=(*callbacks(stage), ends), sources=self.sources)
        return out / WEIGHTS

    def _members_loss(self, weights: Path) -> float:
        """The CRPS loss of members on the validation windows."""
        module = forecast.module(self._experiment(self.start, _LOSSES["members"], steps=1), self.sources)
        network, total, count = _loaded(weights), 0.0, 0
        with torch.no_grad():
            for batch in forecast.validation_batches(self.sources, size=_BATCH_SIZE):
                total += len(batch) * float(module.loss_of(module.outputs(batch, network), batch))
                count += len(batch)
        return total / count

    def _plan(self, out: Path, minutes: float, start: Path, *, loss: str) -> Experiment:
        """The experiment of a stage: that of the folder if it was begun there, else one that fits into the minutes."""
        if (out / LAST).exists():
            begun = experiments.load(out / "experiment.toml")
            if (begun.data.train, begun.training.init_from) != (self.data.train, start):
                raise ExperimentError(
                    f"{out}: holds a run that began with {begun.training.init_from} on {begun.data.train}; remove"
                    f" {self.run}, or give another --out"
                )
            return begun
        trial = self._experiment(start, loss, steps=_STEPS_RANGE[0])
        seconds = _seconds_per_step(trial, self.sources)
        steps = int(np.clip(60.0 * minutes / seconds, *_STEPS_RANGE))
        log.info("%.2f s a step: %d steps", seconds, steps)
        return self._experiment(start, loss, steps=steps)

    def _experiment(self, start: Path, loss: str, *, steps: int) -> Experiment:
        of_members = loss != "firm"
        model = {"name": "lagrangian", **checkpoint.read(start, task=base.TASK).arguments}
        if self.factor > 1:  # there the forecast is carried along a refined motion, so it is in training
            model["motion_settings"] = {**model["motion_settings"], "refine_own_grid": True}
        return experiments.parse(
            {
                "model": model,
                "data": {key: value for key, value in asdict(self.data).items() if value is not None},
                "loss": {"name": loss},
                "optimiser": {
                    "learning_rate": _LEARNING_RATES[loss],
                    "warmup": max(1, min(50, steps // 10)),
                    "decay_fraction": 0.8,
                    "ema_decay": 0.99,
                    "weight_decay": 0.1,
                },
                "training": {
                    "init_from": str(start),
                    "trainable": ["uncertainty_head", "noise"] if of_members else ["encoder", "forecaster", "output"],
                    "max_steps": steps,
                    "batch_size": _BATCH_SIZE,
                    "validation_interval": max(10, steps // _VALIDATIONS),
                    "dropout": 0.0 if of_members else 0.2,
                },
            }
        )

    @property
    def _step_minutes(self) -> float:
        return float(fields.time_step(self.field.time.values) / np.timedelta64(1, "m"))


class _Deadline(pl.Callback):
    """Ends a training that takes longer than was reckoned, after its validation."""

    def __init__(self, minutes: float) -> None:
        self._until = time.monotonic() + 60.0 * minutes

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if time.monotonic() > self._until:
            log.info("the time is over at step %d of %d", trainer.global_step, trainer.max_steps)
            trainer.should_stop = True


def checkpoint_of(model: str) -> Path:
    """The file of the weights to begin with: those that ship, by ``lagrangian``, or a checkpoint.

    Raises:
        ModelError: a model that has no weights, or that is not `lagrangian`.
        CheckpointMismatch: a file that is no checkpoint.
    """
    shipped = Path(str(resources.files("echocast.weights"))) / "lagrangian.safetensors"
    path = shipped if model == "lagrangian" else Path(model)
    if path.suffix != ".safetensors" or checkpoint.read(path, task=base.TASK).name != "lagrangian":
        raise ModelError(
            f"{model!r} cannot be adapted: give lagrangian, or a checkpoint of it; other learned forecasters are"
            " trained on by `echocast train` with training.init_from"
        )
    return path


def _loaded(path: Path) -> Lagrangian:
    found = base.load(path)
    assert isinstance(found, Lagrangian)  # `checkpoint_of` refuses others
    return found


def _window(model: Lagrangian, step_minutes: float) -> tuple[int, int]:
    """Frames of input and to forecast."""
    return model.network_settings.max_input_frames, max(2, round(LEAD_MINUTES / step_minutes))


def _coarse(field: xr.DataArray, factor: int, path: Path, on_frame: Callable[[int, int], None]) -> xr.DataArray:
    """Means over cells of all frames, in a file: a year of a country is more than the memory."""
    count, cells = field.sizes["time"], int(np.prod(field.shape[1:]))
    step = max(1, _PART_BYTES // (4 * cells))
    held: np.memmap | None = None
    for first in range(0, count, step):
        part = field[first : first + step]
        made = coarsen(part, factor=factor) if factor > 1 else part
        if held is None:
            like = made
            held = np.lib.format.open_memmap(path, "w+", np.float32, (count, *made.shape[1:]))
        held[first : first + step] = made.values
        on_frame(min(first + step, count), count)
    if held is None:
        raise DataError("the archive holds no frames")
    made = fields.make(
        held, time=field.time.values, y=like.y.values, x=like.x.values, crs=fields.crs(field), attrs=dict(like.attrs)
    )
    return made.assign_coords(observed=("time", segments.observed(field)))


def _last_step(metrics: Path) -> int:
    with metrics.open(newline="", encoding="utf-8") as file:
        return max(int(row["step"]) for row in csv.DictReader(file))


def _seconds_per_step(plan: Experiment, sources: Sources) -> float:
    """How long a step takes here; the first, in which kernels are made, does not count."""
    module = forecast.module(plan, sources)
    wanted = plan.training.trainable
    for name, weight in module.network.named_parameters():
        weight.requires_grad_(name.startswith(wanted))
    batches = forecast.training_batches(sources, size=plan.training.batch_size, seed=1, rank=0, world=1)
    taken = []
    for number in range(3):
        began = time.perf_counter()
        batch = batches[number]
        loss = module.loss_of(module.outputs(batch, module.network), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        taken.append(time.perf_counter() - began)
    return min(taken[1:]) * 1.15  # the optimiser, and validations


def _csi(model: base.Forecaster, job: Adaptation) -> float:
    """Mean CSI over thresholds and leads on the validation windows, as training watches it."""
    tables = []
    for batch in forecast.validation_batches(job.sources, size=16):
        past, future = batch.windows[:, : batch.past], batch.windows[:, batch.past :]
        made = model.forecast(past, future.shape[1], batch.context)
        tables.append(forecast.hits_misses_alarms(made, future))
    return float(forecast.mean_csi(tables).mean())
