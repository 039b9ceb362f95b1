"""Windows of frames with the classes of their cells: an archive of images, and one of labels for some of its frames.

Labels belong to images by the name of their sequence and the place of the frame in it. Not every sequence and not every
frame needs labels; a window without any is left out.

>>> images, labels = [("a", 0, 5), ("b", 6, 4)], [("b", 0, 4)]
>>> label_frames(images, labels, np.array([True, False, True, True])).tolist()
[-1, -1, -1, -1, -1, -1, 0, -1, 2, 3]
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from echocast.context import UNKNOWN
from echocast.errors import DataError, ExperimentError, MissingFrames
from echocast.samples.sources import Batch
from echocast.samples.tensors import IGNORED, frames_to_tensor
from echocast.samples.windows import Windows

Placed = tuple[str, int, int]
"""A sequence of an archive: its name, first frame and length, as `echocast.archive.sequences` gives it."""


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """The table ``[data]`` of an experiment on segmentation.

    Args:
        train: an archive of sequences of `echocast archive add-video`.
        labels: the archive of their labels, made with ``--quantity label``; it may hold those of other sequences too.
        validation: another archive of sequences; in place of it, `validation_sequences`.
        validation_labels: the archive of its labels, if they are not in `labels`.
        validation_sequences: names of sequences of `train` that are not learned from, but validated with.
        held_out: names of sequences of `train` that are used for nothing here, such as those of a test.
        frames: of a window.
        stride: frames between the starts of neighbouring training windows.
        validation_stride: the same of validation windows; a window if None, so that they do not overlap.
        flip_x: mirror each window from left to right, by the toss of a coin.
        flip_y: the same from top to bottom.
        jitter: standard deviation of what is added to the levels of a window, and of the logarithm of what they are
            multiplied by.
        max_turn: the largest angle that a window is turned by, in degrees.
        max_shift: the longest way that it is shifted, as a share of its rows and columns.
        in_memory: read all frames into memory before training; else each window when it is needed.

    Raises:
        ExperimentError: settings that contradict each other, or are out of range.
    """

    train: Path
    labels: Path
    validation: Path | None = None
    validation_labels: Path | None = None
    validation_sequences: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    frames: int = 10
    stride: int = 5
    validation_stride: int | None = None
    flip_x: bool = True
    flip_y: bool = False
    jitter: float = 0.05
    max_turn: float = 10.0
    max_shift: float = 0.1
    in_memory: bool = True

    def __post_init__(self) -> None:
        if (self.validation is None) == (not self.validation_sequences):
            raise ExperimentError(
                "[data] needs either validation, the path of an archive, or validation_sequences, the names of some"
                " sequences of data.train"
            )
        both = sorted(set(self.validation_sequences) & set(self.held_out))
        if both:
            raise ExperimentError(f"data.held_out names {both[0]!r}, which data.validation_sequences names too")
        if min(self.frames, self.stride, self.validation_stride or 1) < 1:
            raise ExperimentError(
                f"data.frames = {self.frames}, data.stride = {self.stride} and data.validation_stride ="
                f" {self.validation_stride} must be at least 1"
            )
        for name, most in (("jitter", 1.0), ("max_turn", 180.0), ("max_shift", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ExperimentError(f"data.{name} = {getattr(self, name)} must be between 0 and {most:g}")


def label_frames(
    images: Iterable[Placed], labels: Iterable[Placed], labelled: Bool[np.ndarray, "label_frames"]
) -> Int[np.ndarray, "frames"]:
    """The label frame of every frame of an archive of images; -1 where it has none.

    Args:
        images: the sequences of the images.
        labels: those of the labels.
        labelled: which frames of the archive of labels hold any; the others are gaps.

    Raises:
        DataError: no sequence of the images has labels, or one has more labels than frames.
    """
    images = list(images)
    known = {name: (first, length) for name, first, length in labels}
    found = np.full(max((first + length for _, first, length in images), default=0), -1)
    for name, first, length in images:
        if name not in known:
            continue
        begin, count = known[name]
        if count > length:
            raise DataError(
                f"sequence {name!r} has labels for its frame {count - 1} (the first is 0), but only {length} frames;"
                " archive its labels with --beside FRAMES, the folder of the same pictures"
            )
        numbers = np.arange(begin, begin + count)
        found[first : first + count] = np.where(labelled[numbers], numbers, -1)
    if (found < 0).all():
        raise DataError(
            f"none of the sequences {_some(name for name, _, _ in images)} has labels; the archive of labels has"
            f" {_some(known)}: give both archives the same names"
        )
    return found


@dataclass(frozen=True, eq=False)
class Labelled:
    """Frames and labels that belong together, and the windows of them.

    Args:
        images: the archive's field.
        labels: the field of the archive of labels.
        numbers: of `label_frames`.
        starts: the first frame of each window.
        length: of a window.
        in_memory: read all frames into memory when the first one is needed.
    """

    images: xr.DataArray
    labels: xr.DataArray
    numbers: Int[np.ndarray, "frames"]
    starts: Int[np.ndarray, "windows"]
    length: int
    in_memory: bool = True

    def __post_init__(self) -> None:
        made = Windows(self.images, self.starts, past=self.length, future=0, in_memory=self.in_memory)
        object.__setattr__(self, "_windows", made)
        used = np.unique(self.numbers[np.unique(self.starts[:, None] + np.arange(self.length))])
        kept = {int(n): self._read(int(n)) for n in used if n >= 0} if self.in_memory else {}
        object.__setattr__(self, "_kept", kept)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, chosen: Iterable[int]) -> Batch:
        """Some windows, with their labels."""
        windows, labels = zip(*(self.window(number) for number in chosen), strict=True)
        return Batch(torch.stack(windows), self.length, UNKNOWN, torch.stack(labels))

    def window(self, number: int) -> tuple[Shaped[Tensor, "time channel y x"], Int[Tensor, "time 1 rows columns"]]:
        """The frames of a window and the classes of their cells."""
        frames = self._windows[number]  # type: ignore[attr-defined]  # made with the object, which is frozen
        begin = int(self.starts[number])
        shape = (1, self.labels.sizes["y"], self.labels.sizes["x"])
        none = torch.full(shape, IGNORED)
        places = self.numbers[begin : begin + self.length]
        return frames, torch.stack([none if n < 0 else self._label(int(n)) for n in places])

    def classes(self) -> Int[np.ndarray, "classes"]:
        """The class numbers that the labels of its windows hold, in their order."""
        places = np.unique(self.numbers[np.unique(self.starts[:, None] + np.arange(self.length))])
        found = {int(one) for n in places if n >= 0 for one in torch.unique(self._label(int(n)))}
        return np.array(sorted(found - {IGNORED}), int)

    def _label(self, number: int) -> Tensor:
        kept: dict[int, Tensor] = self._kept  # type: ignore[attr-defined]  # made with the object, which is frozen
        return kept[number] if number in kept else self._read(number)

    def _read(self, number: int) -> Tensor:
        return frames_to_tensor(self.labels[number : number + 1])[0]


class LabelledBatches(Dataset[Batch]):
    """Batches by number, as `echocast.samples.batches.Batches`: batch 7 is the same whoever asks for it.

    Args:
        source: the windows, all equally likely.
        size: windows in a batch, of all processes together.
        seed: what they are drawn from.
        rank: which process this is, of `world`.
        world: how many processes share each batch.
    """

    def __init__(self, source: Labelled, *, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.source, self.size, self.seed, self.part = source, size, seed, slice(rank, None, world)

    def __getitem__(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, 2, number])
        drawn = rng.choice(len(self.source), self.size, replace=len(self.source) < self.size)
        return self.source.batch(int(n) for n in drawn[self.part])


def windows_of(
    images: xr.DataArray,
    labels: xr.DataArray,
    sequences: tuple[Sequence[Placed], Sequence[Placed]],
    data: LabelledData,
    stride: int,
) -> Labelled:
    """The windows of some sequences that have a label somewhere.

    Args:
        images: an archive's field.
        labels: that of its labels.
        sequences: those of the images to take, and all of the labels.
        data: how long windows are.
        stride: frames between the starts of neighbouring windows.

    Raises:
        DataError: images and labels do not belong together.
        MissingFrames: there is no window.
    """
    wanted, known = sequences
    numbers = label_frames(wanted, known, np.asarray(labels.coords["observed"].values, bool))
    numbers = np.concatenate([numbers, np.full(images.sizes["time"] - len(numbers), -1)])
    spans = [slice(first, first + length) for _, first, length in wanted]
    starts = _starts(spans, data.frames, stride)
    has_label = [bool((numbers[s : s + data.frames] >= 0).any()) for s in starts]
    starts = starts[np.array(has_label, bool)]
    if not len(starts):
        longest = max((length for _, _, length in wanted), default=0)
        raise MissingFrames(
            f"no window of data.frames = {data.frames} frames has a label; the longest sequence has {longest} frames"
        )
    return Labelled(images, labels, numbers, starts, data.frames, data.in_memory)


def _starts(spans: Sequence[slice], frames: int, stride: int) -> Int[np.ndarray, "windows"]:
    """The first frame of every window; the last window of a sequence ends where the sequence does."""
    found: list[int] = []
    for span in spans:
        last = span.stop - frames
        own = list(range(span.start, last + 1, stride))
        found += own + ([last] if own and own[-1] < last else [])
    return np.array(found, int)


def without(batch: Batch, hidden: Bool[Tensor, "batch time 1 rows columns"]) -> Batch:
    """A batch whose labels are ignored where `hidden`."""
    labels = batch.labels
    return batch if labels is None else replace(batch, labels=labels.masked_fill(hidden, IGNORED))


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:4]) + (f" and {len(every) - 4} more" if len(every) > 4 else "")
