"""Sequences of pictures: which there are at some paths, and each as a field.

A path is a video (mp4, avi, mkv, mov, webm, an animated GIF), a folder of pictures in the order of their names (numbers
in them count as numbers), a folder of such folders and videos, or a file of arrays (npy, npz, HDF5). Every frame keeps
its size, its channels (red, green and blue, in this order) and its depth: grey levels of 8 bits become n / 255, those
of 16 bits n / 65535.

    >>> str(START)[:10]
    '2000-01-01'
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from echocast import fields
from echocast.errors import DataError, UnreadableFile
from echocast.video import arrays, decoding, pictures

START = np.datetime64("2000-01-01", "ns")
"""The time of the first frame of a sequence that does not know when it was taken."""
FRAME_RATE = 1.0
"""Frames a second where neither the file nor an option tells."""
RGB = ("red", "green", "blue")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How sequences are read.

    Args:
        quantity: "image", or "label" for maps of classes.
        grey: make one channel of three, by the luma of ITU-R BT.601.
        frame_rate: frames a second, in place of what the file says.
        classes: for labels, the pixel value of class 0, of class 1 and so on; without them a pixel value is its class.
        beside: for labels, a folder of sequences with the same names whose pictures have the same names: a picture's
            place in the sequence is that of its namesake, so that some frames may have no labels.
    """

    quantity: Literal["image", "label"] = "image"
    grey: bool = False
    frame_rate: float | None = None
    classes: tuple[int, ...] = ()
    beside: Path | None = None


DEFAULT = Options()
"""Pictures as they are."""


@dataclass(frozen=True)
class Sequence:
    """Frames that belong together.

    Args:
        name: of its file or folder, and its number where a file holds several.
        frames: uint8, uint16 or float32 (levels from 0 to 1).
        frame_rate: frames a second.
        places: the number of each frame, which increases; the missing ones have none.
        options: how it was read.
    """

    name: str
    frames: Shaped[np.ndarray, "time channel y x"]
    frame_rate: float
    places: tuple[int, ...] = ()
    options: Options = DEFAULT

    @property
    def step(self) -> np.timedelta64:
        """The time between two frames, to the nanosecond."""
        return np.timedelta64(max(1, round(1e9 / self.frame_rate)), "ns")

    @property
    def length(self) -> int:
        """Frames from the first to the last place, also those that are missing."""
        return (self.places[-1] + 1) if self.places else len(self.frames)

    def field(self, first: int = 0, stop: int | None = None, *, start: np.datetime64 = START) -> xr.DataArray:
        """Some of its frames as a field, (time, y, x), or (time, channel, y, x) of colours."""
        frames = self.frames[first:stop]
        places = np.array(self.places or range(len(self.frames)))[first:stop]
        values = _classes(frames, self.options, self.name) if self.options.quantity == "label" else _levels(frames)
        rows, columns = frames.shape[-2:]
        colours = frames.shape[1] == 3
        return fields.make(
            values if colours else values[:, 0],
            time=start + places * self.step,
            y=range(rows),
            x=range(columns),
            quantity=self.options.quantity,
            channels=RGB if colours else (),
            attrs={"source": self.name},
        )


def names(inputs: Iterable[Path], options: Options = DEFAULT) -> list[str]:
    """The names of the sequences, or of the files that hold them."""
    return [name for name, _ in _found(inputs, options)]


def sequences(inputs: Iterable[Path], options: Options = DEFAULT) -> Iterator[Sequence]:
    """The sequences of files and folders, in the order of their names.

    Raises:
        UnreadableFile: a file is damaged, of no known format, or its frames change their size.
        DataError: there is no sequence, or two have one name.
        MissingDependency: videos need the package av.
    """
    seen: set[str] = set()
    for name, open_them in _found(inputs, options):
        for sequence in open_them(name):
            if sequence.name in seen:
                raise DataError(f"two sequences are called {sequence.name!r}; give their common folder as INPUT")
            seen.add(sequence.name)
            yield sequence


def one(path: Path, options: Options = DEFAULT) -> Sequence:
    """The only sequence of a path; raises `DataError` if there are several."""
    found = sequences([path], options)
    first = next(found)
    if next(found, None) is not None:
        raise DataError(f"{path}: holds several sequences, {first.name!r} first; give the path of one")
    return first


_Opener = Callable[[str], Iterable[Sequence]]


