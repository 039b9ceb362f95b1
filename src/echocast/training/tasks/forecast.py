"""Forecasting: windows of past and future frames from archives or synthetic fields, and forecasters with weights.

>>> from echocast.training.experiment import parse
>>> experiment = parse({"model": {"name": "encoder_forecaster"}, "data": {"train": "train.zarr"}})
>>> experiment.task
'forecast'
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from echocast.context import Context, Covariate
from echocast.errors import ExperimentError
from echocast.fields import NAME, RAINFALL_RATE
from echocast.models import base
from echocast.models.base import LearnedEnsemble, LearnedForecaster
from echocast.samples.augmentation import flipped_alike
from echocast.samples.batches import Ahead, Batches
from echocast.samples.covariates import hidden
from echocast.samples.covariates.given import stacked
from echocast.samples.data import Data
from echocast.samples.sources import Batch, Case, Cases, Source
from echocast.training import losses
from echocast.training.data import Sources, open_sources
from echocast.training.experiment import Experiment
from echocast.training.module import TrainingModule, drawn
from echocast.verification.scores import contingency

__all__ = ["DATA", "make_loss", "make_network", "module", "open_sources", "training_batches", "validation_batches"]

DATA = Data
REGISTRY = base.REGISTRY
DEFAULT_LOSS = "balanced"
WATCHED_MM_H = (0.5, 1.0, 2.0, 5.0)
"""The thresholds whose CSI on the validation windows can decide which weights are kept."""


def make_network(
    experiment: Experiment, learned_at: Mapping[str, float], covariates: Sequence[Covariate] = ()
) -> LearnedForecaster:
    """The untrained forecaster.

    Args:
        experiment: its table ``[model]``.
        learned_at: what the data tell (``grid_km``, ``time_step_minutes``).
        covariates: what it is given beside the frames; with some it is a `WithCovariates`.
    """
    arguments = dict(experiment.model)
    name = str(arguments.pop("name"))
    if not issubclass(base.forecaster_class(name), LearnedForecaster):
        raise ExperimentError(f"[model] name = {name!r} has no weights to train; see `echocast models`")
    settings = dict(learned_at) | arguments
    if covariates:
        table = experiment.data.covariates
        arguments = {"model": name, "settings": settings, "covariates": covariates, "features": table.features}
        name, settings = "with_covariates", arguments
    model = base.construct(name, settings)
    assert isinstance(model, LearnedForecaster)  # checked above, by its class
    return model


def make_loss(experiment: Experiment) -> nn.Module | None:
    """The loss; None for ``name = "model"``: the model has a loss of its own."""
    if experiment.loss.get("name") == "model":
        if len(experiment.loss) > 1:
            raise ExperimentError("[loss] name = 'model' takes no more keys: its settings are the model's")
        return None
    return losses.make(**experiment.loss)


def module(experiment: Experiment, sources: Sources) -> "ForecastModule":
    """The untrained network, and its loss."""
    source = sources.training[0]
    model = make_network(experiment, _learned_at(source), source.given.covariates if source.given else ())
    if model.scaling.quantity != source.field.name:
        raise ExperimentError(
            f"the training field holds {source.field.name!r}, and the model's scaling is for"
            f" {model.scaling.quantity!r}: set model.scaling.kind ('rain', 'image' or 'linear')"
        )
    if experiment.training.keep_best == "csi" and source.field.name != NAME:
        raise ExperimentError(f"training.keep_best = 'csi' is for rain, not for {source.field.name!r}: take 'loss'")
    return ForecastModule(experiment, model, make_loss(experiment), sources.validation.context)


def training_batches(sources: Sources, *, size: int, seed: int, rank: int, world: int) -> Dataset[Batch]:
    """Batches by number."""
    made = Batches(sources.training, size=size, seed=seed, rank=rank, world=world)
    return made if all(source.in_memory for source in sources.training) else Ahead(made)


def validation_batches(sources: Sources, *, size: int) -> DataLoader[Batch]:
    """The validation windows in batches."""
    source = sources.validation

    def collate(cases: list[Case]) -> Batch:
        windows, covariates = [window for window, _ in cases], stacked([given for _, given in cases])
        return Batch(torch.stack(windows), source.data.past, replace(source.context, covariates=covariates))

    return DataLoader(Cases(source), size, collate_fn=collate)  # type: ignore[arg-type]  # cases, made batches of


class OwnLoss(Protocol):
    """A forecaster whose published loss is more than a function of its forecast."""

    def training_loss(self, windows: Tensor, past: int, context: Context) -> Tensor:
        """The loss of windows (batch, past + future, channel, y, x) in the unit of the quantity."""


class ForecastModule(TrainingModule[LearnedForecaster, Batch]):
    """Trains a forecaster with weights.

    Args:
        experiment: how windows are varied, the optimiser, precision, seed, and which weights are kept.
        forecaster: has a ``scaling`` and a differentiable ``forward(levels, steps)`` that gives logits.
        loss: takes (logits, observed, scaling, time_step_minutes); None: the forecaster's own ``training_loss``.
        context: the cell size and time step of the validation windows.
    """

    def __init__(
        self, experiment: Experiment, forecaster: LearnedForecaster, loss: nn.Module | None, context: Context
    ) -> None:
        super().__init__(experiment, forecaster)
        self.loss, self.context, self.data = loss, context, experiment.data
        if loss is None and not hasattr(forecaster, "training_loss"):
            raise ExperimentError(
                f"[loss] name = 'model': {type(forecaster).__name__} has no loss of its own; give another, such as"
                f" {DEFAULT_LOSS!r}"
            )

    def save_weights(self, path: Path) -> None:
        """Write the forecaster to keep."""
        base.save(self.trained, path)

    def varied(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Windows mirrored at random, with their covariates, of which some are hidden."""
        windows, covariates = batch.windows, dict(batch.context.covariates)
        if self.data.flip:
            windows, covariates = flipped_alike(windows, covariates, rng)
        if covariates:
            table = self.data.covariates
            covariates = hidden(
                covariates, rng, share=table.hide, stations=table.stations, station_share=table.hide_stations
            )
        return replace(batch, windows=windows, context=replace(batch.context, covariates=covariates))

    def outputs(self, batch: Batch, network: LearnedForecaster) -> Tensor:
        """Logits of the deterministic forecast, or of as many members as the loss wants; or the model's own loss."""
        if self.loss is None:
            return cast(OwnLoss, network).training_loss(batch.windows, batch.past, batch.context)
        levels = network.scaling.to_level(batch.windows[:, : batch.past])
        steps = batch.windows.shape[1] - batch.past
        members = getattr(self.loss, "members", 0)
        if not members:
            logits: Tensor = network(levels, steps, batch.context)
            return logits
        if not isinstance(network, LearnedEnsemble):
            raise ExperimentError(f"the loss wants {members} members, and {type(network).__name__} makes none")
        generator = torch.Generator().manual_seed(drawn([self.seed, self.global_step]))
        return network.member_logits(levels, steps, members, batch.context, generator)

    def loss_of(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of logits; the model's own loss as it is."""
        if self.loss is None:
            return outputs.float()
        future, minutes = batch.windows[:, batch.past :], batch.context.time_step_minutes
        loss: Tensor = self.loss(outputs.float(), future, self.network.scaling, minutes)
        return loss

    @property
    def kept_by_loss(self) -> bool:
        """Whether the weights with the lowest loss are kept, and not those with the highest CSI."""
        wanted = self.training_table.keep_best
        by_loss = bool(getattr(self.loss, "members", 0)) or not self.is_rain
        return wanted == "loss" or (wanted is None and by_loss)

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
        super().on_validation_epoch_start()
        self._tables: list[Tensor] = []

    def validation_step(self, batch: Batch) -> None:
        """The loss and the contingency table of the forecaster that would be kept."""
        super().validation_step(batch)
        if self.watches_csi:
            past, future = batch.windows[:, : batch.past], batch.windows[:, batch.past :]
            forecast = self.trained.forecast(past, future.shape[1], _on_its_grid(batch))
            self._tables.append(hits_misses_alarms(forecast, future))

    def on_validation_epoch_end(self) -> None:
        """The mean loss; and the CSI by threshold, pooled over windows and averaged over leads."""
        super().on_validation_epoch_end()
        if not self.watches_csi:
            return
        means = mean_csi(self._tables)
        for threshold, value in zip(WATCHED_MM_H, means, strict=True):
            self.log(f"validation/csi_{threshold:g}", value)
        self.log("validation/csi", means.mean(), prog_bar=True)

    def score(self, metrics: Mapping[str, float]) -> float:
        """What decides which weights are kept, the higher the better: minus the loss, or the CSI."""
        return super().score(metrics) if self.kept_by_loss else metrics["validation/csi"]


def _learned_at(source: Source) -> dict[str, Any]:
    """The cell size and time step that a model remembers; those of pictures mean nothing."""
    known = {"grid_km": source.context.grid_km, "time_step_minutes": source.context.time_step_minutes}
    return {name: value for name, value in known.items() if value is not None and source.context.grid_km is not None}


def _on_its_grid(batch: Batch) -> Context:
    """The covariates of a batch alone: its cells count as those that the weights are of."""
    return Context(covariates=batch.context.covariates)


def mean_csi(tables: Sequence[Float[Tensor, "lead threshold 3"]]) -> Float[Tensor, "threshold"]:
    """The CSI at `WATCHED_MM_H`, counts pooled over windows, the mean over leads."""
    hits, misses, alarms = torch.stack(list(tables)).sum(0).unbind(-1)
    return (hits / (hits + misses + alarms)).nan_to_num(0.0).mean(dim=0)


def hits_misses_alarms(
    forecast: Float[Tensor, "batch lead channel y x"], observed: Float[Tensor, "batch lead channel y x"]
) -> Float[Tensor, "lead threshold 3"]:
    """Counts of one batch."""
    sums = contingency.statistics(
        forecast.flatten(1, 2).cpu().numpy(), observed.flatten(1, 2).cpu().numpy(), thresholds=WATCHED_MM_H
    )
    return torch.stack([torch.as_tensor(sums[name]) for name in ("hits", "misses", "false_alarms")], dim=-1)
