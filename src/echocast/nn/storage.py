"""Layers in files: safetensors whose header says how the layer was made (see `echocast.checkpoint`).

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
from echocast.nn.stlstm import STLSTM
from echocast.nn.trajgru import TrajGRU

_TASK = "layer"
_LAYERS: dict[str, Any] = {
    "ConvLSTM": ConvLSTM,
    "ConvGRU": ConvGRU,
    "LSTM": LSTM,
    "TrajGRU": TrajGRU,
    "STLSTM": STLSTM,
}
Layer = RecurrentLayers[Any] | STLSTM
"""What is saved and loaded here."""


def save(layer: Layer, path: str | Path) -> None:
    """Write the weights and arguments of a layer; the file appears whole or not at all.

    Args:
        layer: a `ConvLSTM`, `ConvGRU`, `LSTM`, `TrajGRU` or `STLSTM`.
        path: the file, which is usually called ``.safetensors``; its folder must exist.

    Raises:
        TypeError: another kind of layer, or one with an activation of your own, which `load` could not make again.
        DataError: the file cannot be written.
    """
    name = type(layer).__name__
    instead = f"use torch.save(layer.state_dict(), {str(path)!r})"
    if type(layer) is not _LAYERS.get(name):
        made = f"{type(layer).__module__}.{type(layer).__qualname__}"
        raise TypeError(f"only echocast's own {', '.join(_LAYERS)} can be saved, not {made}; {instead}")
    own = [key for key, value in layer.arguments.items() if any(map(callable, _each(value)))]
    if own:
        raise TypeError(f"a function cannot be saved, and {', '.join(own)} of this {name} is one; {instead}")
    checkpoint.write(Path(path), Checkpoint(_TASK, name, layer.arguments, layer.state_dict()))


def load(path: str | Path) -> Layer:
    """The layer that `save` wrote, with its weights in the dtype they were saved in, on the CPU.

    Raises:
        CheckpointMismatch: there is no such file, or it is not one that `save` of this version wrote.
    """
    stored = checkpoint.read(Path(path), task=_TASK)
    if stored.name not in _LAYERS:
        raise CheckpointMismatch(f"{path}: holds a layer {stored.name!r}; the layers are {', '.join(_LAYERS)}")
    try:
        layer: Layer = _LAYERS[stored.name](**stored.arguments)
        first = next(iter(stored.weights.values()), None)
        layer.to(None if first is None else first.dtype).load_state_dict(stored.weights)
    except (TypeError, ValueError, RuntimeError) as bad:
        reason = " ".join(str(bad).split())
        raise CheckpointMismatch(
            f"{path}: header and weights do not describe a {stored.name} ({reason}); save the layer again"
        ) from bad
    return layer


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
