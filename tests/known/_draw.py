"""What every writer of known files draws: a size, three cells, times, and places on Earth."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj


@dataclass(frozen=True)
class Spots:
    """A grid's size and where its bright, its dry and its missing cell are (row, column), row 0 in the north."""

    shape: tuple[int, int]
    bright: tuple[int, int]
    dry: tuple[int, int]
    missing: tuple[int, int]


def spots(drawn: np.random.Generator, rows: int | None = None, columns: int | None = None) -> Spots:
    """Three different cells of a grid of a given size, by default of 4 to 12 rows and columns."""
    shape = (rows or int(drawn.integers(4, 13)), columns or int(drawn.integers(4, 13)))
    chosen = drawn.choice(shape[0] * shape[1], 3, replace=False)
    bright, dry, missing = (divmod(int(n), shape[1]) for n in chosen)
    return Spots(shape, bright, dry, missing)


def time(drawn: np.random.Generator, step_minutes: int = 5) -> np.datetime64:
    """A time of the years 2000 to 2029, on a multiple of some minutes."""
    first, last = np.datetime64("2000-01-01", "m"), np.datetime64("2030-01-01", "m")
    steps = int((last - first) / np.timedelta64(step_minutes, "m"))
    return np.datetime64(first + np.timedelta64(step_minutes * int(drawn.integers(steps)), "m"), "ns")


def degrees(proj4: str, x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude on a projection's own ellipsoid of a place in its metres."""
    longitude, latitude = _to_degrees(proj4).transform(x, y)
    return float(longitude), float(latitude)


@lru_cache(maxsize=64)
def _to_degrees(proj4: str) -> pyproj.Transformer:
    crs = pyproj.CRS.from_user_input(proj4)
    return pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
