"""Layers in files: safetensors whose header says how the layer was made.

>>> import tempfile, torch
>>> from echocast.nn import ConvLSTM
>>> layer = ConvLSTM(1, 4)
>>> with tempfile.TemporaryDirectory() as folder:
...     save(layer, f"{folder}/layer.safetensors")
...     again = load(f"{folder}/layer.safetensors")
>>> x = torch.randn(3, 1, 1, 8, 8)
>>> bool((again(x)[0] == layer(x)[0]).all())
True
"""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from echocast.errors import CheckpointMismatch
from echocast.nn.convgru import ConvGRU
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.lstm import LSTM
from echocast.nn.sequence import RecurrentLayers

_FORMAT = "echocast layer 1"
_LAYERS: dict[str, Any] = {"ConvLSTM": ConvLSTM, "ConvGRU": ConvGRU, "LSTM": LSTM}


def save(layer: RecurrentLayers[Any], path: str | Path) -> None:
    """Write a layer's weights and arguments, whole or not at all."""
    path = Path(path)
    header = {
        "format": _FORMAT,
        "layer": type(layer).__name__,
        "arguments": json.dumps({k: _marked(v) for k, v in layer.arguments.items()}),
    }
    draft = path.with_name(path.name + ".part")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in layer.state_dict().items()}
    try:
        safetensors.torch.save_file(tensors, draft, metadata=header)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(path: str | Path) -> RecurrentLayers[Any]:
    """The layer that `save` wrote.

    Raises:
        CheckpointMismatch: a file that `save` did not write.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
        if header.get("format") != _FORMAT or header.get("layer") not in _LAYERS:
            raise CheckpointMismatch(f"{path} is no {_FORMAT!r} file: its header says {header.get('format')!r}")
        arguments = {name: _tuples(value) for name, value in json.loads(header["arguments"]).items()}
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as bad:
        raise CheckpointMismatch(f"{path} is no safetensors file: {bad}") from bad
    except FileNotFoundError as bad:
        raise CheckpointMismatch(f"{path} does not exist") from bad
    layer: RecurrentLayers[Any] = _LAYERS[header["layer"]](**arguments)
    dtype = next(iter(tensors.values())).dtype
    layer.to(dtype).load_state_dict(tensors)
    return layer


def _tuples(value: Any) -> Any:
    """JSON knows no tuples: ``{"tuple": [...]}`` is one."""
    if isinstance(value, dict):
        return tuple(_tuples(item) for item in value["tuple"])
    return [_tuples(item) for item in value] if isinstance(value, list) else value


def _marked(value: Any) -> Any:
    """The inverse of `_tuples`."""
    if isinstance(value, tuple):
        return {"tuple": [_marked(item) for item in value]}
    return [_marked(item) for item in value] if isinstance(value, list) else value
