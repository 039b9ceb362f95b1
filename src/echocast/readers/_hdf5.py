"""What the readers of HDF5 share: recognition, bounded reading, groups and attributes with a clear error."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from echocast.errors import UnreadableFile
from echocast.io.damage import as_value_error

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_ACROSS = 20_000
_MOST_CELLS = 2**28


def looks(head: bytes, path: Path, is_it: Callable[[h5py.File], bool]) -> bool:
    """Whether a file is HDF5 and `is_it` says yes to it."""
    if head[:8] != MAGIC:
        return False
    with h5py.File(path) as file:
        return is_it(file)


def group(of: h5py.Group, name: str) -> h5py.Group:
    """A group inside another; raises `KeyError` if there is none, `ValueError` if it is something else."""
    return _member(of, name, h5py.Group)


def dataset(of: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset inside a group; raises `KeyError` if there is none, `ValueError` if it is something else."""
    return _member(of, name, h5py.Dataset)


def cells(data: h5py.Dataset, shape: tuple[int, int]) -> np.ndarray:
    """The numbers of a grid, refused before they are read if their shape or type is not as the header says."""
    with as_value_error(TypeError):  # of a type that NumPy has not
        kind = data.dtype
    if data.shape != shape or data.size > _MOST_CELLS or kind.kind not in "iuf":
        raise ValueError(f"the data are {kind} of shape {data.shape}, the header says {shape}")
    return np.asarray(data[...])


def check_holds(kind: np.dtype, name: str, numbers: np.ndarray | float) -> None:
    """Raise `UnreadableFile` where numbers with a sign cannot hold what an attribute says of them."""
    highest = float(np.max(np.asarray(numbers, float), initial=-np.inf))
    if kind.kind == "i" and highest > np.iinfo(kind).max:
        raise UnreadableFile(
            f"{name} is {highest:g}, which its numbers ({kind}, with a sign) cannot hold; write them as unsigned ones"
        )


def values(of: h5py.Group | h5py.Dataset, name: str) -> np.ndarray:
    """An attribute as a row of values; raises `KeyError` if there is none."""
    with as_value_error(TypeError):  # of a type that NumPy has not
        found = of.attrs[name]
    if isinstance(found, h5py.Empty):
        raise ValueError(f"the attribute {name} is empty")
    return np.atleast_1d(np.asarray(found)).ravel()


def number(of: h5py.Group | h5py.Dataset, name: str, default: float | None = None) -> float:
    """An attribute, or the first of its values, as a number; raises `KeyError` if there is none and no default."""
    if default is not None and name not in of.attrs:
        return default
    found = values(of, name)
    if not found.size or found.dtype.kind not in "biufSUO":
        raise ValueError(f"the attribute {name} is {found.dtype} of shape {found.shape}, not a number")
    with as_value_error(TypeError):  # an object that is none
        return float(found[0])


def text(of: h5py.Group | h5py.Dataset, name: str, default: str | None = None) -> str:
    """An attribute as text, whatever HDF5 made of it; raises `KeyError` if there is none and no default."""
    if default is not None and name not in of.attrs:
        return default
    found = values(of, name)
    if not found.size:
        return ""
    item = found[0]
    return (item.decode("latin-1") if isinstance(item, bytes) else str(item)).strip("\x00 ")


def numbered(of: h5py.Group, prefix: str) -> list[str]:
    """The names in a group that begin with a prefix, dataset2 before dataset10."""
    names = (name for name in of if isinstance(name, str))  # a damaged one is bytes
    return sorted((name for name in names if name.startswith(prefix)), key=_counted)


def _counted(name: str) -> tuple[str, int]:
    parts = re.fullmatch(r"(\D*)(\d*)", name)
    return (parts[1], int(parts[2] or 0)) if parts else (name, 0)


def _member(of: h5py.Group, name: str, kind: type) -> Any:
    found = of[name]
    if not isinstance(found, kind):
        raise ValueError(f"{name} is no {kind.__name__.lower()}")
    return found
