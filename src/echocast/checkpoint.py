"""Weights in files: safetensors whose header says what they belong to and how to make it again.

One format for every task: a forecaster, a recurrent layer, a segmentation network. The file holds no code, and nothing
in it is unpickled.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "weights.safetensors"
    ...     write(path, Checkpoint("forecaster", "mine", {"width": 8}, {"bias": torch.zeros(8)}))
    ...     again = read(path, task="forecaster")
    >>> again.name, again.arguments, tuple(again.weights["bias"].shape)
    ('mine', {'width': 8}, (8,))
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor

from echocast._version import __version__
from echocast.atomic import write_bytes
from echocast.errors import CheckpointMismatch

T = TypeVar("T")

FORMAT = "echocast checkpoint 2"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Args:
        task: what the weights are for, such as ``forecaster`` or ``layer``.
        name: which one of the task.
        arguments: of its constructor, in plain values that JSON can hold; tuples stay tuples.
        weights: by their names in the module's state.
    """

    task: str
    name: str
    arguments: Mapping[str, Any]
    weights: Mapping[str, Tensor]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file appears whole or not at all. Raises `DataError` if it cannot be written."""
    header = {
        "format": FORMAT,
        "task": checkpoint.task,
        "name": checkpoint.name,
        "arguments": json.dumps(_marked(dict(checkpoint.arguments))),
        "echocast_version": __version__,
    }
    weights = {key: value.detach().cpu().contiguous() for key, value in checkpoint.weights.items()}
    write_bytes(path, safetensors.torch.save(weights, header))  # `save_file` would hide it from other users


def read(path: Path, *, task: str) -> Checkpoint:
    """The checkpoint of a file.

    Raises:
        CheckpointMismatch: the file does not exist, is none of ours, is of another version, or of another task.
    """
    if not path.is_file():
        raise CheckpointMismatch(f"{path}: no such checkpoint; give a .safetensors file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {
                key: file.get_tensor(key) for key in list(file.keys())
            }  # the file is no dict: it has to be asked
    except (safetensors.SafetensorError, OSError) as bad:
        raise CheckpointMismatch(f"{path}: is no checkpoint ({bad}); give the .safetensors file of a run") from bad
    if header.get("format") != FORMAT:
        found = header.get("format", "no echocast checkpoint")
        raise CheckpointMismatch(f"{path}: is {found!r}, this version reads {FORMAT!r}; train or convert it again")
    if header.get("task") != task:
        raise CheckpointMismatch(f"{path}: holds weights of a {header.get('task')}, not of a {task}; give another file")
    try:
        arguments = _unmarked(json.loads(header["arguments"]))
        return Checkpoint(task, header["name"], arguments, without_wrappers(weights))
    except (KeyError, ValueError) as bad:
        raise CheckpointMismatch(f"{path}: its header is broken ({bad}); train or convert it again") from bad


def task_of(path: Path) -> str:
    """What the weights of a file are for, such as ``forecaster``; raises `CheckpointMismatch` if it is none of ours."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return str((file.metadata() or {})["task"])
    except (safetensors.SafetensorError, OSError, KeyError) as bad:
        raise CheckpointMismatch(f"{path}: is no checkpoint ({bad}); give the .safetensors file of a run") from bad


def without_wrappers(weights: Mapping[str, T]) -> dict[str, T]:
    """Weights by the names that they have without PyTorch's wrappers.

    `torch.nn.DataParallel` puts ``module.`` before every name, `torch.compile` puts ``_orig_mod.`` into it.

    >>> without_wrappers({"module._orig_mod.bias": 1})
    {'bias': 1}
    """
    found = {name.replace("_orig_mod.", ""): value for name, value in weights.items()}
    while found and all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): value for name, value in found.items()}
    return found if len(found) == len(weights) else dict(weights)


def _marked(value: Any) -> Any:
    """JSON knows no tuples: ``{"tuple": [...]}`` is one."""
    if isinstance(value, tuple):
        return {"tuple": [_marked(item) for item in value]}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list) else value


def _unmarked(value: Any) -> Any:
    """The inverse of `_marked`."""
    if isinstance(value, dict):
        if value.keys() == {"tuple"}:
            return tuple(_unmarked(item) for item in value["tuple"])
        return {key: _unmarked(item) for key, item in value.items()}
    return [_unmarked(item) for item in value] if isinstance(value, list) else value
