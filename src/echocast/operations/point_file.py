"""points.bin: all that an issue says of a place, read at once. Blocks of cells, each with all variables and leads.

A block is float16, the low bytes of all numbers first and then the high ones, deflated: (2, variable and lead, row,
column). So a value is within 0.05 % of what was given (numbers below 0.00006 are coarser), NaN where it is not
known. Variables have the names of the layers (`echocast.operations.issue_layers`). meta.json says where blocks begin.

>>> import tempfile
>>> rain = Layer(np.array([[[0, 2.5], [np.nan, 9]]], np.float32), (5.0,), "rate", "rain rate")
>>> with tempfile.TemporaryDirectory() as folder:
...     meta = write_points(Path(folder) / "points.bin", {"rate": rain})
...     file = PointFile(Path(folder) / "points.bin", meta)
...     found = file.series(0, 1)
>>> found
{'rate': array([2.5], dtype=float32)}
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import UnreadableFile
from echocast.io import deflate
from echocast.operations.blocks import BlockFile, Spans
from echocast.operations.layer_file import Layer, about, firsts, unlike

FORMAT = "echocast-points-1"
BLOCK = 16
"""Cells along a side of a block: with 32 a point takes three times as long, and the file is no smaller."""


def write_points(path: Path, layers: Mapping[str, Layer], *, block: int = BLOCK) -> dict[str, Any]:
    """Write the file; what meta.json must say for `PointFile` to read it.

    Args:
        path: where to.
        layers: the variables by their names, all on one grid; at least one.
        block: cells along a side of a block.
    """
    rows, columns = next(iter(layers.values())).values.shape[1:]
    planes = [layer.values[number] for layer in unlike(layers) for number in range(len(layer.leads))]
    sizes: list[int] = []
    with ThreadPoolExecutor() as pool, path.open("wb") as file:
        for packed in pool.map(lambda first: _packed(planes, first, block), range(0, rows, block)):
            sizes += [file.write(content) for content in packed]
    return {
        "format": FORMAT,
        "shape": [rows, columns],
        "block": block,
        "planes": len(planes),
        "variables": {name: about(layers[name], first) for name, first in firsts(layers).items()},
        "sizes": sizes,
    }


class PointFile(BlockFile):
    """The variables of an issue at places; safe to read from many threads.

    Args:
        path: the file.
        meta: what `write_points` gave.

    Raises:
        UnreadableFile: it is of another format.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        super().__init__(path, meta, FORMAT)
        self.shape: tuple[int, int] = (int(meta["shape"][0]), int(meta["shape"][1]))
        self.variables: dict[str, dict[str, Any]] = dict(meta["variables"])
        self._block, self.count = int(meta["block"]), int(meta["planes"])
        self._across = -(-self.shape[1] // self._block)
        self._spans = Spans(meta["sizes"])

    def leads(self, name: str) -> tuple[float, ...]:
        """The leads of a variable in minutes; raises `KeyError` if there is no such variable."""
        return tuple(self.variables[name]["leads"])

    def series(self, row: int, column: int) -> dict[str, np.ndarray]:
        """All variables of a cell, each float32 (lead,).

        Raises:
            IndexError: there is no such cell.
            UnreadableFile: the file is gone or damaged.
        """
        numbers = self.bits(row, column).view(np.float16).astype(np.float32)
        return {name: numbers[self.planes(name)] for name in self.variables}

    def bits(self, row: int, column: int) -> np.ndarray:
        """The numbers of all planes at a cell as the bits of half precision, uint16 (plane,); errors as of `series`."""
        self._check(row, column)
        content = self._bytes(row // self._block, column // self._block)
        return _bits(content[:, :, row % self._block, column % self._block])

    def planes(self, name: str) -> slice:
        """The planes of a variable, a lead each; raises `KeyError` if there is no such variable."""
        variable = self.variables[name]
        return slice(variable["first"], variable["first"] + len(variable["leads"]))

    def window(self, rows: slice, columns: slice, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Variables in a rectangle of cells, each float32 (lead, y, x); all of them unless names are given.

        Args:
            rows: from the first to one behind the last.
            columns: likewise.
            names: of variables.

        Raises:
            IndexError: it is empty, or not within the grid.
            KeyError: there is no such variable.
            UnreadableFile: the file is gone or damaged.
        """
        self._check(rows.start, columns.start)
        self._check(rows.stop - 1, columns.stop - 1)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if min(shape) < 1:
            raise IndexError(
                f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} hold no cell"
            )
        found = self._empty(names, shape)
        for down in range(rows.start // self._block, (rows.stop - 1) // self._block + 1):
            for across in range(columns.start // self._block, (columns.stop - 1) // self._block + 1):
                content = self._bytes(down, across)
                there_y, here_y = _shared(rows, down * self._block, content.shape[2])
                there_x, here_x = _shared(columns, across * self._block, content.shape[3])
                for name, target in found.items():
                    target[:, there_y, there_x] = _numbers(content[:, self.planes(name), here_y, here_x])
        return found

    def cells(self, cells: Sequence[tuple[int, int]], names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Variables at many cells (row, column), each float32 (lead, cell); a block is read once.

        Raises:
            IndexError: there is no such cell.
            KeyError: there is no such variable.
            UnreadableFile: the file is gone or damaged.
        """
        found = self._empty(names, (len(cells),))
        by_block: dict[tuple[int, int], list[int]] = {}
        for number, (row, column) in enumerate(cells):
            self._check(row, column)
            by_block.setdefault((row // self._block, column // self._block), []).append(number)
        for (down, across), numbers in by_block.items():
            content = self._bytes(down, across)
            rows, columns = (np.array([cells[n][axis] % self._block for n in numbers]) for axis in (0, 1))
            for name, target in found.items():
                target[:, numbers] = _numbers(content[:, self.planes(name)][:, :, rows, columns])
        return found

    def _empty(self, names: Iterable[str] | None, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        wanted = self.variables if names is None else names
        return {name: np.empty((len(self.variables[name]["leads"]), *shape), np.float32) for name in wanted}

    def _check(self, row: int, column: int) -> None:
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise IndexError(f"there is no cell ({row}, {column}) in {self.shape[0]} rows of {self.shape[1]} cells")

    def _bytes(self, down: int, across: int) -> np.ndarray:
        """A block, uint8 (2, plane, row, column)."""
        rows = min(self._block, self.shape[0] - down * self._block)
        columns = min(self._block, self.shape[1] - across * self._block)
        content = self._inflated(self._spans[down * self._across + across], 2 * self.count * rows * columns)
        if len(content) != 2 * self.count * rows * columns:
            raise UnreadableFile(f"{self.path}: a block has {len(content)} bytes, which is not what meta.json tells")
        return np.frombuffer(content, np.uint8).reshape(2, self.count, rows, columns)


def _shared(wanted: slice, first: int, size: int) -> tuple[slice, slice]:
    """What a block of some rows has of those wanted: where it goes, and where it is in the block."""
    begin, end = max(wanted.start, first), min(wanted.stop, first + size)
    return slice(begin - wanted.start, end - wanted.start), slice(begin - first, end - first)


def _packed(planes: Sequence[np.ndarray], first: int, block: int) -> list[bytes]:
    """The blocks of a band of rows."""
    band = np.empty((len(planes), *planes[0][first : first + block].shape), "<f2")
    with np.errstate(over="ignore"):  # larger numbers than 65 504 become infinite, which no rain is
        for plane, target in zip(planes, band, strict=True):
            target[:] = plane[first : first + block]
    bits = band.view("<u2")
    halves = np.empty((2, *bits.shape), np.uint8)
    np.copyto(halves[0], bits, casting="unsafe")
    np.copyto(halves[1], bits >> 8, casting="unsafe")
    cut = range(0, band.shape[2], block)
    return [deflate.deflated(np.ascontiguousarray(halves[:, :, :, at : at + block])) for at in cut]


def _numbers(halves: np.ndarray) -> np.ndarray:
    """Numbers, float32, from their low and high bytes (2, ...)."""
    return _bits(halves).view(np.float16).astype(np.float32)


def _bits(halves: np.ndarray) -> np.ndarray:
    """The same numbers as uint16."""
    found: np.ndarray = halves[0] | (halves[1].astype(np.uint16) << 8)
    return found
