"""Which weights of a file are a ConvLSTM, of which implementation, and with which settings.

Every converter has ``MARKS``: patterns of a name that only its weights have, whose group ``prefix`` is what comes
before the layer's own names. A mark is a guess; what counts is that the converter takes the weights' shapes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from echocast import plugins
from echocast.checkpoint import without_wrappers
from echocast.errors import CheckpointMismatch
from echocast.nn.compat import _keras_config
from echocast.nn.compat.base import PACKAGE, Imported, Weights, names, taken_from
from echocast.nn.compat.files import WeightsFile


@dataclass(frozen=True)
class Found:
    """A layer in a file.

    Args:
        source: the implementation.
        prefix: what the names of its weights begin with.
        weights: these names.
        imported: the layer itself.
        notes: what was assumed, and what the layer does not do by itself.
        name: what the model calls it.
    """

    source: str
    prefix: str
    weights: Sequence[str]
    imported: Imported
    notes: Sequence[str] = ()
    name: str = ""


@dataclass(frozen=True)
class Search:
    """What a file holds.

    Args:
        found: the layers in it.
        others: every other tensor's name.
        refused: why a layer that looks like one could not be converted.
    """

    found: Sequence[Found]
    others: Sequence[str]
    refused: Sequence[str] = field(default_factory=tuple)


def find(file: WeightsFile, *, source: str | None = None, prefix: str = "", **hints: Any) -> Search:
    """All layers of a file.

    Args:
        file: of `echocast.nn.compat.files.read_file`.
        source: look for this implementation only.
        prefix: look only at names that begin so.
        hints: settings that the file does not hold; one that it does hold is replaced by them.

    Raises:
        CheckpointMismatch: a hint that the implementation does not have.
    """
    tensors = without_wrappers(file.tensors)
    free = {name: value for name, value in tensors.items() if name.startswith(prefix)}
    found: list[Found] = []
    refused: list[str] = []
    for implementation, module in _converters(source, file):
        for start in _prefixes(module, free):
            try:
                layer = _converted(implementation, module, free, start, file, hints)
            except CheckpointMismatch as bad:
                refused.append(f"{start or 'the whole file'} as {implementation}: {bad}")
                continue
            found.append(layer)
            for name in layer.weights:
                del free[name]
    used = {name for layer in found for name in layer.weights}
    others = [name for name in tensors if name not in used]
    found.sort(key=lambda layer: list(tensors).index(layer.weights[0]))
    return Search(found, others, refused)


def _converters(source: str | None, file: WeightsFile) -> list[tuple[str, ModuleType]]:
    """Those that may be meant: Keras 2 and 3 have the same names, so the file's version decides."""
    known = [source] if source is not None else names()
    if source is None:
        old = (file.keras_version or "3").startswith("2")
        known = [name for name in known if name != ("keras3" if old else "keras2")]
    modules = [(name, plugins.load(PACKAGE, name, error=CheckpointMismatch)) for name in known]
    return [(name, module) for name, module in modules if hasattr(module, "MARKS")]


def _prefixes(module: ModuleType, tensors: Mapping[str, Any]) -> list[str]:
    """What comes before every mark, each once."""
    matches = (re.fullmatch(mark, name) for mark in module.MARKS for name in tensors)
    starts = dict.fromkeys(match["prefix"] for match in matches if match is not None)
    fits: Callable[[Mapping[str, Any], str], bool] = getattr(module, "fits", lambda *_: True)
    return [start for start in starts if fits(tensors, start)]


def _converted(
    source: str,
    module: ModuleType,
    tensors: Mapping[str, Any],
    prefix: str,
    file: WeightsFile,
    hints: Mapping[str, Any],
) -> Found:
    settings, notes, name = settings_of(file, source, prefix)
    weights = Weights({k: v for k, v in tensors.items() if k.startswith(prefix)}, source, prefix)
    made = plugins.construct(
        module.convert, {**settings, **hints}, where=source, error=CheckpointMismatch, given=(weights,)
    )
    made.layer()  # some weights belong to no layer here
    assumed = getattr(module, "assumed", lambda _: ())({**settings, **hints})
    return Found(source, prefix, taken_from(weights, prefix), made, [*assumed, *notes], name)


def settings_of(file: WeightsFile, source: str, prefix: str) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """What the file itself says of a layer: its settings, what to note, and its name."""
    if file.config is None or source not in ("keras2", "keras3"):
        return {}, (), ""
    layer = _keras_config.layer_of(file.config, prefix)
    return ({}, (), "") if layer is None else (dict(layer.settings), layer.notes, layer.name)
