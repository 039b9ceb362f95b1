"""Reconstruction: windows of normal sequences from archives, and autoencoders that give them back.

>>> from echocast.training.experiment import parse
>>> tables = {"model": {"name": "spatiotemporal"}, "data": {"train": "normal.zarr"}}
>>> parse({"task": "reconstruction", **tables}).data.frames
10
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from echocast.anomaly import base
from echocast.anomaly.base import Autoencoder
from echocast.errors import ExperimentError
from echocast.samples.batches import Batches
from echocast.samples.data import Data
from echocast.samples.sources import Batch
from echocast.training.data import Sources
from echocast.training.data import open_sources as open_windows
from echocast.training.experiment import Experiment
from echocast.training.module import TrainingModule

REGISTRY = base.REGISTRY
DEFAULT_LOSS = "mse"
_LOSSES: Mapping[str, type[nn.Module]] = {"mse": nn.MSELoss, "mae": nn.L1Loss}


@dataclass(frozen=True, kw_only=True)
class ReconstructionData:
    """Which windows are learned from.

    Args:
        train: an archive of normal sequences; with no `validation` it is split into train, validation and test.
        validation: another archive, whose frames no training window has.
        frames: in a window.
        stride: frames between the starts of neighbouring training windows.
        validation_stride: the same of validation windows; half a window if None.
        validation_windows: so many of the validation windows, evenly chosen; all if None.
        in_memory: read all frames into memory before training; else each window when it is needed.
        min_wet_fraction: of rain, the smallest mean share of pixels with at least 0.5 mm/h for a window to be used.
    """

    train: Path
    validation: Path | None = None
    frames: int = 10
    stride: int = 1
    validation_stride: int | None = None
    validation_windows: int | None = None
    in_memory: bool = True
    min_wet_fraction: float = 0.0

    def windows(self) -> Data:
        """The same in the words of forecasting: the last frame is the one that a forecaster would be asked for."""
        if self.frames < 2:
            raise ExperimentError(f"data.frames = {self.frames}: a window has 2 frames at least; 10 are usual")
        return Data(
            train=self.train,
            validation=self.validation,
            past=self.frames - 1,
            future=1,
            stride=self.stride,
            validation_stride=self.validation_stride,
            validation_windows=self.validation_windows,
            in_memory=self.in_memory,
            min_wet_fraction=self.min_wet_fraction,
            sampling="uniform",
            flip=False,
        )


DATA = ReconstructionData


def open_sources(data: ReconstructionData) -> Sources:
    """The windows of an experiment."""
    return open_windows(data.windows())


def make_network(experiment: Experiment, learned_at: Mapping[str, float]) -> Autoencoder:  # noqa: ARG001 (it has no grid of its own)
    """The untrained autoencoder, which learns from windows as long as the experiment's."""
    arguments = dict(experiment.model)
    name = str(arguments.pop("name"))
    return base.REGISTRY.construct(name, {"frames": experiment.data.frames} | arguments)


def make_loss(experiment: Experiment) -> nn.Module:
    """The loss of grey levels: "mse" or "mae"."""
    if set(experiment.loss) != {"name"} or experiment.loss["name"] not in _LOSSES:
        raise ExperimentError(
            f"[loss] {dict(experiment.loss)}: a reconstruction has name = 'mse' or 'mae' and no more keys"
        )
    return _LOSSES[experiment.loss["name"]]()


def module(experiment: Experiment, sources: Sources) -> "ReconstructionModule":
    """The untrained network, and its loss."""
    network, field = make_network(experiment, {}), sources.training[0].field
    if network.quantity != field.name:
        raise ExperimentError(
            f"the training field holds {field.name!r}, and the model's scaling is for {network.quantity!r}: set"
            " model.scaling.kind ('rain', 'image' or 'linear')"
        )
    if experiment.training.keep_best == "csi":
        raise ExperimentError("training.keep_best = 'csi' is for forecasts of rain: take 'loss'")
    return ReconstructionModule(experiment, network, make_loss(experiment))


def training_batches(sources: Sources, *, size: int, seed: int, rank: int, world: int) -> Dataset[Batch]:
    """Batches by number."""
    return Batches(sources.training, size=size, seed=seed, rank=rank, world=world)


def validation_batches(sources: Sources, *, size: int) -> DataLoader[Batch]:
    """The validation windows in batches."""
    source = sources.validation

    def collate(windows: list[Tensor]) -> Batch:
        return Batch(torch.stack(windows), source.data.past, source.context)

    return DataLoader(source.windows, size, collate_fn=collate)  # type: ignore[arg-type]  # windows, made batches of


class ReconstructionModule(TrainingModule[Autoencoder, Batch]):
    """Trains an autoencoder.

    Args:
        experiment: the optimiser, precision, seed.
        network: gives back grey levels.
        loss: of two tensors of grey levels; only what was observed counts.
    """

    def __init__(self, experiment: Experiment, network: Autoencoder, loss: nn.Module) -> None:
        super().__init__(experiment, network)
        self.loss = loss

    def outputs(self, batch: Batch, network: Autoencoder) -> Tensor:
        """The reconstruction."""
        made: Tensor = network(network.scaling.to_level(batch.windows))
        return made

    def loss_of(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss over observed pixels."""
        levels = self.network.scaling.to_level(batch.windows)
        seen = levels.isfinite()
        loss: Tensor = self.loss(outputs.float()[seen], levels[seen])
        return loss

    def save_weights(self, path: Path) -> None:
        """Write the autoencoder to keep."""
        base.REGISTRY.save(self.trained, path)
