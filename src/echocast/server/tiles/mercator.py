"""Which cell of a grid each pixel of a picture in web Mercator (EPSG:3857) shows.

Places are brought to the grid's projection every 8 pixels only, and interpolated between: a hundredth of the work.
Where that would err, as at the edge of a projection, each pixel is brought there. Both are decided for each square of
16 pixels by itself, from its own place alone, so that pictures side by side fit together exactly.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from echocast.operations.grid import Grid

HALF = math.pi * 6_378_137.0
"""Half the width of the world in web Mercator, in metres."""
MOST_LATITUDE = math.degrees(2 * math.atan(math.exp(math.pi)) - math.pi / 2)
TILE = 256

_SQUARE, _STEP = 16, 8
_WEIGHTS = ((np.arange(_STEP) + 0.5) / _STEP).astype(np.float32)
_MARGIN = 0.1
"""Of a cell: more than interpolation rounds."""
_TOLERANCE = 0.25
"""Of a pixel: how far the middle of a square may lie from where its corners say; half that way errs by a quarter."""


@dataclass(frozen=True)
class Picture:
    """A rectangle of pixels of the world.

    Args:
        left: pixels from 180 degrees west to its left edge.
        top: pixels from the top of the world to its upper edge.
        width: pixels.
        height: pixels.
        metres: of a pixel at the equator.
    """

    left: float
    top: float
    width: int
    height: int
    metres: float

    def places(self, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitudes of points and latitudes of points, in pixels from the upper left corner of the picture."""
        x = (self.left + across) * self.metres / HALF - 1  # -1 to 1 is once around
        y = 1 - (self.top + down) * self.metres / HALF
        longitudes = (x * 180 + 180) % 360 - 180
        return longitudes, np.degrees(2 * np.arctan(np.exp(y * math.pi)) - math.pi / 2)


def tile(zoom: int, x: int, y: int, size: int = TILE) -> Picture:
    """A tile of the usual scheme; a size of 512 is the same area in finer pixels."""
    return Picture(x * size, y * size, size, size, 2 * HALF / (size * 2**zoom))


def mercator(longitude: float, latitude: float) -> tuple[float, float]:
    """Metres east and north of a place in web Mercator; the poles are brought to its edge."""
    latitude = max(-MOST_LATITUDE, min(MOST_LATITUDE, latitude))
    return longitude / 180 * HALF, math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2)) / math.pi * HALF


def cells(grid: Grid, picture: Picture, level: int = 0, nodes: "Nodes | None" = None) -> np.ndarray:
    """For each pixel the number of its cell, row by row, or the number of cells where it lies outside.

    Args:
        grid: of the field.
        picture: the pixels.
        level: 0 for the cells themselves, 1 for blocks of 2 x 2, 2 for 4 x 4 and so on.
        nodes: what `nodes_of` gave for them, if that is known.

    Returns:
        int64 (height, width).
    """
    nodes = nodes_of(grid, picture) if nodes is None else nodes
    down, across = ((size - 1 >> level) + 1 for size in grid.shape)
    if nodes.is_inside(grid):
        rows, columns = (nodes.at_pixels(axis).astype(np.int32) for axis in (0, 1))
        inside = None
    else:
        rows, columns = (_whole(nodes.at_pixels(axis)) for axis in (0, 1))
        # Seen as unsigned, what is below 0 is above all others.
        inside = (rows.view(np.uint32) < grid.shape[0]) & (columns.view(np.uint32) < grid.shape[1])
    if level:
        rows >>= level
        columns >>= level
    rows *= across
    found = np.add(rows, columns, out=np.empty(rows.shape, np.int64))
    if inside is not None:
        np.putmask(found, ~inside, down * across)
    return found[: picture.height, : picture.width]


def _whole(positions: np.ndarray) -> np.ndarray:
    """The whole part of positions, int32; what is no number, or too large for one, lies outside every grid."""
    positions += 1  # so that what lies just below 0 is not brought to 0
    with np.errstate(invalid="ignore"):
        found = positions.astype(np.int32)
    found -= 1
    return found


