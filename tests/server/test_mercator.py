"""The cell of each pixel against pyproj at each pixel, in projections of every kind, at all zooms."""

import math
from functools import lru_cache

import numpy as np
import pyproj
import pytest

from echocast.operations.grid import Axis, Grid
from echocast.server.tiles import mercator
from echocast.server.tiles.mercator import Picture

SPHERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +R=6370040"
ROTATED = "+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +lon_0=18 +to_meter=0.0174532925199433"
GRIDS = {
    "transverse Mercator": Grid("EPSG:3067", Axis(-1.1e5, 1000, 760), Axis(7.78e6, -1000, 1226)),
    "polar, the pole inside": Grid("EPSG:3413", Axis(-2e6, 4000, 1000), Axis(2e6, -4000, 1000)),
    "conical": Grid("EPSG:2154", Axis(5e4, 1000, 1200), Axis(6.0e6, 1000, 1150)),
    "degrees, across the date line": Grid("EPSG:4326", Axis(165.05, 0.1, 300), Axis(-30.05, -0.1, 200)),
    "on a sphere": Grid(SPHERE, Axis(-5e5, 1e3, 900), Axis(-4.6e6, 1e3, 900)),
    "rotated pole": Grid(ROTATED, Axis(-14, 0.05, 400), Axis(-10, 0.05, 380)),
}


@lru_cache
def between(one: str, other: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(one, other, always_xy=True)


def exactly(grid: Grid, picture: Picture, across: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of points of a picture, by pyproj from EPSG:3857 alone."""
    x = (picture.left + across) * picture.metres - mercator.HALF
    y = mercator.HALF - (picture.top + down) * picture.metres
    lon, lat = between("EPSG:3857", "EPSG:4326").transform(x, y)
    at_x, at_y = between("EPSG:4326", grid.crs_wkt).transform(lon, lat)
    if grid.crs_wkt == "EPSG:4326":
        at_x = np.where(at_x < grid.x.first - 10, at_x + 360, at_x)
    return (at_y - grid.y.first) / grid.y.step + 0.5, (at_x - grid.x.first) / grid.x.step + 0.5


def tiles_of(grid: Grid) -> list[tuple[int, int, int]]:
    """At each zoom the tiles that hold the middle and the corners of a grid."""
    rows, columns = grid.shape
    at = np.array([(rows / 2, columns / 2), (1, 1), (1, columns - 1), (rows - 1, 1), (rows - 1, columns - 1)])
    lon, lat = grid.places(at[:, 0], at[:, 1])
    found = set()
    for zoom in range(13):
        for place in zip(lon, lat, strict=True):
            east, north = mercator.mercator(*map(float, place))
            x, y = ((part + mercator.HALF) / (2 * mercator.HALF) * 2**zoom for part in (east, -north))
            found.add((zoom, min(int(x), 2**zoom - 1), min(max(int(y), 0), 2**zoom - 1)))
    return sorted(found)


@pytest.mark.parametrize("name", GRIDS)
def test_each_pixel_shows_its_cell_within_half_a_pixel(name: str) -> None:
    grid, rng = GRIDS[name], np.random.default_rng(0)
    worst = 0.0
    for zoom, x, y in tiles_of(grid):
        picture = mercator.tile(zoom, x, y)
        nodes = mercator.nodes_of(grid, picture)
        rows, columns = nodes.at_pixels(0), nodes.at_pixels(1)
        down, across = (rng.integers(0, 256, 400) for _ in range(2))
        right = exactly(grid, picture, across + 0.5, down + 0.5)
        beside = exactly(grid, picture, across + 1.5, down + 0.5)
        near = np.all([(-n < found) & (found < 2 * n) for n, found in zip(grid.shape, right, strict=True)], axis=0)
        right, beside, down, across = (
            *(tuple(p[near] for p in one) for one in (right, beside)),
            down[near],
            across[near],
        )
        if not near.any():
            continue
        pixel = np.hypot(beside[0] - right[0], beside[1] - right[1])
        off = np.hypot(rows[down, across] - right[0], columns[down, across] - right[1])
        worst = max(worst, float((off / pixel).max()))
    assert worst < 0.5
    assert worst < 0.15, worst  # what the tolerance promises


@pytest.mark.parametrize("name", GRIDS)
def test_neighbours_are_parts_of_one_picture(name: str) -> None:
    grid = GRIDS[name]
    for zoom, x, y in [one for one in tiles_of(grid) if one[0] in (2, 5, 8)][::2]:
        level = mercator.level_for(grid, mercator.tile(zoom + 1, 0, 0).metres)
        whole = mercator.cells(grid, mercator.tile(zoom, x, y, 512), level)
        parts = [
            [mercator.cells(grid, mercator.tile(zoom + 1, 2 * x + i, 2 * y + j), level) for i in (0, 1)] for j in (0, 1)
        ]
        np.testing.assert_array_equal(np.block(parts), whole)


def test_the_level_depends_on_the_zoom_alone_and_doubles_with_it() -> None:
    grid = GRIDS["transverse Mercator"]
    levels = [mercator.level_for(grid, mercator.tile(zoom, 0, 0).metres) for zoom in range(13)]
    at_65_degrees = 1000 / math.cos(math.radians(64.6))
    pixels = [2 * mercator.HALF / 256 / 2**zoom / at_65_degrees for zoom in range(13)]
    assert levels == [max(0, math.floor(math.log2(one))) for one in pixels]


def test_outside_the_grid_is_told_and_the_last_cell_is_inside() -> None:
    grid = Grid("EPSG:3857", Axis(0.5, 1, 4), Axis(2.5, -1, 3))
    picture = Picture(mercator.HALF - 1, mercator.HALF - 4, 6, 5, 1)
    expected = [[12, 12, 12, 12, 12, 12], [12, 0, 1, 2, 3, 12], [12, 4, 5, 6, 7, 12], [12, 8, 9, 10, 11, 12], [12] * 6]
    assert mercator.cells(grid, picture).tolist() == expected
    halves = mercator.cells(grid, picture, 1)
    assert halves.tolist()[1:4] == [[4, 0, 0, 1, 1, 4], [4, 0, 0, 1, 1, 4], [4, 2, 2, 3, 3, 4]]
