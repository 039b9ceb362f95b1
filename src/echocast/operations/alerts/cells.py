"""Which cells of a grid an area has: those whose centre lies in it, or the nearest one where there is no such cell.

What of the area lies beyond the grid is counted too, by cells that the grid would have there.
"""

from dataclasses import dataclass

import numpy as np

from echocast.operations.alerts.places import Place
from echocast.operations.grid import Grid

_EDGE_POINTS = 8
_MOST_CELLS = 4_000_000
"""Of a larger area only every second, third, ... cell is looked at."""


@dataclass(frozen=True)
class Cells:
    """The cells of an area.

    Args:
        rows: of the cells in the grid.
        columns: likewise.
        outside: how many cells the area would have beyond the grid.
    """

    rows: np.ndarray
    columns: np.ndarray
    outside: int

    @property
    def share_outside(self) -> float:
        """The share of the area beyond the grid, from 0 to 1."""
        return self.outside / max(1, self.outside + len(self.rows))


def cells_of(place: Place, grid: Grid) -> Cells:
    """The cells of an area on a grid; none in the grid where it lies elsewhere on Earth."""
    lines = [_dense(ring) for ring in place.outlines]
    outline = np.concatenate(lines)
    rows, columns = grid.positions(outline[:, 0], outline[:, 1])
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return Cells(np.empty(0, int), np.empty(0, int), 1)
    (top, bottom), (left, right) = _range(rows), _range(columns)
    stride = max(1, int(np.ceil(np.sqrt((bottom - top + 1) * (right - left + 1) / _MOST_CELLS))))
    y, x = np.meshgrid(np.arange(top, bottom + 1, stride), np.arange(left, right + 1, stride), indexing="ij")
    is_in = place.inside(*grid.places(y.ravel() + 0.5, x.ravel() + 0.5))
    if not is_in.any():
        return _nearest(place, grid)
    return _split(y.ravel()[is_in], x.ravel()[is_in], grid)


def _nearest(place: Place, grid: Grid) -> Cells:
    """The cell that the middle of an area lies in."""
    lon, lat = place.middle
    row, column = grid.positions(np.array([lon]), np.array([lat]))
    if not (np.isfinite(row).all() and np.isfinite(column).all()):
        return Cells(np.empty(0, int), np.empty(0, int), 1)
    return _split(np.floor(row).astype(int), np.floor(column).astype(int), grid)


def _split(rows: np.ndarray, columns: np.ndarray, grid: Grid) -> Cells:
    """Cells in the grid and the number of those beyond it; a grid around the Earth has no end."""
    height, width = grid.shape
    if (
        grid.crs.is_geographic
        and not grid.crs.is_derived
        and abs(abs(grid.x.step) * width - 360) < abs(grid.x.step) / 2
    ):
        columns = columns % width
    is_in = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return Cells(rows[is_in], columns[is_in], int((~is_in).sum()))


def _range(values: np.ndarray) -> tuple[int, int]:
    return int(np.floor(values.min())) - 1, int(np.ceil(values.max())) + 1


def _dense(ring: np.ndarray) -> np.ndarray:
    """A closed ring with points along its edges, which are not straight in another projection; no jump in longitude."""
    lon = np.unwrap(ring[:, 0], period=360.0)
    ring = np.stack([lon, ring[:, 1]], axis=1)
    parts = np.linspace(0, 1, _EDGE_POINTS, endpoint=False)[:, None, None]
    return np.asarray((ring[:-1] + parts * (ring[1:] - ring[:-1])).reshape(-1, 2))
