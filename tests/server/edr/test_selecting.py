"""Cells of areas and boxes are those whose centres lie inside, as Shapely and a plain loop find them."""

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.edr.issues import grid

from echocast.operations.grid import Axis, Grid
from echocast.server.edr import inside, projection, selecting, wkt
from echocast.server.edr.coverage import Raster
from echocast.server.edr.refusals import Refused, TooMuch

GRID = grid()


def centres(of: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of all centres by pyproj."""
    x, y = np.meshgrid(projection.centres(of.x), projection.centres(of.y))
    longitude, latitude = pyproj.Transformer.from_crs(of.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return longitude, latitude


def mask(found: Raster | None, of: Grid) -> np.ndarray:
    """Which cells of the whole grid were found."""
    whole = np.zeros(of.shape, bool)
    if found is not None:
        whole[found.rows[found.inside], found.columns[found.inside]] = True
    return whole


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(24.5, 27.5), st.floats(62.4, 63.4)), min_size=3, max_size=12, unique=True))
def test_an_area_has_the_cells_whose_centre_is_inside(places: list[tuple[float, float]]) -> None:
    polygon = shapely.MultiPoint(places).convex_hull
    if not isinstance(polygon, shapely.Polygon):
        return
    found = selecting.native(selecting.area(wkt.parse(shapely.to_wkt(polygon, -1)), degrees=True), GRID)
    assert (mask(found, GRID) == shapely.contains_xy(polygon, *centres(GRID))).all()


def test_holes_and_several_polygons() -> None:
    text = (
        "MULTIPOLYGON(((25 62.7, 26 62.7, 26 63.1, 25 63.1, 25 62.7), (25.2 62.8, 25.8 62.8, 25.5 63, 25.2 62.8)),"
        "((26.1 62.75, 26.3 62.75, 26.2 62.95, 26.1 62.75)))"
    )
    found = selecting.native(selecting.area(wkt.parse(text), degrees=True), GRID)
    expected = shapely.contains_xy(shapely.from_wkt(text), *centres(GRID))
    assert expected.sum() > 100
    assert (mask(found, GRID) == expected).all()
    assert found is not None
    rows, columns = np.flatnonzero(expected.any(axis=1)), np.flatnonzero(expected.any(axis=0))
    assert found.inside.shape == (np.ptp(rows) + 1, np.ptp(columns) + 1)


def test_a_polygon_of_neighbours_shares_no_cell() -> None:
    left, right = "POLYGON((0 0,2 0,2 2,0 2,0 0))", "POLYGON((2 0,4 0,4 2,2 2,2 0))"
    of = Grid("EPSG:4326", Axis(0.0, 0.5, 8), Axis(1.5, -0.5, 4))
    first, second = (mask(selecting.native(selecting.area(wkt.parse(t), degrees=True), of), of) for t in (left, right))
    assert not (first & second).any()
    assert (first | second).sum() == 8 * 4


@pytest.mark.parametrize(("bbox", "native"), [("25,62.7,26.2,63", False), ("405000,6970000,420000,6990000", True)])
def test_a_cube_has_the_cells_whose_centre_is_in_the_box(bbox: str, native: bool) -> None:
    west, south, east, north = map(float, bbox.split(","))
    x, y = np.meshgrid(projection.centres(GRID.x), projection.centres(GRID.y)) if native else centres(GRID)
    expected = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    found = selecting.native(selecting.cube(bbox, degrees=not native), GRID)
    assert expected.any()
    assert (mask(found, GRID) == expected).all()


def test_across_the_antimeridian() -> None:
    of = Grid("EPSG:4326", Axis(170.5, 1.0, 20), Axis(5.5, -1.0, 10))  # to 189.5, which is -170.5
    area = selecting.native(
        selecting.area(wkt.parse("POLYGON((178 -2, 183 -2, 183 2, 178 2, 178 -2))"), degrees=True), of
    )
    cube = selecting.native(selecting.cube("178,-2,-177,2", degrees=True), of)
    assert area is not None
    assert cube is not None
    for found in (area, cube):
        assert found.columns[0, [0, -1]].tolist() == [8, 12]
        assert found.inside.all()
    with pytest.raises(Refused, match="antimeridian is written beyond 180"):
        selecting.area(wkt.parse("POLYGON((178 -2, -177 -2, -177 2, 178 2, 178 -2))"), degrees=True)


def test_around_the_pole() -> None:
    of = Grid(pyproj.CRS.from_epsg(3413).to_wkt(), Axis(-490_000.0, 20_000.0, 50), Axis(490_000.0, -20_000.0, 50))
    found = selecting.native(selecting.cube("-180,88,180,90", degrees=True), of)
    assert (mask(found, of) == (centres(of)[1] >= 88)).all()


def test_nodes_of_degrees_take_the_nearest_cell() -> None:
    wanted = selecting.cube("25,62.7,26.2,63", degrees=True)
    cells = selecting.native(wanted, GRID)
    assert cells is not None
    found = selecting.in_degrees(cells, wanted, GRID, 10_000)
    assert found is not None
    longitude, latitude = found.coordinates()
    assert found.inside.mean() > 0.9
    assert (longitude[found.inside] >= 25).all()
    x, y = pyproj.Transformer.from_crs("EPSG:4326", GRID.crs, always_xy=True).transform(longitude, latitude)
    rows = np.abs(projection.centres(GRID.y)[:, None] - y[found.inside]).argmin(axis=0)
    columns = np.abs(projection.centres(GRID.x)[:, None] - x[found.inside]).argmin(axis=0)
    assert (found.rows[found.inside] == rows).all()
    assert (found.columns[found.inside] == columns).all()
    with pytest.raises(TooMuch, match="the most is 100"):
        selecting.in_degrees(cells, wanted, GRID, 100)


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ("1,2,3", "not four numbers"),
        ("a,b,c,d", "not four numbers"),
        ("nan,0,1,1", "not four numbers"),
        ("1e308,0,1e309,1", "not four numbers"),
        ("0,5,1,5", "no width or height"),
        ("0,6,1,5", "no width or height"),
        ("0,0,0,5", "no width or height"),
        ("400000,6900000,500000,7000000", "add crs=native"),
    ],
)
def test_what_is_no_box_is_told(bbox: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        inside.box(bbox, degrees=True)


def test_heights_of_a_box_are_ignored() -> None:
    assert inside.box("1,2,0,3,4,10", degrees=True) == inside.Box(1, 2, 3, 4)


def test_a_polygon_that_takes_too_long_is_too_much() -> None:
    zigzag = [(float(number % 2), 50.0 * (number % 2)) for number in range(999)]
    with pytest.raises(TooMuch, match="too many cells"):
        inside.in_polygons(np.zeros(500_000), np.linspace(1, 49, 500_000), (((*zigzag, zigzag[0]),),))


@pytest.mark.parametrize("epsg", [2056, 3035, 25832])
def test_other_projections(epsg: int) -> None:
    middle = {2056: (2_600_000, 1_200_000), 3035: (4_300_000, 3_200_000), 25832: (500_000, 5_400_000)}[epsg]
    of = grid(epsg, first=middle)
    longitude, latitude = centres(of)
    west, east = np.quantile(longitude, [0.3, 0.6])
    south, north = np.quantile(latitude, [0.3, 0.6])
    found = selecting.native(selecting.cube(f"{west},{south},{east},{north}", degrees=True), of)
    expected = (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
    assert (mask(found, of) == expected).all()
