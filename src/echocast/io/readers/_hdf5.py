"""What the readers of HDF5 share: opening, bounded reading, attributes as text."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pyproj

from echocast.errors import UnreadableFile

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_ACROSS = 20_000
_MOST_CELLS = 2**28
_TROUBLES = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    TypeError,
    IndexError,
    OverflowError,
    AttributeError,
    MemoryError,
    pyproj.exceptions.ProjError,
)


def looks(head: bytes, path: Path, is_it: Callable[[h5py.File], bool]) -> bool:
    """Whether a file is HDF5 and `is_it` says yes to it; damage means no."""
    if head[:8] != MAGIC:
        return False
    try:
        with h5py.File(path) as file:
            return is_it(file)
    except _TROUBLES:
        return False


@contextmanager
def opened(path: Path, kind: str) -> Iterator[h5py.File]:
    """The open file; whatever goes wrong with it becomes an `UnreadableFile` that names it."""
    try:
        with h5py.File(path) as file:
            yield file
    except UnreadableFile:
        raise
    except _TROUBLES as bad:
        why = " ".join(str(bad).split())[:200]
        raise UnreadableFile(f"{path}: cannot be read as {kind} ({why}); is it whole? fetch it again") from bad


def cells(data: h5py.Dataset, shape: tuple[int, int]) -> np.ndarray:
    """The numbers of a grid, refused before they are read if their shape or type is not as the header says."""
    if data.shape != shape or data.size > _MOST_CELLS or data.dtype.kind not in "iuf":
        raise ValueError(f"the data are {data.dtype} of shape {data.shape}, the header says {shape}")
    return np.asarray(data[...])


def text(value: object) -> str:
    """An attribute as text, whatever HDF5 made of it."""
    first = np.atleast_1d(np.asarray(value))[:1]
    if not first.size:
        return ""
    item = first[0]
    return (item.decode("latin-1") if isinstance(item, bytes) else str(item)).strip("\x00 ")


def counted(name: str) -> tuple[str, int]:
    """A sorting key that puts dataset2 before dataset10."""
    parts = re.fullmatch(r"(\D*)(\d*)", name)
    return (parts[1], int(parts[2] or 0)) if parts else (name, 0)
