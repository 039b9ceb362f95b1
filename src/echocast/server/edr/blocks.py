"""Which parts of a grid a query can concern at all: small blocks, each with the box of degrees around its centres.

The boxes of a grid are found once, which takes a tenth of a second for a million cells, and kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from echocast.operations.grid import Axis, Grid
from echocast.server.edr import projection
from echocast.server.edr.inside import Box

SIDE = 32
"""Cells along a side of a block."""


@dataclass(frozen=True)
class _Boxes:
    """West and south edges, widths and heights in degrees, each (down, across); NaN for what is not on Earth."""

    west: np.ndarray
    south: np.ndarray
    width: np.ndarray
    height: np.ndarray


def near(boxes: Sequence[Box], grid: Grid, *, degrees: bool) -> Iterator[tuple[slice, slice]]:
    """Rectangles (rows, columns) that hold all cells whose centres lie in one of some boxes; none overlap."""
    if not degrees:
        ranges = [(_within(grid.y, box.south, box.north), _within(grid.x, box.west, box.east)) for box in boxes]
        found = np.zeros(tuple(-(-size // SIDE) for size in grid.shape), bool)
        for rows, columns in ranges:
            found[rows.start // SIDE : -(-rows.stop // SIDE), columns.start // SIDE : -(-columns.stop // SIDE)] = True
    else:
        known = _boxes(grid)
        found = np.zeros(known.west.shape, bool)
        for box in boxes:
            found |= box.meets(known.west, known.south, known.width, known.height)
    for down in np.flatnonzero(found.any(axis=1)).tolist():
        across = np.flatnonzero(found[down])
        rows = slice(down * SIDE, min((down + 1) * SIDE, grid.y.size))
        yield rows, slice(int(across[0]) * SIDE, min((int(across[-1]) + 1) * SIDE, grid.x.size))


def numbers(cells: slice) -> slice:
    """The blocks that hold some rows or columns."""
    return slice(cells.start // SIDE, -(-cells.stop // SIDE))


def enclosed(box: Box, grid: Grid) -> np.ndarray:
    """Whether all cells of each block surely lie in a box of degrees, (down, across)."""
    known = _boxes(grid)
    return box.encloses(known.west, known.south, known.width, known.height)


def _within(axis: Axis, low: float, high: float) -> slice:
    """The cells whose centres lie in a range; an empty slice if there is none."""
    numbers = np.flatnonzero((projection.centres(axis) >= low) & (projection.centres(axis) <= high))
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if numbers.size else slice(0, 0)


@lru_cache(maxsize=4)
def _boxes(grid: Grid) -> _Boxes:
    shape = tuple(-(-size // SIDE) for size in grid.shape)
    found = np.full((4, *shape), np.nan)
    x, y = projection.centres(grid.x), projection.centres(grid.y)
    for down in range(shape[0]):
        for across in range(shape[1]):
            edge = _edge(x[across * SIDE : (across + 1) * SIDE], y[down * SIDE : (down + 1) * SIDE])
            found[:, down, across] = _around(*projection.degrees(grid, *edge))
    return _Boxes(*found)


def _edge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the cells along the edge of a block: the box around them is that of all its cells."""
    across, down = np.full_like(x, y[0]), np.full_like(y, x[0])
    far_across, far_down = np.full_like(x, y[-1]), np.full_like(y, x[-1])
    return np.concatenate([x, x, down, far_down]), np.concatenate([across, far_across, y, y])


def _around(longitude: np.ndarray, latitude: np.ndarray) -> tuple[float, float, float, float]:
    """The box of what an edge encloses: west, south, width, height; wide where a part is not on Earth."""
    there = np.isfinite(longitude) & np.isfinite(latitude)
    if not there.any():
        return np.nan, np.nan, np.nan, np.nan
    if not there.all():
        return -180.0, -90.0, 360.0, 180.0
    turned = (longitude - longitude[0] + 180) % 360 - 180
    west, south = longitude[0] + turned.min(), latitude.min()
    width, height = turned.max() - turned.min(), latitude.max() - south
    if width < 180:
        return west, south, width, height
    # It goes around a pole, which is not on the edge.
    return (-180.0, south, 360.0, 90 - south) if latitude.mean() > 0 else (-180.0, -90.0, 360.0, latitude.max() + 90)