@lru_cache(maxsize=1024)
def level_for(grid: Grid, metres: float) -> int:
    """The level whose cells are about as large as pixels of so many metres at the equator.

    It depends on the grid and the size of pixels alone, not on where a picture lies.
    """
    row, column = grid.shape[0] / 2, grid.shape[1] / 2
    lon, lat = grid.places(np.array([row, row, row + 1]), np.array([column, column + 1, column]))
    if not np.isfinite([lon, lat]).all():
        return 0
    points = [mercator(float(a), float(b)) for a, b in zip(lon, lat, strict=True)]
    sides = [math.hypot((x - points[0][0] + HALF) % (2 * HALF) - HALF, y - points[0][1]) for x, y in points[1:]]
    cell = math.sqrt(sides[0] * sides[1]) or metres
    return max(0, min(math.floor(math.log2(metres / cell) + 1e-9), math.ceil(math.log2(max(grid.shape)))))


@dataclass(frozen=True)
class Nodes:
    """Where every eighth pixel of a picture lies in a grid: a hundredth of the memory that all its pixels take.

    Args:
        points: rows and columns, with fractions, float32 (2, down, across).
        squares: the numbers of the squares of 16 pixels that must not be interpolated, (2, n).
        exact: rows and columns of their pixels, float32 (2, n, 16, 16).
    """

    points: np.ndarray
    squares: np.ndarray
    exact: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.points.nbytes + self.squares.nbytes + self.exact.nbytes

    def is_inside(self, grid: Grid) -> bool:
        """Whether all pixels surely lie in the grid."""
        return self.exact.size == 0 and all(
            points.min() > _MARGIN and points.max() < size - _MARGIN
            for points, size in zip(self.points, grid.shape, strict=True)
        )

    def at_pixels(self, axis: int) -> np.ndarray:
        """Rows (0) or columns (1) of all pixels' centres, float32; of whole squares, so it may be larger."""
        with np.errstate(invalid="ignore", over="ignore"):
            found = _between(self.points[axis])
        if self.exact.size:
            y, x = (first[:, None, None] * _SQUARE for first in self.squares)
            found[y + np.arange(_SQUARE)[:, None], x + np.arange(_SQUARE)] = self.exact[axis]
        return found


def nodes_of(grid: Grid, picture: Picture) -> Nodes:
    """Where the pixels of a picture lie in a grid."""
    down, across = (-(-size // _SQUARE) * _SQUARE // _STEP + 1 for size in (picture.height, picture.width))
    lines = picture.places(np.arange(across) * float(_STEP), np.arange(down) * float(_STEP))
    found = np.array(grid.positions(*np.meshgrid(*lines)))
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.array(np.nonzero(_errs(found)))
        points = found.astype(np.float32)
        if not squares.size:
            return Nodes(points, squares, np.empty((2, 0, _SQUARE, _SQUARE), np.float32))
        y, x = (first[:, None, None] * _SQUARE for first in squares)
        y, x = np.broadcast_arrays(y + np.arange(_SQUARE)[:, None], x + np.arange(_SQUARE))
        return Nodes(points, squares, np.array(grid.positions(*picture.places(x + 0.5, y + 0.5)), np.float32))


def _errs(p: np.ndarray) -> np.ndarray:
    """For each square of 16 pixels whether its points (2, down, across) say that it must not be interpolated."""
    a, b, c, d = p[:, :-2:2, :-2:2], p[:, :-2:2, 2::2], p[:, 2::2, :-2:2], p[:, 2::2, 2::2]
    above, below = (a + b) / 2, (c + d) / 2
    middles = (
        (p[:, :-2:2, 1::2], above),
        (p[:, 2::2, 1::2], below),
        (p[:, 1::2, :-2:2], (a + c) / 2),
        (p[:, 1::2, 2::2], (b + d) / 2),
        (p[:, 1::2, 1::2], (above + below) / 2),
    )
    error: np.ndarray = np.max([np.abs(true - guessed) for true, guessed in middles], axis=(0, 1))  # NaN stays NaN
    side: np.ndarray = np.minimum(*(np.square(way - a).sum(axis=0) for way in (b, c)))
    is_right: np.ndarray = error <= _TOLERANCE / _SQUARE * np.sqrt(side)
    return ~is_right


def _between(points: np.ndarray) -> np.ndarray:
    """Values at the pixels' centres from those every 8 pixels, float32: exact to a thousandth of a cell."""
    across = points[:, :-1, None] + np.diff(points, axis=1)[:, :, None] * _WEIGHTS
    across = across.reshape(len(points), -1)
    both = np.diff(across, axis=0)[:, None] * _WEIGHTS[:, None]
    both += across[:-1, None]
    return both.reshape(-1, across.shape[1])
