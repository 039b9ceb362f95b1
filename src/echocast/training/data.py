"""The table ``[data]`` becomes windows: archives or synthetic fields, split, segments, windows.

>>> from echocast.samples.data import Data
>>> open_sources(Data(train=Path("radar.zarr"))).training  # doctest: +SKIP
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from echocast import archive, fields, plugins, synthetic
from echocast.archive import covariates
from echocast.errors import DataError, ExperimentError
from echocast.io.location import Location
from echocast.samples import segments, splits
from echocast.samples.data import Data
from echocast.samples.sources import Source, evenly, of_archive, of_auxiliary
from echocast.samples.wet import WetCells
from echocast.training import wet_cells

log = logging.getLogger(__name__)


class Part(NamedTuple):
    """A field and the segments of it that are used, and where it rains in it, if that is kept."""

    field: xr.DataArray
    within: list[slice]
    wet_cells: WetCells | None = None


class Sources(NamedTuple):
    """What is learned from, and what is validated with."""

    training: list[Source]
    """The archive to forecast for first, and auxiliary ones."""

    validation: Source


def open_sources(data: Data) -> Sources:
    """The windows of an experiment.

    Raises:
        DataError: archives that do not belong together.
        ExperimentError: settings that do not suit the data.
        MissingFrames: there is no window long enough or wet enough.
    """
    train, validation = _synthetic(data.synthetic) if data.synthetic is not None else _archived(data)
    stride = data.validation_stride or max(data.stride, (data.past + data.future) // 2)
    first = of_archive(train.field, train.within, data, data.stride, "training", train.wet_cells)
    held = of_archive(validation.field, validation.within, data, stride, "validation", validation.wet_cells)
    chosen = replace(held, starts=evenly(held.starts, data.validation_windows))
    if data.covariates is not None:
        known = covariates.to_train(data.covariates, first.field, first.starts, (first.length, data.past))
        first = replace(first, given=known)
        is_same = validation.field is train.field
        chosen = replace(chosen, given=known if is_same else covariates.on_field(known, data.covariates, held.field))
    auxiliary = [_auxiliary(path, data) for path in data.auxiliary]
    return Sources([first, *auxiliary], chosen)


def _auxiliary(path: Location, data: Data) -> Source:
    field = archive.open(path)
    return replace(of_auxiliary(field, data), known_wet_cells=_wet_cells(path, field, data))


def split(field: xr.DataArray, data: Data) -> dict[str, list[slice]]:
    """The segments of one archive for ``train``, ``validation`` and ``test``."""
    if data.split == "blocks":
        days = None if data.days is None else splits.rainiest_days(field, data.days)
        return splits.blocks(field, days=days, seed=data.split_seed)
    if len(segments.segments(field)) < _FEW:
        made = splits.by_time(field, data.past, data.future)
        _tell(field, made)
        return made
    return {part: splits.by_fractions(field, part) for part in ("train", "validation", "test")}


_FEW = 3
"""With fewer segments than this, parts of one segment are trained on and validated with."""


def _tell(field: xr.DataArray, parts: Mapping[str, list[slice]]) -> None:
    """Which times of few events are for what."""
    times = field.time.values
    ends = {name: times[[found[0].start, found[-1].stop - 1]] for name, found in parts.items() if found}
    spans = [f"{name} from {fields.format_time(a)} to {fields.format_time(b)} UTC" for name, (a, b) in ends.items()]
    log.warning(
        "the archive holds one or two events: %s; scores on other events will be lower: archive more, or give"
        " data.validation",
        ", ".join(spans),
    )


def _archived(data: Data) -> tuple[Part, Part]:
    assert data.train is not None  # `Data` refuses neither archive nor synthetic fields
    train = archive.open(data.train)
    if data.validation is None:
        parts, rain = split(train, data), _wet_cells(data.train, train, data)
        return Part(train, parts["train"], rain), Part(train, parts["validation"], rain)
    other = archive.open(data.validation)
    fields.check_same_grid(train, other, str(data.validation))
    _refuse_shared_frames(train, other, data.validation)
    return (
        Part(train, segments.segments(train), _wet_cells(data.train, train, data)),
        Part(other, segments.segments(other), _wet_cells(data.validation, other, data)),
    )


def _wet_cells(path: Location, field: xr.DataArray, data: Data) -> WetCells | None:
    """Where it rains, if anything is drawn by it."""
    is_needed = data.min_wet_fraction > 0 or data.sampling == "by_rain"
    return wet_cells.of_archive(path, field) if is_needed and field.name == fields.NAME else None


def _synthetic(options: Mapping[str, Any]) -> tuple[Part, Part]:
    table, package = dict(options), synthetic.__name__
    name, known = str(table.pop("name", "")), plugins.names(package, skip=synthetic.WITHOUT_TRAINING_FIELDS)
    if name not in known:
        raise ExperimentError(f"[data.synthetic] name = {name!r}: {plugins.hint(name, known)}")
    made = plugins.construct(
        plugins.load(package, name).training_fields, table, where="[data.synthetic]", error=ExperimentError
    )
    train, validation = made["train"], made["validation"]
    return Part(train, segments.segments(train)), Part(validation, segments.segments(validation))


def _refuse_shared_frames(train: xr.DataArray, validation: xr.DataArray, path: Location) -> None:
    names = [{one.name for one in archive.sequences(field)} for field in (train, validation)]
    if all(names):  # the times of sequences mean nothing
        both = sorted(names[0] & names[1])
        if both:
            raise DataError(
                f"{path}: shares {len(both)} sequences with the training archive, {both[0]!r} first; a score on them"
                " would be worthless: archive other sequences, or leave data.validation out"
            )
        return
    seen = [field.time.values[field.observed.values] for field in (train, validation)]
    shared = np.intersect1d(*seen)
    if shared.size:
        raise DataError(
            f"{path}: shares {shared.size} frames with the training archive, the first at {shared[0]};"
            " a score on them would be worthless: archive other days, or leave data.validation out"
        )
