"""What Keras' description of a model says of its ConvLSTM layers: the weights alone do not tell their settings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SETTINGS = ("padding", "strides", "dilation_rate", "activation", "recurrent_activation")
_NAMES = {"linear": "identity"}
"""Keras' names of activations that have another here."""


@dataclass(frozen=True)
class KerasLayer:
    """A ConvLSTM layer of a model.

    Args:
        name: that the model gives it.
        settings: its arguments, as the converters take them.
        notes: what the converted layer does not do by itself.
    """

    name: str
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def layer_of(config: Mapping[str, Any], prefix: str) -> KerasLayer | None:
    """The layer whose weights' names begin with `prefix`; None if the description does not tell.

    The files of Keras 3 number the layers of each class by their order, older ones have the layers' own names.
    """
    around = [(path, layer) for path, layer in _layers(config, "layers") if prefix.startswith(f"{path}/")]
    if around:
        return _described(max(around, key=lambda pair: len(pair[0]))[1], prefix)
    parts = prefix.split("/")
    own = [layer for _, layer in _layers(config, "") if layer.get("config", {}).get("name") in parts]
    return _described(own[-1], prefix) if own else None


def _layers(config: Mapping[str, Any], base: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every layer, those of models inside the model too, with the path of its weights in a file of Keras 3."""
    seen: dict[str, int] = {}
    for layer in config.get("config", {}).get("layers", ()):
        kind = _snake(str(layer.get("class_name", "")))
        path = f"{base}/{kind}" + (f"_{seen[kind]}" if kind in seen else "")
        seen[kind] = seen.get(kind, 0) + 1
        yield path, layer
        yield from _layers(layer, f"{path}/layers")


def _snake(name: str) -> str:
    """A class's name as the files have it: ``ConvLSTM2D`` is ``conv_lstm2d``."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _described(layer: Mapping[str, Any], prefix: str) -> KerasLayer | None:
    outer, backward = layer.get("config", {}), "backward" in prefix
    inner = outer.get("layer", layer)  # of a wrapper such as Bidirectional
    if not str(inner.get("class_name", "")).startswith("ConvLSTM"):
        return None
    own, notes = inner["config"], []
    if bool(own.get("go_backwards")) != backward:
        notes.append("it reads sequences backwards: give them with time reversed")
    if _policy(outer.get("dtype")).startswith("mixed"):
        notes.append(f"Keras computed in {_policy(outer['dtype'])}; here its 32-bit weights compute in 32 bits")
    settings = {name: _plain(own[name]) for name in _SETTINGS if name in own}
    return KerasLayer(str(outer.get("name", "")), settings, tuple(notes))


def _policy(dtype: Any) -> str:
    """The name of a layer's dtype policy, which is a text or a description of an object."""
    return str(dtype.get("config", {}).get("name", "")) if isinstance(dtype, Mapping) else str(dtype)


def _plain(value: Any) -> Any:
    """A setting as the converters take it: one number for all axes, an activation by its name here."""
    if isinstance(value, list) and len(set(value)) == 1:
        return value[0]
    if isinstance(value, Mapping):  # an activation saved as an object
        value = value.get("config", {}).get("name", value.get("config"))
    return _NAMES.get(value, value) if isinstance(value, str) else value
