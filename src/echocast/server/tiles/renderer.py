"""Tiles and whole pictures of a layer, and what is kept of the work: where pixels lie, planes, pixels.

All of it may be asked from many threads at once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np

from echocast.operations.grid import Grid
from echocast.operations.scales import RATE
from echocast.server.metrics import Metrics
from echocast.server.snapshot import Issue, ObservedFrame
from echocast.server.tiles import mercator, png
from echocast.server.tiles.mercator import Nodes, Picture
from echocast.server.tiles.palettes import LEGENDS, PALETTES, scale_of
from echocast.server.tiles.planes import plane

V = TypeVar("V")

OBSERVED = {"rate": "observed rain rate", "coverage": "where the frame is known"}
"""The layers of an observed frame."""


class Cache(Generic[V]):
    """What was used last, up to so many bytes.

    Args:
        most: bytes.
        size: of a value.
    """

    def __init__(self, most: int, size: Callable[[V], int]) -> None:
        self._most, self._size = most, size
        self._kept: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: Hashable) -> V | None:
        """What is kept under a key."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, value: V) -> V:
        """Keep a value."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value
                self.bytes += self._size(value) + 200
            while self.bytes > self._most and len(self._kept) > 1:
                self.bytes -= self._size(self._kept.popitem(last=False)[1]) + 200
        return value


class Renderer:
    """Draws.

    Args:
        most_bytes: that are kept.
        metrics: where hits and misses are counted.
    """

    def __init__(self, most_bytes: int, metrics: Metrics) -> None:
        self._nodes: Cache[Nodes] = Cache(most_bytes * 2 // 10, lambda one: one.nbytes)
        self._planes: Cache[np.ndarray] = Cache(most_bytes * 6 // 10, lambda one: one.nbytes)
        self._pixels: Cache[bytes] = Cache(most_bytes * 2 // 10, len)
        self._locks: Cache[threading.Lock] = Cache(100_000, lambda _: 0)
        self._metrics = metrics

    def known(self, key: Hashable) -> bytes | None:
        """The pixels that are kept under a key."""
        found = self._pixels.get(key)
        (self._metrics.tile_misses if found is None else self._metrics.tile_hits).inc()
        return found

    def pixels(self, key: Hashable, source: "Source", picture: Picture) -> bytes:
        """The content of IDAT of a picture of a source; kept under the key.

        Raises:
            UnreadableFile: what was published is gone or damaged.
        """
        level = mercator.level_for(source.grid, picture.metres)
        cells = mercator.cells(source.grid, picture, level, self._nodes_of(source.grid, picture))
        classes = np.take(self._plane_of(source, level), cells, mode="clip")
        made = self._pixels.put(key, png.deflated_pixels(classes))
        self._metrics.tile_bytes.set(self._pixels.bytes)
        return made

    def _nodes_of(self, grid: Grid, picture: Picture) -> Nodes:
        found = self._nodes.get((grid, picture))
        return self._nodes.put((grid, picture), mercator.nodes_of(grid, picture)) if found is None else found

    def _plane_of(self, source: "Source", level: int) -> np.ndarray:
        key = (source.id, source.layer, source.lead, level)
        found = self._planes.get(key)
        if found is not None:
            return found
        lock = self._locks.get(key) or self._locks.put(key, threading.Lock())
        with lock:  # many tiles of one layer are asked for at once: it is read once
            found = self._planes.get(key)
            return self._planes.put(key, source.plane(level)) if found is None else found


class Source:
    """A layer at a lead, of an issue or of an observed frame.

    Args:
        of: the issue or frame.
        layer: its name.
        lead: in minutes; 0 for a frame.

    Raises:
        KeyError: there is no such layer, or no such lead of it, or it lies nowhere on Earth.
        UnreadableFile: what was published is gone or damaged.
    """

    def __init__(self, of: Issue | ObservedFrame, layer: str, lead: float) -> None:
        self.id, self.layer, self.lead, self._of = of.id, layer, lead, of
        scale = scale_of(layer)
        if scale is None or lead not in leads(of, layer):
            raise KeyError(f"{of.id} has no layer {layer} at lead {lead:g}")
        self.legend = LEGENDS[scale]
        if of.grid is None:
            raise KeyError(f"{of.id} does not say where it lies on Earth")
        self.grid = of.grid

    def plane(self, level: int) -> np.ndarray:
        """Its classes; see `planes.plane`."""
        if isinstance(self._of, Issue):
            file = self._of.layer_file
            if file is None:
                raise KeyError(f"{self.id} has no layers")
            return plane(file.levels(self.layer, self.lead), file.scale_values(self.layer), self.legend, level)
        return plane(RATE.levels(self._of.values()), RATE.values, self.legend, level)


def leads(of: Issue | ObservedFrame, layer: str) -> tuple[float, ...]:
    """The leads of a layer in minutes, none if there is no such layer; raises `UnreadableFile`."""
    if isinstance(of, ObservedFrame):
        return (0.0,) if layer in OBSERVED and of.quantity == "rainfall_rate" else ()
    file = of.layer_file
    return file.leads(layer) if file is not None and layer in file.layers else ()


@lru_cache(maxsize=256)
def head_of(palette: str, scale: str, width: int, height: int) -> bytes:
    """What stands before the pixels of a PNG in a palette."""
    return png.head(width, height, *PALETTES[palette].table(LEGENDS[scale]))
