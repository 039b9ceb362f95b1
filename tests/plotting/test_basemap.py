"""The basemap: what is vendored, how it is cut, and where its lines fall on a grid."""

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from tests import example_files

from echocast import fields
from echocast.plotting import maps
from echocast.plotting.basemap import clip, domain, draw, web, world

CITIES = {"Zürich": (8.55, 47.37), "Helsinki": (24.94, 60.2), "Melbourne": (144.96, -37.81), "Denver": (-104.98, 39.74)}
AT_SEA = {"Atlantic": (-30.0, 40.0), "Gulf of Finland": (26.0, 59.85), "Tasman Sea": (160.0, -38.0)}


def _holds(rings: list[np.ndarray], place: tuple[float, float]) -> bool:
    """Whether a place lies in an area: within an odd number of its rings."""
    point = shapely.Point(place)
    return sum(shapely.Polygon(ring).contains(point) for ring in rings) % 2 == 1


def test_cities_are_on_land_and_seas_are_not() -> None:
    land, lakes = world.layers()["land"], world.layers()["lakes"]
    for name, place in CITIES.items():
        assert _holds(land, place), name
    for name, place in AT_SEA.items():
        assert not _holds(land, place), name
    assert _holds(lakes, (6.5, 46.42))  # Lake Geneva
    assert not _holds(lakes, CITIES["Zürich"])


def test_numbers_are_read_as_a_plain_loop_reads_them() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2**20, 300).tolist()
    content = bytearray()
    for value in values:
        while value > 127:
            content.append(value & 127 | 128)
            value >>= 7
        content.append(value)
    assert world._varints(bytes(content)).tolist() == values


ring = st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=3, max_size=12)


@settings(max_examples=60, deadline=None)
@given(points=ring)
def test_a_cut_area_is_as_large_as_shapely_says(points: list[tuple[float, float]]) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    if not isinstance(hull, shapely.Polygon):
        return
    box = (-4.0, -3.0, 5.0, 6.0)
    cut = clip.area([shapely.get_coordinates(hull)], box)
    wanted = hull.intersection(shapely.box(*box)).area
    assert sum(shapely.Polygon(part).area for part in cut) == pytest.approx(wanted, abs=1e-9)


def test_lines_are_cut_where_they_leave_and_go_on_beyond_the_date_line() -> None:
    line = np.array([[-3.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [9.0, 0.0], [9.0, 9.0], [0.5, 9.0], [0.5, 0.5]])
    first, second = clip.lines([line], (0.0, -1.0, 2.0, 1.0))
    assert first.tolist() == line[1:4].tolist()
    assert second.tolist() == line[5:].tolist()
    west = np.array([[-179.0, 0.0], [-178.0, 0.0]])
    (moved,) = clip.lines([west], (170.0, -5.0, 190.0, 5.0))
    assert moved.tolist() == [[181.0, 0.0], [182.0, 0.0]]


def test_cuts_at_180_degrees_are_no_coast() -> None:
    ring = np.array([[175.0, 0.0], [180.0, 0.0], [180.0, 5.0], [175.0, 5.0], [175.0, 0.0]])
    found = clip.outline([ring], (170.0, -10.0, 190.0, 10.0))
    assert sum(len(part) - 1 for part in found) == 3


@pytest.mark.parametrize("crs", ["EPSG:3067", "EPSG:4326", "+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +R=6371000"])
def test_places_fall_into_the_cell_that_holds_them(crs: str) -> None:
    to_grid = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = to_grid.transform(24.94, 60.17)
    cell = 0.02 if crs == "EPSG:4326" else 2000.0
    columns, rows = x + cell * (np.arange(21) - 4), y - cell * (np.arange(15) - 9)
    time = np.array(["2026-01-01"], "datetime64[ns]")
    grid = fields.make(np.zeros((1, 15, 21), np.float32), time=time, y=rows, x=columns, crs=crs)
    place, column, row = domain.grid_map(grid).places[0]
    assert place.name == "Helsinki"
    assert (column, row) == pytest.approx((4, 9), abs=0.3)
    west, south, east, north = domain.box_of(grid)
    assert west < 24.94 < east
    assert south < 60.17 < north


def test_north_is_where_the_pole_is() -> None:
    grid = example_files.field(example_files.blob(1, 40, 40)).isel(time=slice(0, 1))
    lon, lat = (part[20, 20] for part in fields.degrees(grid))
    x, y = pyproj.Transformer.from_crs("EPSG:4326", fields.crs(grid), always_xy=True).transform(lon, lat + 0.5)
    way = np.array([x - grid.x.values[20], (y - grid.y.values[20]) * np.sign(grid.y.values[1] - grid.y.values[0])])
    assert domain.grid_map(grid).north == pytest.approx(way / np.hypot(*way), abs=0.02)


def test_a_grid_around_the_pole_goes_all_around() -> None:
    axis = np.linspace(-2e6, 2e6, 30)
    time = np.array(["2026-01-01"], "datetime64[ns]")
    grid = fields.make(np.zeros((1, 30, 30), np.float32), time=time, y=axis, x=axis, crs="EPSG:3413")
    west, south, east, north = domain.box_of(grid)
    assert (west, east, north) == (-180.0, 180.0, 90.0)
    assert 55 < south < 75
    assert domain.grid_map(grid).lines["coast"]


def test_the_basemap_of_the_page_is_what_was_cut() -> None:
    box = (20.0, 58.0, 30.0, 63.0)
    made = web.basemap(box)
    cut = clip.lines(world.layers()["borders"], box)
    finest = (box[2] - box[0]) / 4000
    assert len(made["borders"]) == len(cut)
    for steps, part in zip(made["borders"], cut, strict=True):
        points = np.cumsum(np.reshape(steps, (-1, 2)), axis=0) / 1000
        assert np.abs(points[[0, -1]] - part[[0, -1]]).max() < 1e-3
        assert shapely.LineString(points).hausdorff_distance(shapely.LineString(part)) < 2 * finest + 1e-3
    people = [place[3] for place in made["places"]]
    assert people == sorted(people, reverse=True)
    assert all(20 <= place[1] <= 30 and 58 <= place[2] <= 63 for place in made["places"])


def test_names_neither_overlap_nor_leave_the_picture() -> None:
    time = np.array(["2026-01-01"], "datetime64[ns]")
    axis = np.linspace(5.0, 11.0, 300), np.linspace(48.0, 44.0, 200)
    grid = fields.make(np.zeros((1, 200, 300), np.float32), time=time, y=axis[1], x=axis[0], crs="EPSG:4326")
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    maps.draw_map(axes, grid.values[0], grid)
    before = axes.get_xlim(), axes.get_ylim()
    maps.draw_basemap(axes, grid, detail="full")
    assert (axes.get_xlim(), axes.get_ylim()) == before
    figure.canvas.draw()
    names = [text for text in axes.texts if text.get_text() not in ("", "N")]
    boxes = [text.get_window_extent() for text in names]
    assert len(names) >= 5
    frame = axes.get_window_extent()
    for number, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_a_picture_that_lies_nowhere_has_no_basemap() -> None:
    time = np.array(["2026-01-01"], "datetime64[ns]")
    picture = fields.make(np.zeros((1, 8, 8), np.float32), time=time, y=np.arange(8), x=np.arange(8), quantity="image")
    axes = Figure().subplots()
    maps.draw_basemap(axes, picture, detail="full")
    assert not axes.collections


def test_degrees_are_told_as_people_write_them() -> None:
    assert [draw.degrees(value, "E", "W") for value in (181.0, -180.0, 360.0)] == ["179°W", "180°", "0°"]
