"""Which cells of a grid an area has: those whose centre lies in it, and the nearest one where it is smaller than a cell.

What of the area lies beyond the grid is counted too, by cells that the grid would have there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyproj

from echocast import fields
from echocast.operations.alerts.places import Place

_EDGE_POINTS = 8
_MOST_CELLS = 4_000_000
"""Of a larger area only every second, third, ... cell is looked at."""


@dataclass(frozen=True)
class Grid:
    """The grid of an issue.

    Args:
        crs: the projection, as WKT.
        x: the first centre, the step and the number of cells to the right.
        y: likewise downwards.
    """

    crs: str
    x: tuple[float, float, int]
    y: tuple[float, float, int]

    @classmethod
    def of_meta(cls, grid: Mapping[str, Any]) -> Self:
        """The grid as meta.json and index.json tell it; raises `ValueError` where it is on no place on Earth."""
        if grid.get("crs") is None:
            raise ValueError("the forecast does not say where it lies on Earth")
        x, y = ((float(one["first"]), float(one["step"]), int(one["size"])) for one in (grid["x"], grid["y"]))
        return cls(str(grid["crs"]), x, y)

    @cached_property
    def reference(self) -> pyproj.CRS:
        """The projection."""
        return fields.known_crs(self.crs)

    @property
    def is_in_degrees(self) -> bool:
        """Whether x and y are longitude and latitude."""
        return fields.in_degrees(self.reference)

    def at(self, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of places (degrees), not whole numbers; not finite for what the projection lacks."""
        if self.is_in_degrees:
            middle = self.x[0] + self.x[1] * (self.x[2] - 1) / 2
            x, y = fields.near(longitude, middle), latitude
        else:
            x, y = _transformer(self.reference, inverse=False).transform(longitude, latitude)
        return (np.asarray(y) - self.y[0]) / (self.y[1] or 1.0), (np.asarray(x) - self.x[0]) / (self.x[1] or 1.0)

    def degrees(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitudes and latitudes of the centres of cells, of the grid or beyond it."""
        x, y = self.x[0] + self.x[1] * columns, self.y[0] + self.y[1] * rows
        if self.is_in_degrees:
            return x, np.where(np.abs(y) <= 90, y, np.inf)
        lon, lat = _transformer(self.reference, inverse=True).transform(x, y)
        return np.asarray(lon), np.asarray(lat)


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
    rows, columns = grid.at(outline[:, 0], outline[:, 1])
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return Cells(np.empty(0, int), np.empty(0, int), 1)
    (top, bottom), (left, right) = _range(rows), _range(columns)
    stride = max(1, int(np.ceil(np.sqrt((bottom - top + 1) * (right - left + 1) / _MOST_CELLS))))
    y, x = np.meshgrid(np.arange(top, bottom + 1, stride), np.arange(left, right + 1, stride), indexing="ij")
    y, x = y.ravel(), x.ravel()
    is_in = place.inside(*grid.degrees(y, x))
    if not is_in.any():
        return _nearest(place, grid)
    return _split(y[is_in], x[is_in], grid)


def _nearest(place: Place, grid: Grid) -> Cells:
    """The cell that the middle of an area lies in."""
    lon, lat = place.middle
    row, column = grid.at(np.array([lon]), np.array([lat]))
    if not (np.isfinite(row).all() and np.isfinite(column).all()):
        return Cells(np.empty(0, int), np.empty(0, int), 1)
    return _split(np.floor(row + 0.5).astype(int), np.floor(column + 0.5).astype(int), grid)


def _split(rows: np.ndarray, columns: np.ndarray, grid: Grid) -> Cells:
    """Cells in the grid and the number of those beyond it; a grid around the Earth has no end."""
    if grid.is_in_degrees and abs(abs(grid.x[1]) * grid.x[2] - 360) < abs(grid.x[1]) / 2:
        columns = columns % grid.x[2]
    is_in = (rows >= 0) & (rows < grid.y[2]) & (columns >= 0) & (columns < grid.x[2])
    return Cells(rows[is_in], columns[is_in], int((~is_in).sum()))


def _range(values: np.ndarray) -> tuple[int, int]:
    return int(np.floor(values.min())) - 1, int(np.ceil(values.max())) + 1


def _dense(ring: np.ndarray) -> np.ndarray:
    """A closed ring with points along its edges, which are not straight in another projection; no jump in longitude."""
    lon = np.unwrap(ring[:, 0], period=360.0)
    ring = np.stack([lon, ring[:, 1]], axis=1)
    parts = np.linspace(0, 1, _EDGE_POINTS, endpoint=False)[:, None, None]
    return np.asarray((ring[:-1] + parts * (ring[1:] - ring[:-1])).reshape(-1, 2))


def _transformer(reference: pyproj.CRS, *, inverse: bool) -> pyproj.Transformer:
    base = (reference.source_crs if reference.is_geographic else reference.geodetic_crs) or "EPSG:4326"
    pair = (reference, base) if inverse else (base, reference)
    return pyproj.Transformer.from_crs(*pair, always_xy=True)
