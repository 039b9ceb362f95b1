"""The box of a grid on Earth, and the basemap as columns and rows of the grid."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import xarray as xr

from echocast import fields
from echocast.fields import longitude
from echocast.plotting.basemap import clip, world
from echocast.plotting.basemap.clip import Box

_SAMPLES = 33
_LONGEST_DEGREES = 0.25
"""Longer segments are divided: a parallel is no straight line in most projections."""


@dataclass(frozen=True)
class GridMap:
    """The basemap of a grid, in cells: column and row, 0 the centre of the first.

    Args:
        lines: of each layer (coast, lakes, borders, regions), the points (points, 2) of its lines.
        meridians: longitude in degrees and the points of each line of the graticule.
        parallels: latitude in degrees and the points of each line of the graticule.
        places: the places in the grid with their column and row, the largest first.
        north: the direction of north at the middle of the grid, as (columns, rows) of length 1.
    """

    lines: dict[str, list[np.ndarray]]
    meridians: list[tuple[float, list[np.ndarray]]]
    parallels: list[tuple[float, list[np.ndarray]]]
    places: list[tuple[world.Place, float, float]]
    north: tuple[float, float]


def box_of(grid: xr.DataArray, margin: float = 0.0) -> Box:
    """The box of degrees that holds a grid, with a margin in degrees; a grid that holds a pole goes all around.

    Raises:
        DataError: the field does not say where it lies.
    """
    some = grid.isel(y=_spread(grid.sizes["y"]), x=_spread(grid.sizes["x"]))
    lon, lat = fields.degrees(some)
    known = np.isfinite(lon) & np.isfinite(lat)
    lon, lat = lon[known], lat[known]
    turn = np.exp(1j * np.radians(lon)).mean()
    near = longitude.near(lon, float(np.degrees(np.angle(turn))))
    half = _cell_degrees(grid) / 2 + margin
    south, north = max(lat.min() - half, -90.0), min(lat.max() + half, 90.0)
    sides = half / max(0.05, float(np.cos(np.radians(max(abs(south), abs(north)) - half))))
    west, east = near.min() - sides, near.max() + sides
    poles = [pole for pole in (-90.0, 90.0) if _holds(grid, 0.0, pole)]
    if poles or east - west >= 360.0:
        west, east = -180.0, 180.0
    south, north = (-90.0 if -90.0 in poles else south), (90.0 if 90.0 in poles else north)
    return float(west), float(south), float(east), float(north)


def grid_map(grid: xr.DataArray) -> GridMap:
    """The basemap of a grid; the last few grids are remembered.

    Raises:
        DataError: the field does not say where it lies.
    """
    y, x = grid.coords["y"].values, grid.coords["x"].values
    return _made(fields.crs(grid).to_wkt(), tuple(x[[0, -1]]), tuple(y[[0, -1]]), (x.size, y.size))


@lru_cache(maxsize=4)
def _made(wkt: str, x: tuple[float, float], y: tuple[float, float], cells: tuple[int, int]) -> GridMap:
    columns, rows = np.linspace(*x, cells[0]), np.linspace(*y, cells[1])
    time = np.array(["2000-01-01"], "datetime64[ns]")
    grid = fields.make(np.zeros((1, cells[1], cells[0]), np.float32), time=time, y=rows, x=columns, crs=wkt)
    box = box_of(grid)
    every = world.layers()
    cut = {
        "coast": clip.outline(every["land"], box),
        "lakes": clip.outline(every["lakes"], box),
        "borders": clip.lines(every["borders"], box),
        "regions": clip.lines(every["regions"], box),
    }
    lines = {name: [piece for part in parts for piece in _in_cells(grid, part)] for name, parts in cut.items()}
    return GridMap(lines, *_graticule(grid, box), places=_places(grid, box), north=_north(grid))


def to_cells(grid: xr.DataArray, degrees: np.ndarray) -> np.ndarray:
    """Longitudes and latitudes (points, 2) as columns and rows of a grid (points, 2); NaN where it does not reach."""
    x, y = fields.project(grid, degrees[:, 0], degrees[:, 1])
    left, right = grid.coords["x"].values[[0, -1]]
    bottom, top = grid.coords["y"].values[[0, -1]]
    if fields.in_degrees(fields.crs(grid)):
        x = longitude.near(x, float(left + right) / 2)
    columns = (x - left) / ((right - left) / max(grid.sizes["x"] - 1, 1) or 1.0)
    rows = (y - bottom) / ((top - bottom) / max(grid.sizes["y"] - 1, 1) or 1.0)
    cells = np.stack([columns, rows], axis=1)
    cells[~np.isfinite(cells).all(axis=1)] = np.nan
    return cells


def _in_cells(grid: xr.DataArray, part: np.ndarray) -> list[np.ndarray]:
    """A line in cells, in pieces where the projection tears it; what lies outside the grid is left out."""
    cells = to_cells(grid, _divided(part))
    size = np.array([grid.sizes["x"], grid.sizes["y"]])
    a, b = cells[:-1], cells[1:]
    with np.errstate(invalid="ignore"):
        whole = (np.abs(b - a) < size / 2 + 1).all(axis=1)
        meets = (np.maximum(a, b) >= -1).all(axis=1) & (np.minimum(a, b) <= size).all(axis=1)
    edges = np.flatnonzero(np.diff(whole & meets, prepend=False, append=False)).reshape(-1, 2)
    return [cells[first : last + 1] for first, last in edges]


def _divided(part: np.ndarray) -> np.ndarray:
    """A line with points between those that lie far apart."""
    pieces = np.ceil(np.abs(np.diff(part, axis=0)).max(axis=1) / _LONGEST_DEGREES).clip(1).astype(int)
    if (pieces == 1).all():
        return part
    joined = [np.linspace(a, b, count, endpoint=False) for (a, b), count in zip(pairwise(part), pieces, strict=True)]
    return np.concatenate([*joined, part[-1:]])


def _graticule(
    grid: xr.DataArray, box: Box
) -> tuple[list[tuple[float, list[np.ndarray]]], list[tuple[float, list[np.ndarray]]]]:
    west, south, east, north = box
    step_x, step_y = _round_step(east - west), _round_step(north - south)
    longitudes = np.arange(np.ceil(west / step_x), np.floor(east / step_x) + 1) * step_x
    latitudes = np.arange(np.ceil(south / step_y), np.floor(north / step_y) + 1) * step_y
    meridians = [(float(lon), _in_cells(grid, np.array([[lon, south], [lon, north]]))) for lon in longitudes]
    parallels = [(float(lat), _in_cells(grid, np.array([[west, lat], [east, lat]]))) for lat in latitudes]
    return meridians, parallels


def _round_step(width: float) -> float:
    """Degrees between lines, so that there are about four."""
    return next((step for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0) if width / step <= 5.5), 60.0)


def _places(grid: xr.DataArray, box: Box) -> list[tuple[world.Place, float, float]]:
    west, south, east, north = box
    inside = [
        place
        for place in world.places()
        if south <= place.latitude <= north and (place.longitude - west) % 360.0 <= east - west
    ]
    if not inside:
        return []
    cells = to_cells(grid, np.array([[place.longitude, place.latitude] for place in inside]))
    size = np.array([grid.sizes["x"], grid.sizes["y"]])
    with np.errstate(invalid="ignore"):
        within = np.asarray(((cells >= 0) & (cells <= size - 1)).all(axis=1))
    return [(place, float(x), float(y)) for place, (x, y), is_in in zip(inside, cells, within, strict=True) if is_in]


def _north(grid: xr.DataArray) -> tuple[float, float]:
    middle = grid.isel(y=[grid.sizes["y"] // 2], x=[grid.sizes["x"] // 2])
    lon, lat = (float(values[0, 0]) for values in fields.degrees(middle))
    if not np.isfinite([lon, lat]).all():
        return 0.0, -1.0 if grid.y.values[0] > grid.y.values[-1] else 1.0
    a, b = to_cells(grid, np.array([[lon, lat - 0.01], [lon, lat + 0.01]]))
    way = (b - a) / max(float(np.hypot(*(b - a))), 1e-12)
    return float(way[0]), float(way[1])


def _holds(grid: xr.DataArray, lon: float, lat: float) -> bool:
    """Whether a point lies in a grid in a projection of a plane."""
    if fields.in_degrees(fields.crs(grid)):
        return False
    column, row = to_cells(grid, np.array([[lon, lat]]))[0]
    return bool(-1 < column < grid.sizes["x"] and -1 < row < grid.sizes["y"])


def _spread(size: int) -> np.ndarray:
    return np.unique(np.linspace(0, size - 1, _SAMPLES).astype(int))


def _cell_degrees(grid: xr.DataArray) -> float:
    return fields.grid_km(grid) / 111.195
