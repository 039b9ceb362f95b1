"""WKT is read as Shapely reads it, and what is not is refused with one message."""

import time
from contextlib import suppress

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from echocast.server.edr import wkt
from echocast.server.edr.refusals import Refused, TooMuch
from echocast.server.edr.wkt import WktLimits

numbers = st.floats(-180, 180, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_points_are_those_of_shapely(places: list[tuple[float, float]]) -> None:
    text = shapely.MultiPoint(places).wkt
    assert wkt.parse(text).points == tuple((p.x, p.y) for p in shapely.from_wkt(text).geoms)


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 2 1, 2 2, 1 1))",
        "polygon ( ( -1e1 .5 , 4.  0,\n4 4,-10 0.5))",
        "MULTIPOLYGON(((0 0,4 0,4 4,0 0)), ((10 10,12 10,12 12,10 10), (11 10.2,11.5 10.2,11.5 10.3,11 10.2)))",
        "POLYGON Z ((0 0 5, 4 0 5, 4 4 5, 0 0 5))",
    ],
)
def test_polygons_are_those_of_shapely(text: str) -> None:
    expected = shapely.from_wkt(text)
    found = shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in wkt.parse(text).polygons])
    assert found.equals(shapely.force_2d(expected))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one of POINT"),
        ("POINT(nan 1)", "a number is expected at character 7"),
        ("POINT(Infinity 1)", "a number is expected"),
        ("POINT(1e999 1)", "not a finite number"),
        ("POINT(0x1 1)", r"'\)' is expected|a number is expected"),
        ("POINT(1 2", r"'\)' is expected at character 10, found the end"),
        ("POINT(1 2) POINT(1 2)", "nothing may follow"),
        ("POINT EMPTY", "POINT 'EMPTY' is not read"),
        ("POINT M (1 2 3)", "POINT 'M' is not read"),
        ("LINESTRING(1 2, 3 4)", "'LINESTRING' is not read; give one of POINT, MULTIPOINT, POLYGON, MULTIPOLYGON"),
        ("POLYGON((0 0, 1 0, 1 1, 2 2))", "begins with 0 0 is not closed"),
        ("POLYGON((0 0, 1 0, 0 0))", "fewer than 4 positions"),
        ("POINT(\x001 2)", "a number is expected"),
        ("POINT(١ ٢)", "a number is expected"),
        ("SRID=4326;POINT(1 2)", "'SRID' is not read"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        wkt.parse(text)
    assert refused.value.status == 400
    assert refused.value.detail.isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MULTIPOINT(1 2, 3 4, 5 6)", "more than 2 points"),
        ("POLYGON((0 0, 1 0, 1 1, 0 1, 0 0))", "more than 4 vertices"),
        ("POINT(1 2)" + " " * 100, "110 characters; the most is 100"),
    ],
)
def test_too_much_is_told(text: str, message: str) -> None:
    with pytest.raises(TooMuch, match=message):
        wkt.parse(text, WktLimits(characters=100, points=2, vertices=4))


@pytest.mark.parametrize("text", ["POLYGON(" + "(" * 16_000, "POLYGON((" + "1 1," * 4000, "POINT(" + "9" * 16_000])
def test_bombs_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(Refused):
        wkt.parse(text)
    assert time.process_time() - began < 2


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Refused):
        wkt.parse("POLYGON" + text)
