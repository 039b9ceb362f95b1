"""The grid of an ODIM_H5 composite: its projection, and its cells from any corners that the file gives.

Source: ODIM_H5 2.4, where for image data: corners are the outer ones of the corner cells.
"""

from collections.abc import Callable

import numpy as np
import pyproj

from echocast.errors import UnreadableFile
from echocast.readers import _hdf5
from echocast.readers._projection import check_corners, in_metres, place

_NAMES = ("UL", "UR", "LL", "LR")
_Number = Callable[[str, float], float]


class Grid:
    """Projection, centres of columns from west to east and of rows from north to south, and how the file goes.

    Args:
        number: an attribute of ``where`` as a number, or the default.
        projdef: the projection.
    """

    def __init__(self, number: _Number, projdef: str) -> None:
        columns, rows = (int(number(name, 0)) for name in ("xsize", "ysize"))
        if min(columns, rows) < 1 or max(columns, rows) > _hdf5.MOST_ACROSS:
            raise ValueError(f"a grid of {columns} x {rows} cells")
        self.crs, self.shape = in_metres(projdef), (rows, columns)
        corners = _corners(self.crs, number)
        left, width = _axis(_edges(corners, 0, "UL", "LL", "UR", "LR"), columns, number("xscale", np.nan), 1)
        top, height = _axis(_edges(corners, 1, "UL", "UR", "LL", "LR"), rows, number("yscale", np.nan), -1)
        check_corners(corners, (left, left + columns * width), (top, top + rows * height), self.shape)
        self._turned = (slice(None, None, 1 if height < 0 else -1), slice(None, None, 1 if width > 0 else -1))
        self.y = (top + (np.arange(rows) + 0.5) * height)[self._turned[0]]
        self.x = (left + (np.arange(columns) + 0.5) * width)[self._turned[1]]

    def laid_out(self, values: np.ndarray) -> np.ndarray:
        """The numbers of the file with its north up and its west left."""
        return values[self._turned]

    def is_same(self, other: "Grid") -> bool:
        """Whether the cells lie at the same places."""
        same = self.crs == other.crs and self.shape == other.shape
        return same and np.array_equal(self.y, other.y) and np.array_equal(self.x, other.x)


def _corners(crs: pyproj.CRS, number: _Number) -> dict[str, tuple[float, float]]:
    degrees = {name: (number(f"{name}_lon", np.nan), number(f"{name}_lat", np.nan)) for name in _NAMES}
    found = {name: place(crs, *at) for name, at in degrees.items() if np.isfinite(at).all()}
    if not found:
        raise UnreadableFile("gives no corner (where/UL_lon, UL_lat, LL_lon, ...), so nobody knows where it lies")
    return found


def _edges(corners: dict[str, tuple[float, float]], axis: int, *names: str) -> tuple[float | None, float | None]:
    """Where an axis begins and ends by the corners of its first and its last side, as far as they are known."""
    first, last = ([corners[name][axis] for name in side if name in corners] for side in (names[:2], names[2:]))
    return (first[0] if first else None), (last[0] if last else None)


def _axis(edges: tuple[float | None, float | None], count: int, scale: float, usual: int) -> tuple[float, float]:
    """Where an axis begins and the size of its cells, below zero if it goes west or south.

    The size is the file's own where it has one; which way it goes is told by opposite corners, else it is as usual.
    """
    first, last = edges
    if np.isfinite(scale) and not (abs(scale) > 0 and (scale > 0 or None not in edges)):
        raise ValueError(f"cells of size {scale:g}")
    if first is not None and last is not None:
        size = abs(scale) if np.isfinite(scale) else abs(last - first) / count
        if last == first or not size > 0:
            raise ValueError("opposite corners lie at the same place")
        return first, size if last > first else -size
    if not np.isfinite(scale):
        raise UnreadableFile("gives neither the size of its cells (where/xscale, yscale) nor two opposite corners")
    if first is not None:
        return first, usual * scale
    return (last or 0.0) - usual * count * scale, usual * scale
