"""Files of weights: PyTorch, safetensors, NumPy's npz, and Keras' HDF5 in all its layouts."""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from echocast.errors import MissingDependency, UnreadableFile

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".h5", ".hdf5", ".keras")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys whose dictionary holds the model's weights."""
_NOT_WEIGHTS = re.compile(r"(.*[./_])?(optimizer|optimiser|optim|optimizers|scheduler|lr_schedulers?)([./_].*)?", re.I)
"""Parts of a checkpoint that hold what training needs, moments of weights among it, and no weights."""


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights holds.

    Args:
        tensors: by name; in Keras' files the group's path is part of it, in nested PyTorch checkpoints the keys of the
            dictionaries around it.
        left_out: how many tensors each part of the file has that holds no weights, such as an optimiser.
        config: Keras' description of the model, if the file has one.
        keras_version: of the Keras that wrote the file.
    """

    tensors: Mapping[str, Any]
    left_out: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    keras_version: str | None = None


def read(path: str | Path) -> dict[str, Any]:
    """The tensors of a file by name, see `read_file`."""
    return dict(read_file(path).tensors)


def read_file(path: str | Path) -> WeightsFile:
    """The content of a file.

    PyTorch files are read with ``weights_only=True`` and to the CPU, so that none of their code runs. A dictionary
    inside (``state_dict``, ``model``) is opened, and what an optimiser keeps is left out.

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
        return _READERS[path.suffix](path)
    except pickle.UnpicklingError as bad:
        raise UnreadableFile(f"{path}: {_more_than_tensors(bad)}") from bad
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as bad:
        raise UnreadableFile(f"{path}: {str(bad).splitlines()[0] if str(bad) else type(bad).__name__}") from bad
    except safetensors.SafetensorError as bad:
        raise UnreadableFile(f"{path}: {bad}") from bad


def _more_than_tensors(bad: pickle.UnpicklingError) -> str:
    """Which object keeps a file from being read, and what to do, out of PyTorch's long message."""
    name = re.search(r"GLOBAL ([\w.]+)", str(bad))
    if name is None:
        return f"is no file of tensors ({str(bad).splitlines()[0]}); save the model's state_dict()"
    return (
        f"holds more than tensors ({name[1]}), which would run code to be read; where you trust it, save its state_dict"
        " alone with torch.save(model.state_dict(), 'weights.pt')"
    )


def _torch(path: Path) -> WeightsFile:
    content = torch.load(path, map_location="cpu", weights_only=True)
    left_out: dict[str, int] = {}
    while isinstance(content, Mapping):
        inside = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inside:
            found = _nested(content)
            return WeightsFile(found.tensors, left_out | dict(found.left_out))
        left_out |= _nested({key: value for key, value in content.items() if key != inside[0]}).left_out
        content = content[inside[0]]
    raise ValueError(f"it holds a {type(content).__name__}, not a dictionary of tensors")


def _nested(content: Mapping[Any, Any]) -> WeightsFile:
    """All tensors of dictionaries in dictionaries, by their keys with dots between."""
    tensors: dict[str, Any] = {}
    left_out: dict[str, int] = {}

    def visit(name: str, value: Any, part: str | None) -> None:
        if isinstance(value, torch.Tensor):
            if part is None:
                tensors[name] = value
            else:
                left_out[part] = left_out.get(part, 0) + 1
        if isinstance(value, Mapping):
            for key, inner in value.items():
                own = part or (str(key) if not name and _NOT_WEIGHTS.fullmatch(str(key)) else None)
                visit(f"{name}.{key}" if name else str(key), inner, own)

    visit("", content, None)
    return WeightsFile(tensors, left_out)


def _safetensors(path: Path) -> WeightsFile:
    return WeightsFile(safetensors.torch.load_file(path))


def _npz(path: Path) -> WeightsFile:
    with np.load(path, allow_pickle=False) as content:
        return WeightsFile({name: content[name] for name in content.files})


def _hdf5(source: Path | io.BytesIO) -> WeightsFile:
    try:
        import h5py
    except ImportError as bad:  # the layers alone do not need it
        raise MissingDependency("h5py", "radar") from bad
    tensors: dict[str, Any] = {}
    left_out: dict[str, int] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            part = name.partition("/")[0]
            if _NOT_WEIGHTS.fullmatch(part):
                left_out[part] = left_out.get(part, 0) + 1
            else:
                tensors[name.removesuffix(":0")] = item[()]

    with h5py.File(source, "r") as file:
        file.visititems(visit)
        config, version = (_text(file.attrs.get(name)) for name in ("model_config", "keras_version"))
    return WeightsFile(tensors, left_out, None if config is None else json.loads(config), version)


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


def _keras(path: Path) -> WeightsFile:
    with zipfile.ZipFile(path) as archive:
        weights = _hdf5(io.BytesIO(archive.read("model.weights.h5")))
        config, about = (json.loads(archive.read(name)) for name in ("config.json", "metadata.json"))
    return WeightsFile(weights.tensors, weights.left_out, config, about.get("keras_version"))


_READERS: Mapping[str, Callable[[Path], WeightsFile]] = {
    ".safetensors": _safetensors,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".keras": _keras,
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _torch),
}
