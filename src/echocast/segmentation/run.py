"""A trained network on videos and folders of pictures: masks, overlays, and scores where there are labels.

>>> made = run(Path("davis16/frames"), "runs/davis/weights.safetensors", Path("masks"))  # doctest: +SKIP
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8

from echocast import video
from echocast.archive import transforms as transforming
from echocast.archive.transforms import Transform
from echocast.atomic import atomic_write
from echocast.errors import DataError, MissingDependency
from echocast.samples.tensors import IGNORED
from echocast.segmentation import base, pictures, scores
from echocast.segmentation.base import Segmenter
from echocast.segmentation.classes import LENGTH, stretches
from echocast.verification.base import Sums, add
from echocast.video import writing

_SMALLEST_SIDE = 240
_SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """True classes to compare with.

    Args:
        path: of sequences of label maps with the names of the segmented ones; of one, if one is segmented.
        classes: the pixel value of each class; without them a pixel value is its class.
    """

    path: Path
    classes: tuple[int, ...] = ()


@dataclass
class Result:
    """What was segmented.

    Args:
        classes: how many the network knows.
        frames: how many each sequence has.
        sums: of `scores.statistics`, of each sequence with labels.
        examples: some frames of each sequence, with their classes laid over them.
        videos: the overlays that were written.
    """

    classes: int
    frames: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Sums] = field(default_factory=dict)
    examples: dict[str, UInt8[np.ndarray, "time y x 3"]] = field(default_factory=dict)
    videos: list[Path] = field(default_factory=list)

    def scores(self) -> dict[str, dict[str, np.ndarray]]:
        """The scores of each sequence with labels and, if there are several, of all cells and frames of them."""
        found = {name: scores.values(sums) for name, sums in self.sums.items()}
        if len(self.sums) > 1:
            found["all"] = scores.values(reduce(add, self.sums.values()))
        return found


def run(
    path: Path,
    model: str | Path,
    out: Path,
    *,
    options: video.Options = video.DEFAULT,
    transforms: tuple[Transform, ...] = (),
    labels: Labels | None = None,
    memory: int | None = None,
    on_sequence: Callable[[int, int], None] = lambda *_: None,
) -> Result:
    """Segment every sequence of a path.

    Writes ``masks/SEQUENCE/00000.png`` and so on, ``overlay/SEQUENCE.mp4`` (``.gif`` where PyAV is missing), and
    ``scores.csv`` if there are labels.

    Args:
        path: a video, folders of pictures, arrays; see `echocast.video`.
        model: the path of a checkpoint of a segmentation network.
        out: the folder to write to; made if it does not exist.
        options: how to read the frames; a network of one channel is given grey levels anyway.
        transforms: applied to each frame first, such as those of the archive that the network learned from.
        labels: true classes.
        memory: after so many frames the network starts afresh; None: never.
        on_sequence: called before each sequence with the number of those done and in all.

    Raises:
        DataError: frames or labels that do not suit the network, or cannot be read.
        ModelError: no such network, or no weights.
    """
    network = base.resolve(model)
    options = replace(options, grey=options.grey or network.channels == 1)
    names = video.names([path], options)
    known = _labels(labels, path, names) if labels is not None else {}
    result = Result(network.classes)
    for number, sequence in enumerate(video.sequences([path], options)):
        on_sequence(min(number, len(names) - 1), len(names))
        truth = known.get(sequence.name) or (known.get("") if len(names) == 1 else None)
        _segment(sequence, network, out, transforms, truth, result, memory)
    if known and not result.sums:
        raise DataError(
            f"{labels.path if labels else ''}: has labels of {', '.join(known)}, and the sequences are"
            f" {', '.join(result.frames)}; give their folders the same names"
        )
    if result.sums:
        _write_scores(result, out / "scores.csv")
    return result


def _segment(
    sequence: video.Sequence,
    network: Segmenter,
    out: Path,
    transforms: tuple[Transform, ...],
    truth: video.Sequence | None,
    result: Result,
    memory: int | None,
) -> None:
    count = len(sequence.frames)
    masks = _folder(out / "masks" / sequence.name)
    parts = (transforming.apply(sequence.field(n, n + LENGTH), transforms) for n in range(0, count, LENGTH))
    kept: list[xr.DataArray] = []
    shown: list[np.ndarray] = []
    for found in stretches(network, _remembered(parts, kept), memory=memory):
        levels = kept.pop().values
        seen = writing.to_pictures(levels if levels.ndim == 4 else levels[:, None])
        for place, classes in enumerate(found.values, result.frames.get(sequence.name, 0)):
            pictures.write_mask(masks / f"{place:05d}.png", classes, network.classes)
        if truth is not None:
            _score(found.values, truth, result, sequence)
        shown.append(pictures.overlay(seen, found.values, network.classes))
        result.frames[sequence.name] = result.frames.get(sequence.name, 0) + len(found)
    frames = np.concatenate(shown)
    result.examples[sequence.name] = frames[np.linspace(0, count - 1, min(_SHOWN, count)).round().astype(int)]
    result.videos.append(_write_overlay(out / "overlay" / sequence.name, frames, sequence.frame_rate))


def _remembered(parts: Iterable[xr.DataArray], kept: list[xr.DataArray]) -> Iterator[xr.DataArray]:
    """The parts, each put into `kept` too when it is asked for."""
    for part in parts:
        kept.append(part)
        yield part


def _score(
    found: Float[np.ndarray, "time y x"], truth: video.Sequence, result: Result, sequence: video.Sequence
) -> None:
    """Add what the labels of the frames from the first of `found` on say of it."""
    begin = result.frames.get(sequence.name, 0)
    if truth.length > len(sequence.frames):
        raise DataError(
            f"{truth.name}: has a label for frame {truth.length - 1} (the first is 0), and the sequence has"
            f" {len(sequence.frames)} frames; give the labels of these frames"
        )
    places = list(truth.places or range(len(truth.frames)))
    here = [n for n, place in enumerate(places) if begin <= place < begin + len(found)]
    if not here:
        return
    known = truth.field(here[0], here[-1] + 1).values
    if known.shape[1:] != found.shape[1:]:
        raise DataError(
            f"{truth.name}: the labels have {known.shape[2]} x {known.shape[1]} cells, and the result"
            f" {found.shape[2]} x {found.shape[1]}: change the size of the frames with --transform 'resize ...'"
        )
    if known.max() >= result.classes:
        raise DataError(
            f"{truth.name}: has the class {int(known.max())}, and the model knows 0 to {result.classes - 1};"
            " say which pixel values are which class with --classes"
        )
    predicted = found[[places[n] - begin for n in here]]
    hidden = np.isnan(predicted)
    sums = scores.statistics(
        np.nan_to_num(predicted).astype(int), np.where(hidden, IGNORED, known).astype(int), classes=result.classes
    )
    before = result.sums.get(sequence.name)
    result.sums[sequence.name] = sums if before is None else add(before, sums)


def _labels(labels: Labels, path: Path, names: list[str]) -> dict[str, video.Sequence]:
    """The label maps by the name of their sequence; the only ones of the only sequence by an empty name."""
    options = video.Options(quantity="label", classes=labels.classes, beside=path if path.is_dir() else None)
    found = {one.name: one for one in video.sequences([labels.path], options)}
    return {"": next(iter(found.values()))} if len(found) == len(names) == 1 else found


def _write_overlay(path: Path, frames: UInt8[np.ndarray, "time y x 3"], frame_rate: float) -> Path:
    """Write a video, as a GIF where no mp4 can be written; returns its path."""
    _folder(path.parent)
    factor = max(1, math.ceil(_SMALLEST_SIDE / min(frames.shape[1:3])))
    large = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    for suffix in (".mp4", ".gif"):
        made = path.with_name(path.name + suffix)
        try:
            writing.write(made, large, frame_rate=frame_rate)
        except MissingDependency:
            continue
        break
    return made


def _write_scores(result: Result, path: Path) -> None:
    """One row for each sequence, score and class."""
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sequence", "score", "class", "value"])
        for name, found in result.scores().items():
            for score, value in found.items():
                each = [("", value)] if value.ndim == 0 else list(enumerate(value))
                writer.writerows([name, score, number, f"{float(one):.6g}"] for number, one in each)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as bad:
        raise DataError(f"{path}: cannot be made ({bad.strerror or bad}); give another folder by --out") from bad
    return path
