"""What EDR needs of a grid beside `echocast.operations.grid`: x and y of its projection, its name, steps in degrees."""

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj

from echocast.operations.grid import Axis, Grid

_KM_PER_DEGREE = 111.195


def centres(axis: Axis) -> np.ndarray:
    """The centres of cells."""
    return axis.first + axis.step * np.arange(axis.size, dtype=np.float64)


def last(axis: Axis) -> float:
    """The last centre."""
    return axis.first + axis.step * (axis.size - 1)


def part(axis: Axis, first: int, size: int) -> Axis:
    """Some of the cells."""
    return Axis(axis.first + axis.step * first, axis.step, size)


def is_in_degrees(grid: Grid) -> bool:
    """Whether x and y are longitude and latitude; those of a rotated pole are not."""
    return bool(grid.crs.is_geographic and not grid.crs.is_derived)


def degrees(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of x and y; infinite where there is no place on Earth."""
    return grid.places(grid.y.position(y), grid.x.position(x))


def cells(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells that hold x and y; -1 in both outside the grid."""
    with np.errstate(invalid="ignore", over="ignore"):
        rows, columns = np.floor(grid.y.position(y)), np.floor(grid.x.position(x))
    there = (rows >= 0) & (rows < grid.y.size) & (columns >= 0) & (columns < grid.x.size)
    row, column = (np.where(there, one, -1).astype(np.int64) for one in (rows, columns))
    return row, column


def steps_in_degrees(grid: Grid, latitude: float) -> tuple[float, float]:
    """The cell size in degrees of longitude and latitude, near a latitude."""
    x, y = (abs(axis.step) or abs(other.step) or 1.0 for axis, other in ((grid.x, grid.y), (grid.y, grid.x)))
    if is_in_degrees(grid):
        return x, y
    per_degree = 1.0 if grid.crs.is_geographic else 1000 * _KM_PER_DEGREE / grid.crs.axis_info[0].unit_conversion_factor
    along = max(0.05, math.cos(math.radians(latitude)))
    return x / per_degree / along, y / per_degree


def uri(grid: Grid) -> str:
    """The identifier of the projection, or nothing if no authority knows it."""
    return _uri(grid.crs_wkt)


def mapping(crs: pyproj.CRS) -> dict[str, Any]:
    """The CF grid mapping of a projection."""
    return _mapping(crs.to_wkt())


@lru_cache(maxsize=16)
def _uri(wkt: str) -> str:
    authority = pyproj.CRS.from_user_input(wkt).to_authority(min_confidence=100)
    return f"http://www.opengis.net/def/crs/{authority[0]}/0/{authority[1]}" if authority else ""


@lru_cache(maxsize=16)
def _mapping(wkt: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "angle from rectified to skew grid")  # its WKT, written too, holds it
        return dict(pyproj.CRS.from_wkt(wkt).to_cf())
