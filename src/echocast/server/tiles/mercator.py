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


def cells(grid: Grid, picture: Picture, level: int = 0) -> np.ndarray:
    """For each pixel the number of its cell, row by row, or the number of cells where it lies outside.

    Args:
        grid: of the field.
        picture: the pixels.
        level: 0 for the cells themselves, 1 for blocks of 2 x 2, 2 for 4 x 4 and so on.

    Returns:
        int32 (height, width).
    """
    rows, columns = map(_whole, _positions(grid, picture))
    # Seen as unsigned, what is below 0 is above all others.
    inside = (rows.view(np.uint32) < grid.shape[0]) & (columns.view(np.uint32) < grid.shape[1])
    down, across = ((size - 1 >> level) + 1 for size in grid.shape)
    rows >>= level
    columns >>= level
    rows *= across
    rows += columns
    np.putmask(rows, ~inside, down * across)
    return rows


def _whole(positions: np.ndarray) -> np.ndarray:
    """The whole part of positions, int32; what is no number, or too large for one, lies outside every grid."""
    with np.errstate(invalid="ignore"):
        # Counted from 1, so that what lies just below 0 is not brought to 0.
        return (positions + 1).astype(np.int32) - np.int32(1)


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


def _positions(grid: Grid, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all pixels' centres, with fractions, (height, width)."""
    down, across = (-(-size // _SQUARE) * _SQUARE // _STEP + 1 for size in (picture.height, picture.width))
    lines = picture.places(np.arange(across) * float(_STEP), np.arange(down) * float(_STEP))
    found = grid.positions(*np.meshgrid(*lines))
    with np.errstate(invalid="ignore", over="ignore"):
        is_wrong = _errs(found)
        rows, columns = map(_between, found)
    if is_wrong.any():
        y, x = (first[:, None, None] * _SQUARE for first in np.nonzero(is_wrong))
        y, x = np.broadcast_arrays(y + np.arange(_SQUARE)[:, None], x + np.arange(_SQUARE))
        rows[y, x], columns[y, x] = grid.positions(*picture.places(x + 0.5, y + 0.5))
    return rows[: picture.height, : picture.width], columns[: picture.height, : picture.width]


def _errs(found: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """For each square of 16 pixels whether its points say that it must not be interpolated."""
    error = np.zeros(((found[0].shape[0] - 1) // 2, (found[0].shape[1] - 1) // 2))
    side = np.zeros((2, *error.shape))
    for p in found:
        a, b, c, d = p[:-2:2, :-2:2], p[:-2:2, 2::2], p[2::2, :-2:2], p[2::2, 2::2]
        middles = (
            (p[:-2:2, 1::2], (a + b) / 2),
            (p[2::2, 1::2], (c + d) / 2),
            (p[1::2, :-2:2], (a + c) / 2),
            (p[1::2, 2::2], (b + d) / 2),
            (p[1::2, 1::2], (a + b + c + d) / 4),
        )
        for true, guessed in middles:
            error = np.maximum(error, np.abs(true - guessed))  # NaN stays NaN
        side += np.square([b - a, c - a])
    pixel: np.ndarray = np.sqrt(side.min(axis=0)) / _SQUARE
    return np.logical_not(error <= _TOLERANCE * pixel)


def _between(points: np.ndarray) -> np.ndarray:
    """Values at the pixels' centres from those every 8 pixels, float32: exact to a thousandth of a cell."""
    points = points.astype(np.float32)
    weights = ((np.arange(_STEP) + 0.5) / _STEP).astype(np.float32)
    across = points[:, :-1, None] * (1 - weights) + points[:, 1:, None] * weights
    across = across.reshape(len(points), -1)
    both = across[:-1, None] * (1 - weights)[:, None] + across[1:, None] * weights[:, None]
    return both.reshape(-1, across.shape[1])
