"""Sequences kept as arrays: npy, npz and HDF5, also in the layouts of Moving MNIST.

A frame is (y, x), (y, x, channel) or (channel, y, x) with 1 or 3 channels; an array holds the frames of one sequence,
or of many: (sequence, time, frame). Two layouts are known by their contents: ``mnist_test_seq.npy`` (20, sequences, 64,
64) has time first, and the ``clips`` of an npz say where each sequence begins and how long it is. Which axis is which
is told from the shape, and what can be read in two ways is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from echocast.errors import UnreadableFile

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".hkl")
_CHANNELS = (1, 3)
_SMALLEST = 5
"""An axis of fewer cells than this is none of rows or columns."""


def read(path: Path) -> Iterator[tuple[str, Shaped[np.ndarray, "time channel y x"]]]:
    """The sequences of a file, each with its number in it, or no name if there is only one.

    Raises:
        UnreadableFile: it is damaged, holds no array of frames, several arrays that could be meant, or values out of
            range.
    """
    try:
        yield from _npz(path) if path.suffix.lower() == ".npz" else _single(path)
    except (OSError, ValueError, KeyError, EOFError) as bad:
        if isinstance(bad, UnreadableFile):
            raise
        raise UnreadableFile(f"{path}: is no whole array file ({bad}); fetch it again") from bad


def _single(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.suffix.lower() == ".npy":
        yield from _split(np.load(path, mmap_mode="r", allow_pickle=False), path)
        return
    import h5py

    with h5py.File(path) as file:
        found: dict[str, Any] = {}
        file.visititems(lambda name, one: found.update({name: one}) if getattr(one, "ndim", 0) >= 3 else None)
        yield from _split(_only(found, path)[()], path)


def _npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as file:
        if {"clips", "input_raw_data"} <= set(file):
            yield from _clips(file["clips"], file["input_raw_data"], path)
            return
        yield from _split(_only({name: file[name] for name in file if file[name].ndim >= 3}, path), path)


def _clips(clips: np.ndarray, frames: np.ndarray, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The layout of the authors of Moving MNIST: (2, sequence, 2) of begin and length, and all frames in one row.

    The first half of a sequence is ``clips[0]``, the second ``clips[1]``, which follows it.
    """
    if clips.ndim != 3 or clips.shape[0] != 2 or clips.shape[2] != 2:
        raise UnreadableFile(f"{path}: 'clips' has the shape {clips.shape}, not (2, sequences, 2)")
    for number, ((begin, count), (_, more)) in enumerate(clips.transpose(1, 0, 2)):
        yield f"{number:05d}", _frames(frames[begin : begin + count + more], path)


def _only(found: dict[str, Any], path: Path) -> Any:
    if len(found) != 1:
        there = f"holds {len(found)} arrays of three axes or more ({', '.join(found)})" if found else "holds no frames"
        raise UnreadableFile(f"{path}: {there}; save one array of frames")
    return next(iter(found.values()))


def _split(array: np.ndarray, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    array = _as_sequences(array, path)
    if array.ndim == 4:
        yield "", _frames(array, path)
        return
    for number in range(len(array)):
        yield f"{number:05d}", _frames(array[number], path)


def _as_sequences(array: np.ndarray, path: Path) -> np.ndarray:
    """(time, channel, y, x), or (sequence, time, channel, y, x)."""
    if array.ndim not in (3, 4, 5):
        raise UnreadableFile(f"{path}: an array of the shape {array.shape} holds no frames (time, y, x)")
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 5 or _is_channel(array.shape[-1]) or _is_channel(array.shape[1], array.shape[-1]):
        last, first = _is_channel(array.shape[-1]), _is_channel(array.shape[-3])
        if first == last:
            raise UnreadableFile(
                f"{path}: the shape {array.shape} does not tell which axis holds 1 or 3 channels; save frames (y, x),"
                " or (y, x, 3) of more than 3 columns"
            )
        return np.moveaxis(array, -1, -3) if last else array
    time_first = array.shape[0] == 20 and array.shape[1] != 20
    return (array.swapaxes(0, 1) if time_first else array)[:, :, None]


def _is_channel(size: int, rest: int = _SMALLEST) -> bool:
    return size in _CHANNELS and rest >= _SMALLEST


def _frames(frames: Any, path: Path) -> np.ndarray:
    """Frames as uint8, uint16, or levels from 0 to 1; raises `UnreadableFile` for any others."""
    made = np.asarray(frames)
    if not made.size or made.dtype.kind not in "buif":
        raise UnreadableFile(f"{path}: an array of {made.dtype} and the shape {made.shape} holds no frames")
    if made.dtype == np.bool_:
        return made.astype(np.uint8) * np.uint8(255)
    if made.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(made)
    low, high = (float(one(made)) for one in (np.nanmin, np.nanmax))
    if made.dtype.kind in "iu" and low >= 0 and high < 2**16:
        return made.astype(np.uint8 if high < 256 else np.uint16)
    if made.dtype.kind == "f" and low >= 0 and high <= 1:
        return made.astype(np.float32)
    if made.dtype.kind == "f" and low >= 0 and high <= 255 and (made == np.rint(made)).all():
        return made.astype(np.uint8)
    raise UnreadableFile(
        f"{path}: its values are {made.dtype} from {low:g} to {high:g}; frames are whole numbers of 8 or 16 bits, or"
        " levels from 0 to 1"
    )
