"""Areas on a grid, against shapely and a plain loop over the cells."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely
from tests.operations.alerts import made
from tests.operations.alerts.made import GRID, SHAPE

from echocast.operations.alerts import geometry
from echocast.operations.alerts.cells import cells_of
from echocast.operations.alerts.places import Place
from echocast.operations.grid import Axis, Grid


def as_set(cells: object) -> set[tuple[int, int]]:
    return set(zip(cells.rows.tolist(), cells.columns.tolist(), strict=True))  # type: ignore[attr-defined]


def test_a_circle_has_the_cells_whose_centres_are_near_enough() -> None:
    centre, geod = made.place(4.3, 5.1), pyproj.Geod(ellps="WGS84")
    near = {
        (row, column)
        for row in range(SHAPE[0])
        for column in range(SHAPE[1])
        if geod.inv(*centre, *made.place(row, column))[2] <= 2600
    }
    found = cells_of(Place("a", "a", centre=centre, radius_km=2.6), GRID)
    assert len(near) > 15
    assert (as_set(found), found.outside) == (near, 0)


def test_a_polygon_with_a_hole_has_the_cells_that_shapely_finds() -> None:
    outline = np.array([made.place(1.2, 1.3), made.place(1.4, 8.2), made.place(9.1, 6.6), made.place(6.3, 0.2)])
    hole = np.array([made.place(3.2, 3.1), made.place(3.3, 5.6), made.place(5.7, 4.2)])
    shape = shapely.Polygon(outline, [hole])
    wanted = {
        (row, column)
        for row in range(12)
        for column in range(10)
        if shape.contains(shapely.Point(made.place(row, column)))
    }
    assert as_set(cells_of(Place("a", "a", polygons=((outline, hole),)), GRID)) == wanted


def test_an_area_smaller_than_a_cell_has_the_cell_that_it_lies_in() -> None:
    found = cells_of(Place("a", "a", centre=made.place(7.4, 2.4), radius_km=0), GRID)
    assert (as_set(found), found.outside) == ({(7, 2)}, 0)


def test_what_lies_beyond_the_grid_is_counted() -> None:
    """A circle around the grid's corner has a quarter of its cells in the grid."""
    found = cells_of(Place("a", "a", centre=made.place(-0.5, -0.5), radius_km=4.1), GRID)
    assert found.share_outside == pytest.approx(0.75)
    elsewhere = cells_of(Place("a", "a", centre=(-60.0, -30.0), radius_km=5), GRID)
    assert (len(elsewhere.rows), elsewhere.share_outside) == (0, 1.0)


def test_a_large_area_has_the_same_cells_as_if_it_were_small(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("a", "a", centre=made.place(8.0, 6.0), radius_km=7.3)
    wanted = cells_of(place, GRID)
    monkeypatch.setattr("echocast.operations.alerts.cells._MOST_CELLS", 40)
    found = cells_of(place, GRID)
    assert as_set(found) == as_set(wanted)
    assert len(found.rows) == len(as_set(found))
    assert wanted.outside > 20
    assert found.outside == pytest.approx(wanted.outside, rel=0.4)


def test_longitudes_are_cyclic() -> None:
    """A grid from 0 to 359 degrees; an area across Greenwich, and one across the date line."""
    grid = Grid("EPSG:4326", Axis(0.0, 1.0, 360), Axis(50.0, -1.0, 5))
    ring = np.array([[-1.5, 47.5], [1.5, 47.5], [1.5, 49.5], [-1.5, 49.5]])
    assert as_set(cells_of(Place("a", "a", polygons=((ring,),)), grid)) == {
        (row, column) for row in (1, 2) for column in (359, 0, 1)
    }
    assert as_set(cells_of(Place("a", "a", polygons=((ring + np.array([180, 0]),),)), grid)) == {
        (row, column) for row in (1, 2) for column in (179, 180, 181)
    }


def test_outlines_for_cap_are_closed_and_short_and_nearly_the_same() -> None:
    turn = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    ring = np.stack([8 + (1 + 0.1 * np.sin(9 * turn)) * np.cos(turn), 47 + np.sin(turn)], axis=1)
    few = geometry.simplified(ring, 100)
    assert 40 < len(few) <= 100
    assert few[0].tolist() == few[-1].tolist()
    exact, made_of = shapely.Polygon(ring), shapely.Polygon(few)
    assert made_of.is_valid
    assert exact.symmetric_difference(made_of).area < 0.01 * exact.area
    assert len(geometry.simplified(np.array([[0.0, 0], [1, 0], [1, 1]]), 100)) == 4


def test_a_geojson_ring_may_be_given_without_its_rings(tmp_path: Path) -> None:
    ring = str([list(made.place(*at)) for at in ((2, 2), (2, 5), (5, 5), (5, 2))])
    for coordinates in (ring, f"[{ring}]"):
        (place,) = made.alerts(tmp_path, area=f'id = "a"\ncoordinates = {coordinates}').areas["heavy"]
        assert len(cells_of(place, GRID).rows) >= 4
