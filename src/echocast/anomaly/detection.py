"""Detection: the frames of sequences scored, and those that are abnormal by a threshold that no label decides.

Pictures are scored by their error alone. With what is normal (`echocast.anomaly.normal`) a frame is abnormal above the
score that 99 % of the normal frames are below; without it, above the median of all scores by 6 robust standard
deviations. Frames of rain are scored by how far their error and the measures of `echocast.anomaly.screening` stand out
from those of the frames around them, in robust standard deviations, and are abnormal above 6.

    >>> from echocast import fields
    >>> from echocast.models.persistence import Persistence
    >>> times = np.datetime64("2000-01-01", "ns") + np.arange(30) * np.timedelta64(1, "s")
    >>> frames = np.zeros((30, 8, 8)); frames[20] = 1.0
    >>> clip = fields.make(frames, time=times, y=range(8), x=range(8), quantity="image")
    >>> found = detect(clip, errors.NextFrame(Persistence(), past=1, both=True), Settings(block=2, smooth=1))
    >>> np.flatnonzero(found.sequences[0].abnormal).tolist()
    [20]
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped

from echocast import archive, checkpoint, fields
from echocast.anomaly import base, errors, screening
from echocast.anomaly import normal as normals
from echocast.anomaly.errors import Errors
from echocast.anomaly.normal import Normal
from echocast.anomaly.scores import Settings, block_means, of_maps, regularity, smoothed
from echocast.errors import MissingFrames, ModelError
from echocast.models import base as forecasters
from echocast.samples.segments import segments

log = logging.getLogger(__name__)

ODD = 6.0
"""Robust standard deviations above which a score stands out."""
_PICTURE_SIDE = 480
"""Pixels, at most, of the longer side of the pictures and maps that are kept."""


@dataclass(frozen=True)
class Detection:
    """The frames of one sequence.

    Args:
        name: of the sequence.
        times: of its frames.
        scores: of its frames; NaN of those without one.
        threshold: a frame is abnormal above it.
        maps: the score of each place, on a grid that may be coarser.
        map_threshold: what a place of a map that is abnormal is above.
        pictures: the frames on that grid.
        parts: of rain, by the name of a measure how far each frame stands out by it.
    """

    name: str
    times: Shaped[np.ndarray, "frames"]
    scores: Float[np.ndarray, "frames"]
    threshold: float
    maps: Float[np.ndarray, "frames y x"]
    map_threshold: float
    pictures: Shaped[np.ndarray, "frames *channel y x"]
    parts: Mapping[str, Float[np.ndarray, "frames"]] = field(default_factory=dict)

    @property
    def abnormal(self) -> Bool[np.ndarray, "frames"]:
        """Which frames are."""
        return np.asarray(np.nan_to_num(self.scores, nan=-np.inf) > self.threshold)

    @property
    def regularity(self) -> Float[np.ndarray, "frames"]:
        """1 for its frame of the lowest score, 0 for that of the highest."""
        return regularity(self.scores)

    def reason(self, number: int) -> str:
        """The measure by which a frame stands out most; empty of pictures, which have but one."""
        known = {name: values[number] for name, values in self.parts.items() if np.isfinite(values[number])}
        return max(known, key=lambda name: known[name]) if known else ""


@dataclass(frozen=True)
class Result:
    """The sequences of an input.

    Args:
        sequences: one by one.
        rule: how the threshold was found.
        threshold: the same for all of them.
        settings: how errors became scores.
    """

    sequences: tuple[Detection, ...]
    rule: str
    threshold: float
    settings: Settings


def errors_of(model: str, *, past: int = 4, lead: int = 1, both: bool = False) -> Errors:
    """What finds errors: a forecaster or an autoencoder, by name or from a checkpoint; raises `ModelError`."""
    path = Path(model)
    if path.suffix and not path.is_file():
        raise ModelError(f"{model}: no such checkpoint; give the .safetensors file of a run")
    if model in base.REGISTRY.names() or (path.suffix and checkpoint.task_of(path) == base.TASK):
        return errors.Reconstruction(base.REGISTRY.resolve(model))
    try:
        return errors.NextFrame(forecasters.resolve(model), past=past, lead=lead, both=both)
    except ValueError as bad:
        raise ModelError(str(bad)) from bad


def sequences_of(stored: xr.DataArray) -> list[tuple[str, slice]]:
    """The sequences of an archive by name; of radar frames the unbroken stretches, named by their first time.

    Pictures that are no archive are one sequence, called as their source.
    """
    found = [(one.name, one.frames) for one in archive.sequences(stored)]
    if not found and stored.name != fields.NAME:
        return [(str(stored.attrs.get("source", "sequence")), slice(0, stored.sizes["time"]))]
    return found or [(fields.format_time(stored.time.values[part.start]), part) for part in segments(stored)]


def learn(stored: xr.DataArray, finder: Errors, settings: Settings) -> Normal:
    """What is normal, from an archive or a sequence of normal frames."""
    return normals.learn([finder.maps(part) for _, part in _checked(stored, finder)], settings)


def detect(stored: xr.DataArray, finder: Errors, settings: Settings, normal: Normal | None = None) -> Result:
    """Score the frames of every sequence of a field.

    Args:
        stored: an archive's field, or one sequence: images, or rain in mm/h.
        finder: what finds the errors.
        settings: how errors become scores; those of `normal` where that is given.
        normal: what is normal; frames of rain are compared with each other instead.

    Raises:
        MissingFrames: a sequence is too short.
        WrongUnits: the model is for another quantity.
    """
    if normal is not None:
        settings = replace(normal.settings, threshold=settings.threshold)
    rain = stored.name == fields.NAME
    scored = [_Scored.of(name, part, finder, settings, normal) for name, part in _checked(stored, finder)]
    if rain and normal is None:
        return _compared(scored, settings)
    values = [smoothed(one.scores, settings.smooth) for one in scored]
    threshold, rule = _threshold(np.concatenate(values), settings, normal)
    found = [
        Detection(one.name, one.times, score, threshold, one.maps, threshold, one.pictures)
        for one, score in zip(scored, values, strict=True)
    ]
    return Result(tuple(found), rule, threshold, settings)


@dataclass(frozen=True)
class _Scored:
    """A sequence before its threshold is known."""

    name: str
    times: np.ndarray
    scores: np.ndarray
    maps: np.ndarray
    pictures: np.ndarray
    measures: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, name: str, frames: xr.DataArray, finder: Errors, settings: Settings, normal: Normal | None
    ) -> "_Scored":
        scores, maps, pictures = [], [], []
        measured: dict[str, list[np.ndarray]] = {}
        begin, every = 0, max(1, -(-max(frames.shape[-2:]) // _PICTURE_SIDE))
        for error in finder.maps(frames):
            part = frames[begin : begin + len(error)].values
            begin += len(error)
            means = block_means(error if normal is None else error / normal.scale, settings.block)
            scores.append(of_maps(means))
            maps.append(_first(means, every).astype(np.float16))
            pictures.append(_smaller(part, every))
            if frames.name == fields.NAME:
                for measure, values in screening.measures(part).items():
                    measured.setdefault(measure, []).append(values)
        measures = {measure: np.concatenate(values) for measure, values in measured.items()}
        return cls(
            name,
            frames.time.values,
            np.concatenate(scores),
            np.concatenate(maps),
            np.concatenate(pictures),
            measures,
        )


def _checked(stored: xr.DataArray, finder: Errors) -> Iterator[tuple[str, xr.DataArray]]:
    """The sequences that can be scored; of radar frames, stretches that are too short are told and left out."""
    found, named = sequences_of(stored), bool(archive.sequences(stored))
    usable = 0
    for name, part in found:
        try:
            finder.check(stored[part], name)
        except MissingFrames as short:
            if named or len(found) == 1:
                raise
            log.warning("left out: %s", short)
            continue
        usable += 1
        yield name, stored[part]
    if not usable:
        raise MissingFrames(f"none of {len(found)} unbroken stretches is long enough for a score; archive more frames")


def _threshold(scores: np.ndarray, settings: Settings, normal: Normal | None) -> tuple[float, str]:
    if settings.threshold is not None:
        return settings.threshold, "given by --threshold"
    if normal is not None:
        return normal.threshold, f"the score that {normals.QUANTILE:.0%} of the normal frames are below"
    known = scores[np.isfinite(scores)]
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    return middle + ODD * max(spread, 1e-6), f"the median of all scores and {ODD:g} robust standard deviations"


def _compared(scored: list[_Scored], settings: Settings) -> Result:
    """Frames of rain, each compared with those around it."""
    threshold = ODD if settings.threshold is None else settings.threshold
    error = np.concatenate([one.scores for one in scored])
    parts = {"error": screening.deviations("error", error)}
    for measure in scored[0].measures:
        parts[measure] = screening.deviations(measure, np.concatenate([one.measures[measure] for one in scored]))
    with_error = error[np.isfinite(error)]
    limit = float(np.median(with_error)) if with_error.size else 1.0
    highest = smoothed(np.fmax.reduce(list(parts.values())), settings.smooth)
    found, begin = [], 0
    for one in scored:
        own = slice(begin, begin := begin + len(one.times))
        own_parts = {name: values[own] for name, values in parts.items()}
        found.append(
            Detection(one.name, one.times, highest[own], threshold, one.maps, 2 * limit, one.pictures, own_parts)
        )
    rule = f"{threshold:g} robust standard deviations from the median of the frames around"
    return Result(tuple(found), rule, threshold, settings)


def _smaller(values: np.ndarray, every: int) -> np.ndarray:
    """Frames on a coarser grid: the highest value of each block, NaN where none is known."""
    rows, columns = values.shape[-2] // every * every, values.shape[-1] // every * every
    kept = values[..., :rows, :columns]
    blocks = kept.reshape(*kept.shape[:-2], rows // every, every, columns // every, every)
    return np.asarray(np.fmax.reduce(np.fmax.reduce(blocks, axis=-1), axis=-2), np.float32)


def _first(maps: np.ndarray, every: int) -> np.ndarray:
    """The first value of each whole block; of means over larger blocks no other would say more."""
    rows, columns = maps.shape[-2] // every * every, maps.shape[-1] // every * every
    return maps[:, :rows:every, :columns:every]
