"""layers.bin: what maps draw. Each lead of each layer is one byte a cell, deflated; meta.json says where it begins.

A byte is the level of a value on the layer's scale (`echocast.operations.scales`): 0 is not known, which is never drawn
as dry. Rows go as in the grid of meta.json. Below the first row, a byte is written as its difference from the one above
(modulo 256, as the filter Up of PNG), which makes the file a third smaller. Layers of one array are written once.

>>> import tempfile
>>> rain = Layer(np.array([[[0, 2.5], [np.nan, 9]]], np.float32), (5.0,), "rate", "rain rate")
>>> with tempfile.TemporaryDirectory() as folder:
...     meta = write_layers(Path(folder) / "layers.bin", {"rate": rain})
...     file = LayerFile(Path(folder) / "layers.bin", meta)
...     levels = file.levels("rate", 5)
>>> levels[0, 0], levels[1, 0]
(np.uint8(1), np.uint8(0))
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import UnreadableFile
from echocast.io import deflate
from echocast.operations import scales
from echocast.operations.blocks import BlockFile, Spans

FORMAT = "echocast-layers-2"


@dataclass(frozen=True)
class Layer:
    """A quantity on some leads.

    Args:
        values: (lead, y, x), float32; NaN where it is not known.
        leads: in minutes; the end of the span for amounts.
        scale: one of `echocast.operations.scales.SCALES`, or for points.bin alone ``minutes``.
        title: what it is, in a few words.
    """

    values: np.ndarray
    leads: tuple[float, ...]
    scale: str
    title: str


def write_layers(path: Path, layers: Mapping[str, Layer]) -> dict[str, Any]:
    """Write the file; what meta.json must say for `LayerFile` to read it.

    Args:
        path: where to.
        layers: by their names, all on one grid; at least one.
    """
    shape = next(iter(layers.values())).values.shape[1:]
    planes = [(layer.values[n], layer.scale) for layer in unlike(layers) for n in range(len(layer.leads))]
    with ThreadPoolExecutor() as pool, path.open("wb") as file:
        sizes = [file.write(packed) for packed in pool.map(_packed, planes)]
    used = {layer.scale for layer in layers.values()}
    return {
        "format": FORMAT,
        "shape": list(shape),
        "scales": {name: scale.as_dict() for name, scale in scales.SCALES.items() if name in used},
        "layers": {name: about(layers[name], first) for name, first in firsts(layers).items()},
        "sizes": sizes,
    }


class LayerFile(BlockFile):
    """The layers of an issue; safe to read from many threads.

    Args:
        path: the file.
        meta: what `write_layers` gave.

    Raises:
        UnreadableFile: it is of another format.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        super().__init__(path, meta, FORMAT)
        self.shape: tuple[int, int] = (int(meta["shape"][0]), int(meta["shape"][1]))
        self.layers: dict[str, dict[str, Any]] = dict(meta["layers"])
        self.values = {name: _values(about) for name, about in meta["scales"].items()}
        self._spans = Spans(meta["sizes"])

    def leads(self, name: str) -> tuple[float, ...]:
        """The leads of a layer in minutes; raises `KeyError` if there is no such layer."""
        return tuple(self.layers[name]["leads"])

    def levels(self, name: str, lead: float) -> np.ndarray:
        """The levels of a layer at a lead, uint8 (y, x).

        Raises:
            KeyError: there is no such layer, or no such lead of it.
            UnreadableFile: the file is gone or damaged.
        """
        about = self.layers[name]
        if lead not in about["leads"]:
            raise KeyError(f"{name} has no lead {lead:g}")
        content = self._inflated(
            self._spans[about["first"] + about["leads"].index(lead)], self.shape[0] * self.shape[1]
        )
        return self._array(content, self.shape)

    def scale_values(self, name: str) -> np.ndarray:
        """What each level of a layer stands for, float32 (256,); NaN for what is not known."""
        return self.values[self.layers[name]["scale"]]

    def _array(self, content: bytes, shape: tuple[int, int]) -> np.ndarray:
        if len(content) != shape[0] * shape[1]:
            raise UnreadableFile(f"{self.path}: a layer has {len(content)} cells, not {shape[0]} x {shape[1]}")
        return np.add.accumulate(np.frombuffer(content, np.uint8).reshape(shape), axis=0, dtype=np.uint8)


def _packed(plane: tuple[np.ndarray, str]) -> bytes:
    values, scale = plane
    return deflate.deflated(np.diff(scales.SCALES[scale].levels(values), axis=0, prepend=np.uint8(0)))


def unlike(layers: Mapping[str, Layer]) -> Iterator[Layer]:
    """The layers but those whose array came before."""
    seen: set[int] = set()
    for layer in layers.values():
        if id(layer.values) not in seen:
            seen.add(id(layer.values))
            yield layer


def firsts(layers: Mapping[str, Layer]) -> dict[str, int]:
    """The number of the first plane of each layer, where those of one array are written once."""
    found: dict[int, int] = {}
    count = 0
    for layer in unlike(layers):
        found[id(layer.values)] = count
        count += len(layer.leads)
    return {name: found[id(layer.values)] for name, layer in layers.items()}


def about(layer: Layer, first: int) -> dict[str, Any]:
    """What meta.json says of a layer whose first plane is the one of this number."""
    return {"title": layer.title, "scale": layer.scale, "leads": list(layer.leads), "first": first}


def _values(about: Mapping[str, Any]) -> np.ndarray:
    return scales.Scale(str(about["units"]), about["edges"], float(about["above"])).values