def _found(inputs: Iterable[Path], options: Options) -> list[tuple[str, _Opener]]:
    found: list[tuple[str, _Opener]] = []
    for path in inputs:
        if not path.exists():
            raise UnreadableFile(f"{path}: no such file or folder; give a video, a folder of pictures or an array")
        found += list(_below(path, path.parent if path.is_file() else path, options))
    if not found:
        raise DataError(
            f"{', '.join(map(str, inputs))}: holds no video, picture or array that can be read; there are"
            f" {', '.join(decoding.SUFFIXES + pictures.SUFFIXES + arrays.SUFFIXES)}"
        )
    return found


def _below(path: Path, root: Path, options: Options) -> Iterator[tuple[str, _Opener]]:
    """The sequences of a file, or of a folder and the folders in it."""
    if path.is_file():
        yield from _of_file(path, root, options)
        return
    inside = sorted((one for one in path.iterdir() if not one.name.startswith(".")), key=pictures.natural)
    still = [one for one in inside if one.is_file() and pictures.is_picture(one)]
    if still:
        name = path.relative_to(root).as_posix() if path != root else path.name
        yield name, lambda name: [_of_pictures(name, still, path, root, options)]
    for one in inside:
        if one not in still:
            yield from _below(one, root, options)


def _of_file(path: Path, root: Path, options: Options) -> Iterator[tuple[str, _Opener]]:
    name = path.relative_to(root).with_suffix("").as_posix()
    if decoding.is_video(path):
        yield name, lambda name: [_of_video(name, path, options)]
    elif path.suffix.lower() in arrays.SUFFIXES:
        yield name, lambda name: _of_arrays(name, path, options)
    elif pictures.is_picture(path):
        yield name, lambda name: [_of_pictures(name, [path], path.parent, root, options)]


def _of_video(name: str, path: Path, options: Options) -> Sequence:
    frames, rate = decoding.read(path, grey=options.grey)
    return Sequence(name, frames, options.frame_rate or rate or FRAME_RATE, (), options)


def _of_arrays(name: str, path: Path, options: Options) -> Iterator[Sequence]:
    for own, frames in arrays.read(path):
        made = decoding.luma(frames) if options.grey and frames.shape[1] == 3 else frames
        yield Sequence(f"{name}/{own}" if own else name, made, options.frame_rate or FRAME_RATE, (), options)


def _of_pictures(name: str, files: list[Path], folder: Path, root: Path, options: Options) -> Sequence:
    frames = pictures.read(files, grey=options.grey or options.quantity == "label", index=options.quantity == "label")
    places: tuple[int, ...] = ()
    if options.beside is not None:
        places = _places(files, options.beside / folder.relative_to(root))
    return Sequence(name, frames, options.frame_rate or FRAME_RATE, places, options)


def _places(files: list[Path], beside: Path) -> tuple[int, ...]:
    """The place of each picture among those of another folder, by their names without endings."""
    if not beside.is_dir():
        raise DataError(f"{files[0].parent}: there is no folder {beside} with the pictures that these labels are for")
    known = {
        one.stem: n for n, one in enumerate(sorted(filter(pictures.is_picture, beside.iterdir()), key=pictures.natural))
    }
    unknown = [one for one in files if one.stem not in known]
    if unknown:
        raise DataError(f"{unknown[0]}: there is no picture called {unknown[0].stem} in {beside}")
    return tuple(sorted(known[one.stem] for one in files))


def _levels(frames: np.ndarray) -> np.ndarray:
    if frames.dtype == np.float32:
        return frames
    return frames.astype(np.float32) / np.float32(np.iinfo(frames.dtype).max)


def _classes(frames: np.ndarray, options: Options, name: str) -> np.ndarray:
    """Class numbers of pixel values; raises `DataError` for a value that is no class."""
    if frames.shape[1] != 1 or frames.dtype.kind != "u":
        raise DataError(
            f"{name}: a label map has whole numbers in one channel; this has {frames.dtype}, {frames.shape[1]} channels"
        )
    if not options.classes:
        return frames.astype(np.float32)
    table = np.full(int(np.iinfo(frames.dtype).max) + 1, np.nan, np.float32)
    table[list(options.classes)] = np.arange(len(options.classes))
    made = np.asarray(table[frames])
    if np.isnan(made).any():
        strange = np.unique(frames[np.isnan(made)])
        raise DataError(
            f"{name}: has the pixel values {', '.join(map(str, strange[:8]))}, which are not among the classes"
            f" {', '.join(map(str, options.classes))}; name them with --classes"
        )
    return made
