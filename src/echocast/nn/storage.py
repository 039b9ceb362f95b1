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

from pathlib import Path
from typing import Any

from echocast import checkpoint
from echocast.checkpoint import Checkpoint
from echocast.errors import CheckpointMismatch
from echocast.nn.convgru import ConvGRU
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.lstm import LSTM
from echocast.nn.sequence import RecurrentLayers

_TASK = "layer"
_LAYERS: dict[str, Any] = {"ConvLSTM": ConvLSTM, "ConvGRU": ConvGRU, "LSTM": LSTM}


def save(layer: RecurrentLayers[Any], path: str | Path) -> None:
    """Write a layer's weights and arguments, whole or not at all; raises `DataError` if they cannot be written."""
    checkpoint.write(Path(path), Checkpoint(_TASK, type(layer).__name__, layer.arguments, layer.state_dict()))


def load(path: str | Path) -> RecurrentLayers[Any]:
    """The layer that `save` wrote.

    Raises:
        CheckpointMismatch: a file that `save` did not write.
    """
    stored = checkpoint.read(Path(path), task=_TASK)
    if stored.name not in _LAYERS:
        raise CheckpointMismatch(f"{path}: holds a {stored.name!r}; the layers are {', '.join(_LAYERS)}")
    layer: RecurrentLayers[Any] = _LAYERS[stored.name](**stored.arguments)
    dtype = next(iter(stored.weights.values())).dtype
    layer.to(dtype).load_state_dict(stored.weights)
    return layer
