"""Segmentation: windows of frames with the classes of their cells, from an archive of images and one of labels.

>>> from echocast.training.experiment import parse
>>> table = {"train": "images.zarr", "labels": "labels.zarr", "validation_sequences": ["dog"]}
>>> parse({"task": "segmentation", "model": {"name": "unet_convlstm"}, "data": table}).data.frames
10
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from echocast import archive
from echocast.errors import DataError, ExperimentError, ModelError
from echocast.samples import rigid
from echocast.samples.labelled import Labelled, LabelledBatches, LabelledData, Placed, windows_of, without
from echocast.samples.sources import Batch
from echocast.segmentation import base, losses, scores
from echocast.segmentation.base import Segmenter, enlarged
from echocast.training.experiment import Experiment
from echocast.training.module import TrainingModule

log = logging.getLogger(__name__)

DATA = LabelledData
REGISTRY = base.REGISTRY
DEFAULT_LOSS = "weighted_cross_entropy"


class Sources(NamedTuple):
    """What is learned from, and what is validated with."""

    training: Labelled
    validation: Labelled


def make_network(experiment: Experiment, learned_at: Mapping[str, float]) -> Segmenter:  # noqa: ARG001 (the contract)
    """The untrained network; it does not need to know `learned_at`."""
    arguments = dict(experiment.model)
    name = str(arguments.pop("name"))
    try:
        return base.construct(name, arguments)
    except ValueError as bad:
        if isinstance(bad, ExperimentError | ModelError):
            raise
        raise ExperimentError(f"[model] {bad}") from bad


def make_loss(experiment: Experiment) -> nn.Module:
    """The loss of logits and labels."""
    return losses.make(**experiment.loss)


def open_sources(data: LabelledData) -> Sources:
    """The windows of an experiment.

    Raises:
        DataError: archives that do not belong together, or hold no sequences.
        ExperimentError: a sequence that is named does not exist.
        MissingFrames: there is no window with a label.
    """
    images, labels = _opened(data.train, "image"), _opened(data.labels, "label")
    held = (*data.validation_sequences, *data.held_out)
    learned = _chosen(images, data.train, without=held)
    training = windows_of(images, labels, (learned, archive.sequences(labels)), data, data.stride)
    if data.validation is None:
        other, kept = images, _chosen(images, data.train, only=data.validation_sequences)
    else:
        other = _opened(data.validation, "image")
        kept = _chosen(other, data.validation)
        _refuse_shared(learned, kept, data.validation)
    known = labels if data.validation_labels is None else _opened(data.validation_labels, "label")
    stride = data.validation_stride or data.frames
    validation = windows_of(other, known, (kept, archive.sequences(known)), data, stride)
    log.info("%d training windows, %d validation windows", len(training), len(validation))
    return Sources(training, validation)


def module(experiment: Experiment, sources: Sources) -> "SegmentationModule":
    """The untrained network, and its loss."""
    if experiment.training.keep_best == "csi":
        raise ExperimentError("training.keep_best = 'csi' is for rain; leave it out for the mean IoU, or take 'loss'")
    network = make_network(experiment, {})
    for source in sources:
        check_fit(network, source)
    _check_classes(network, sources)
    return SegmentationModule(experiment, network, make_loss(experiment))


def training_batches(sources: Sources, *, size: int, seed: int, rank: int, world: int) -> Dataset[Batch]:
    """Batches by number."""
    return LabelledBatches(sources.training, size=size, seed=seed, rank=rank, world=world)


def validation_batches(sources: Sources, *, size: int) -> DataLoader[Batch]:
    """The validation windows in batches."""
    source = sources.validation
    return DataLoader(range(len(source)), size, collate_fn=source.batch)  # type: ignore[arg-type]  # numbers, made batches of


class SegmentationModule(TrainingModule[Segmenter, Batch]):
    """Trains a segmentation network; the weights with the highest mean IoU on the validation windows are kept.

    Args:
        experiment: how windows are varied, the optimiser, precision, seed, and which weights are kept.
        network: what is trained.
        loss: takes logits and labels.
    """

    def __init__(self, experiment: Experiment, network: Segmenter, loss: nn.Module) -> None:
        super().__init__(experiment, network)
        self.loss, self.data = loss, experiment.data

    def save_weights(self, path: Path) -> None:
        """Write the network to keep."""
        base.save(self.trained, path)

    def varied(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Windows and labels mirrored, brightened, turned and shifted at random."""
        data, windows, labels = self.data, batch.windows, _labels_of(batch)
        for axis, wanted in ((-1, data.flip_x), (-2, data.flip_y)):
            if wanted:
                windows, labels = rigid.mirrored(windows, labels, rng, axis)
        if data.max_turn or data.max_shift:
            how = rigid.drawn(len(windows), rng, max_turn=data.max_turn, max_shift=data.max_shift)
            windows, labels = rigid.moved(windows, labels, *(one.to(windows) for one in how))
        if data.jitter:
            scaling = self.network.scaling
            windows = scaling.to_values(rigid.jittered(scaling.to_level(windows), rng, sigma=data.jitter))
        return replace(batch, windows=windows, labels=labels)

    def outputs(self, batch: Batch, network: Segmenter) -> Tensor:
        """Logits of the classes."""
        logits: Tensor = network(network.scaling.to_level(batch.windows))
        return logits

    def loss_of(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss where something is observed and has a label."""
        loss: Tensor = self.loss(outputs.float(), _labels_of(_observed(batch, self.network.upscale)))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start the sums anew."""
        super().on_validation_epoch_start()
        self._tables: list[np.ndarray] = []

    def validation_step(self, batch: Batch) -> None:
        """The loss, and the table of classes, of the network that would be kept."""
        outputs = self.outputs(batch, self.trained)
        self._losses.append((float(self.loss_of(outputs, batch)), len(batch)))
        truth = _labels_of(_observed(batch, self.network.upscale))
        found = outputs.argmax(dim=2).cpu().numpy()
        self._tables.append(scores.confusion(found, truth[:, :, 0].cpu().numpy(), self.network.classes))

    def on_validation_epoch_end(self) -> None:
        """The mean loss, and the mean IoU of the classes that are no background."""
        super().on_validation_epoch_end()
        iou = scores.iou(np.sum(self._tables, axis=0))[1:]
        self.iou = float(np.nanmean(iou)) if np.isfinite(iou).any() else 0.0
        self.log("validation/iou", self.iou, prog_bar=True)

    def score(self, metrics: Mapping[str, float]) -> float:
        """The mean IoU, or minus the loss if the experiment wants that."""
        return super().score(metrics) if self.training_table.keep_best == "loss" else metrics["validation/iou"]


def check_fit(network: Segmenter, source: Labelled) -> None:
    """Raise `ExperimentError` unless frames suit the network, and labels what it gives."""
    images, labels = source.images, source.labels
    channels = images.sizes.get("channel", 1)
    if channels != network.channels:
        raise ExperimentError(f"the frames have {channels} channels: set model.channels = {channels}")
    if network.scaling.quantity != images.name:
        raise ExperimentError(
            f"the frames hold {images.name!r}, and the model's scaling is for {network.scaling.quantity!r}: set"
            " model.scaling.kind ('rain', 'image' or 'linear')"
        )
    (rows, columns), (own, wide) = ((field.sizes["y"], field.sizes["x"]) for field in (images, labels))
    if (own, wide) != (rows * network.upscale, columns * network.upscale):
        fitting = [n for n in (1, 2, 4) if (own, wide) == (rows * n, columns * n)]
        remedy = f"set model.upscale = {fitting[0]}, or " if fitting else ""
        raise ExperimentError(
            f"the labels have {wide} x {own} cells, and the frames {columns} x {rows}, of which the model makes"
            f" {columns * network.upscale} x {rows * network.upscale} (model.upscale = {network.upscale}): {remedy}"
            f"archive the labels with --transform 'resize height={rows * network.upscale}"
            f" width={columns * network.upscale}'"
        )


def _check_classes(network: Segmenter, sources: Sources) -> None:
    """Raise `ExperimentError` for a label that is no class of the network, or a class that is in no training label."""
    for name, source in zip(Sources._fields, sources, strict=True):
        found = source.classes()
        if len(found) and (found[0] < 0 or found[-1] >= network.classes):
            wrong = found[-1] if found[-1] >= network.classes else found[0]
            raise ExperimentError(
                f"a {name} label has the class {wrong}, and model.classes = {network.classes} has 0 to"
                f" {network.classes - 1}: set model.classes = {wrong + 1}, or archive the labels with --classes"
            )
    missing = sorted(set(range(network.classes)) - set(sources.training.classes().tolist()))
    if missing:
        raise ExperimentError(
            f"no training label has the class {missing[0]} of model.classes = {network.classes}, so it cannot be"
            f" learned: set model.classes to the number of classes, or label frames with it"
        )


def _opened(path: Path, quantity: str) -> xr.DataArray:
    field = archive.open(path)
    wrong = (field.name == "label") != (quantity == "label")
    if wrong or not archive.sequences(field):
        held = f"{field.name!r}" if wrong else "frames with times of their own, no sequences"
        option = " --quantity label" if quantity == "label" else ""
        raise DataError(f"{path}: holds {held}; make the archive with `echocast archive add-video{option}`")
    return field


def _chosen(
    field: xr.DataArray, path: Path, *, only: Sequence[str] | None = None, without: Sequence[str] = ()
) -> list[Placed]:
    """The sequences of an archive that are named, or that are not."""
    known = archive.sequences(field)
    names = [one.name for one in known]
    for name in (*(only or ()), *without):
        if name not in names:
            raise ExperimentError(f"{path}: has no sequence {name!r}; it has {', '.join(names)}")
    wanted = [one for one in known if (only is None or one.name in only) and one.name not in without]
    if not wanted:
        raise ExperimentError(f"{path}: all of its {len(names)} sequences are held out; leave some to learn from")
    return [(one.name, one.first, one.length) for one in wanted]


def _refuse_shared(learned: Sequence[Placed], kept: Sequence[Placed], path: Path) -> None:
    shared = sorted({one[0] for one in learned} & {one[0] for one in kept})
    if shared:
        raise DataError(
            f"{path}: has the sequence {shared[0]!r}, which is learned from; a score on it would be worthless: name it"
            " in data.held_out, or archive other sequences"
        )


def _labels_of(batch: Batch) -> Tensor:
    assert batch.labels is not None  # `Labelled` gives every batch some
    return batch.labels


def _observed(batch: Batch, upscale: int) -> Batch:
    """A batch whose labels are ignored where no cell is observed."""
    blank = ~torch.isfinite(batch.windows).all(dim=2, keepdim=True)
    return without(batch, enlarged(blank, upscale)) if bool(blank.any()) else batch
