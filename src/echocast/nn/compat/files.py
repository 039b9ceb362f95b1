"""Files of weights: PyTorch, safetensors, NumPy's npz, and Keras' HDF5 in all its layouts."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import torch

from echocast.errors import UnreadableFile

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".h5", ".hdf5", ".keras")


def read(path: str | Path) -> dict[str, Any]:
    """The tensors of a file by name.

    PyTorch files are read with ``weights_only=True``, so that none of their code runs. A dictionary inside
    (``state_dict``, ``model``) is opened; in Keras' files the group's path is part of the name.

    Raises:
        UnreadableFile: not a file of weights.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UnreadableFile(
            f"{path}: weights are read from files that end in {', '.join(SUFFIXES)}; save them as one of these"
        )
    if not path.is_file():
        raise UnreadableFile(f"{path}: no such file; give a file of weights")
    try:
        found: dict[str, Any] = _READERS[path.suffix](path)  # type: ignore[operator]  # mixed signatures
        return found
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as bad:
        raise UnreadableFile(f"{path}: {str(bad).splitlines()[0] if str(bad) else type(bad).__name__}") from bad
    except safetensors.SafetensorError as bad:
        raise UnreadableFile(f"{path}: {bad}") from bad


def _torch(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    while isinstance(content, Mapping):
        inner = [content[key] for key in ("state_dict", "model_state_dict", "model") if key in content]
        if not inner or not isinstance(inner[0], Mapping):
            return {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
        content = inner[0]
    raise ValueError(f"it holds a {type(content).__name__}, not a dictionary of tensors")


def _npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _hdf5(source: Path | io.BytesIO) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            found[name.removesuffix(":0")] = item[()]

    with h5py.File(source, "r") as file:
        file.visititems(visit)
    return found


def _keras(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return _hdf5(io.BytesIO(archive.read("model.weights.h5")))


_READERS = {
    ".safetensors": safetensors.torch.load_file,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".keras": _keras,
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _torch),
}
