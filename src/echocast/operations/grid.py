"""Where an issue lies: places on Earth to cells and back, from what meta.json says. Needs pyproj alone.

Longitudes and latitudes are of WGS 84 throughout. Rows and columns count from 0 in the order of the file, whichever way
the axes go; cell (row, column) reaches half a cell to each side of its centre.

>>> axis = {"first": 0.5, "step": 1.0, "size": 3}
>>> grid = Grid.of({"crs": "EPSG:4326", "x": axis, "y": axis | {"first": 2.5, "step": -1.0}})
>>> grid.cell(1.2, 0.1), grid.cell(5.0, 0.0), grid.shape
((2, 1), None, (3, 3))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyproj

_ALONG_AN_EDGE = 65
"""Places along each edge of a grid of which its bounds are found."""
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Axis:
    """Evenly spaced centres of cells.

    Args:
        first: the first centre, in the unit of the projection.
        step: from one to the next; negative where they descend.
        size: how many.
    """

    first: float
    step: float
    size: int

    def position(self, values: np.ndarray) -> np.ndarray:
        """Where coordinates lie among the cells: 0 is the outer edge of the first cell, `size` that of the last."""
        return (values - self.first) / (self.step or 1.0) + 0.5

    def coordinate(self, position: np.ndarray) -> np.ndarray:
        """The coordinates of positions, the opposite of `position`."""
        return self.first + (position - 0.5) * (self.step or 1.0)


@dataclass(frozen=True)
class Grid:
    """Cells on Earth.

    Args:
        crs_wkt: their projection.
        x: their columns.
        y: their rows.
    """

    crs_wkt: str
    x: Axis
    y: Axis

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> "Grid":
        """The grid that index.json or meta.json tells; raises `ValueError` for one without a projection."""
        if not about.get("crs"):
            raise ValueError("this grid does not say where it lies on Earth")
        x, y = (Axis(float(about[n]["first"]), float(about[n]["step"]), int(about[n]["size"])) for n in ("x", "y"))
        return interned(cls(str(about["crs"]), x, y))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y.size, self.x.size

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The projection."""
        return pyproj.CRS.from_user_input(self.crs_wkt)

    def positions(self, longitudes: np.ndarray, latitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of places, with fractions: the cell is their whole part; infinite where there is none."""
        x, y = self._to_grid.transform(longitudes, latitudes)
        x = np.asarray(x, np.float64)
        if self._has_degrees:  # the same meridian as the grid writes it
            middle = self.x.first + (self.x.size - 1) / 2 * self.x.step
            x = middle + (x - middle + 180) % 360 - 180
        return self.y.position(np.asarray(y, np.float64)), self.x.position(x)

    def cell(self, longitude: float, latitude: float) -> tuple[int, int] | None:
        """Row and column of the cell that holds a place; None outside the grid."""
        row, column = self.positions(np.array([longitude]), np.array([latitude]))
        rows, columns = self.shape
        inside = 0 <= row[0] < rows and 0 <= column[0] < columns
        return (int(row[0]), int(column[0])) if inside else None

    def cells(self, longitudes: np.ndarray, latitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the cells that hold places; -1 in both outside the grid."""
        rows, columns = self.positions(longitudes, latitudes)
        inside = (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        row, column = (np.where(inside, part, -1.0).astype(np.int64) for part in (rows, columns))
        return row, column

    def places(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitudes and latitudes of positions; the centre of cell 3 is at 3.5; infinite where there is none."""
        x, y = self.x.coordinate(np.asarray(columns)), self.y.coordinate(np.asarray(rows))
        longitudes, latitudes = self._to_earth.transform(x, y)
        return np.asarray(longitudes), np.asarray(latitudes)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north of the cells; west is greater than east across the date line.

        None where they cannot be told, as where an edge is not on Earth.
        """
        along = np.linspace(0, 1, _ALONG_AN_EDGE)
        rows, columns = along * self.shape[0], along * self.shape[1]
        none, all_rows, all_columns = 0 * along, 0 * along + self.shape[0], 0 * along + self.shape[1]
        lon, lat = self.places(
            np.concatenate([none, rows, all_rows, rows[::-1]]),
            np.concatenate([columns, all_columns, columns[::-1], none]),
        )
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        south, north = float(lat.min()), float(lat.max())
        turned = np.concatenate([[0], np.cumsum((np.diff(lon) + 180) % 360 - 180)])
        for pole in (-90.0, 90.0):
            if not self._has_degrees and self.cell(0.0, pole) is not None:
                return -180.0, min(south, pole), 180.0, max(north, pole)
        west, east = float(lon[0] + turned.min()), float(lon[0] + turned.max())
        if east - west >= 360 - 1e-9:
            return -180.0, south, 180.0, north
        return (west + 180) % 360 - 180, south, (east + 180) % 360 - 180 if east > 180 else east, north

    def as_dict(self) -> dict[str, Any]:
        """What index.json and meta.json say of it."""
        axes = {name: {"first": a.first, "step": a.step, "size": a.size} for name, a in (("x", self.x), ("y", self.y))}
        return {"crs": self.crs_wkt, **axes, "bounds_wgs84": list(self.bounds) if self.bounds else None}

    @cached_property
    def _has_degrees(self) -> bool:
        return bool(self.crs.is_geographic and not self.crs.is_derived)

    @cached_property
    def _to_grid(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(self._earth, self.crs, always_xy=True)

    @cached_property
    def _to_earth(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(self.crs, self._earth, always_xy=True)

    @cached_property
    def _earth(self) -> pyproj.CRS | str:
        """WGS 84; the projection's own ellipsoid where PROJ takes that for no Earth, as one whose unit is not told."""
        try:
            pyproj.Transformer.from_crs(_WGS84, self.crs)
        except pyproj.exceptions.ProjError:
            return self.crs.geodetic_crs or _WGS84
        return _WGS84


@lru_cache(maxsize=64)
def interned(grid: Grid) -> Grid:
    """The first grid that was like this one: what it has found of its projection is not found again."""
    return grid
