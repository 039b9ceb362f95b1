"""Which cells of a grid an area has: those whose centre lies in it, or the nearest one where there is no such cell.

What of the area lies beyond the grid is counted too, by cells that the grid would have there.
"""

from dataclasses import dataclass

import numpy as np

from echocast.operations.alerts.places import Place
from echocast.operations.grid import Grid

_EDGE_POINTS = 8
_MOST_CELLS = 4_000_000
"""That are looked at at once."""


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
    down, across = _range(rows), _range(columns)
    if len(down) * len(across) <= _MOST_CELLS:
        found = _split(*_inside(place, grid, down, across), grid)
    else:
        found = _large(place, grid, down, across)
    return found if len(found.rows) or found.outside else _nearest(place, grid)


def _large(place: Place, grid: Grid, down: range, across: range) -> Cells:
    """The cells of a large area: those in the grid band by band, those beyond it from every second, third, ... one."""
    height, width = grid.shape
    stride = int(np.ceil(np.sqrt(len(down) * len(across) / _MOST_CELLS)))
    outside = _split(*_inside(place, grid, down[::stride], across[::stride]), grid).outside * stride**2
    if not _is_around_the_earth(grid):
        across = range(max(across.start, 0), min(across.stop, width))
    band = max(1, _MOST_CELLS // max(1, len(across)))
    starts = range(max(down.start, 0), min(down.stop, height), band)
    rows = [range(first, min(first + band, down.stop, height)) for first in starts]
    parts = [_split(*_inside(place, grid, one, across), grid) for one in rows if len(across)]
    nothing = np.empty(0, int)
    return Cells(
        np.concatenate([nothing, *(one.rows for one in parts)]),
        np.concatenate([nothing, *(one.columns for one in parts)]),
        outside,
    )


def _inside(place: Place, grid: Grid, down: range, across: range) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells among some whose centres lie in an area."""
    y, x = np.meshgrid(np.array(down, int), np.array(across, int), indexing="ij")
    is_in = place.inside(*grid.places(y.ravel() + 0.5, x.ravel() + 0.5))
    return y.ravel()[is_in], x.ravel()[is_in]


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
    if _is_around_the_earth(grid) and len(rows):
        rows, columns = np.unique(np.stack([rows, columns % width]), axis=1)
    is_in = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return Cells(rows[is_in], columns[is_in], int((~is_in).sum()))


def _is_around_the_earth(grid: Grid) -> bool:
    is_in_degrees = grid.crs.is_geographic and not grid.crs.is_derived
    return bool(is_in_degrees and abs(abs(grid.x.step) * grid.shape[1] - 360) < abs(grid.x.step) / 2)


def _range(values: np.ndarray) -> range:
    return range(int(np.floor(values.min())) - 1, int(np.ceil(values.max())) + 2)


def _dense(ring: np.ndarray) -> np.ndarray:
    """A closed ring with points along its edges, which are not straight in another projection; no jump in longitude."""
    lon = np.unwrap(ring[:, 0], period=360.0)
    ring = np.stack([lon, ring[:, 1]], axis=1)
    parts = np.linspace(0, 1, _EDGE_POINTS, endpoint=False)[:, None, None]
    return np.asarray((ring[:-1] + parts * (ring[1:] - ring[:-1])).reshape(-1, 2))
