"""Which places lie in polygons or boxes of degrees.

A place on the left or lower edge counts as inside, one on the right or upper edge as outside, so that of two polygons
with a common edge one has it. Edges are straight in degrees. Longitudes go round: a polygon may be written beyond 180.

>>> square = ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (0.0, 0.0))
>>> in_polygons(np.array([1.0, 361.0, 3.0]), np.array([1.0, 1.0, 1.0]), ((square,),)).tolist()
[True, True, False]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from echocast.server.edr.refusals import Refused, TooMuch, shown
from echocast.server.edr.wkt import Geometry, Polygon

MOST_WORK = 100_000_000
"""Comparisons of an edge and a cell in one query; a polygon of 1000 vertices on a national grid takes some millions."""


@dataclass(frozen=True)
class Box:
    """A box of degrees, or of x and y; in degrees west may be greater than east: across the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, x: np.ndarray, y: np.ndarray, *, degrees: bool) -> np.ndarray:
        """Whether places lie in it, edges too."""
        with np.errstate(invalid="ignore"):
            within = (y >= self.south) & (y <= self.north)
            if not degrees:
                return np.asarray(within & (x >= self.west) & (x <= self.east))
            return np.asarray(within & ((x - self.west) % 360 <= self.width))

    def meets(self, west: np.ndarray, south: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Whether boxes of degrees, with a west edge and a width each, have a place in common with it."""
        with np.errstate(invalid="ignore"):
            beside = ((west - self.west) % 360 <= self.width) | ((self.west - west) % 360 <= width)
            return np.asarray(beside & (south <= self.north) & (south + height >= self.south))

    def encloses(self, west: np.ndarray, south: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Whether boxes of degrees lie wholly in it; told only of such as are narrower than half the Earth."""
        with np.errstate(invalid="ignore"):
            beside = (self.width >= 360) | ((west - self.west) % 360 + width <= self.width)
            return np.asarray(beside & (width < 180) & (south >= self.south) & (south + height <= self.north))

    @property
    def width(self) -> float:
        """From west to east in degrees, at most 360."""
        return 360.0 if self.east - self.west >= 360 else (self.east - self.west) % 360


def box(text: str, *, degrees: bool) -> Box:
    """A `bbox` of four numbers, or of six, whose heights are ignored; raises `Refused`."""
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise Refused(f"bbox: {shown(text)} is not four numbers west,south,east,north, such as 7,46.5,9,47.8")
    west, south, east, north = numbers if len(numbers) == 4 else numbers[:2] + numbers[3:5]
    if south >= north or west == east or (west > east and not degrees):
        raise Refused(f"bbox: {shown(text)} has no width or height; give west,south,east,north with south below north")
    if degrees and (max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 360):
        raise Refused(f"bbox: {shown(text)} is not in degrees; for x and y of the projection add crs=native")
    return Box(west, south, east, north)


def box_around(polygon: Polygon) -> Box:
    """The box of a polygon's outer ring; in degrees it may reach beyond 180."""
    x, y = zip(*polygon[0], strict=True)
    return Box(min(x), min(y), max(x), max(y))


def check_degrees(geometry: Geometry) -> None:
    """Raise `Refused` unless all positions are degrees and no edge goes the long way round the Earth."""
    rings = [ring for polygon in geometry.polygons for ring in polygon]
    for x, y in (*geometry.points, *(position for ring in rings for position in ring)):
        if abs(y) > 90 or abs(x) > 360:
            raise Refused(f"coords: {x:g} {y:g} is not longitude and latitude; for x and y of the grid add crs=native")
    for ring in rings:
        for (x, _), (next_x, _) in pairwise(ring):
            if 180 < abs(next_x - x) < 360:
                raise Refused(
                    f"coords: the edge from longitude {x:g} to {next_x:g} is longer than half the Earth; a polygon"
                    " across the antimeridian is written beyond 180 (179 to 181), a wide one with more vertices"
                )


def in_polygons(x: np.ndarray, y: np.ndarray, polygons: Sequence[Polygon], *, degrees: bool = True) -> np.ndarray:
    """Whether each place (n,) lies in one of the polygons and not in a hole of it; raises `TooMuch`."""
    with np.errstate(invalid="ignore"):
        order = np.argsort(y, kind="stable")
    sorted_y = y[order]
    _check_work(sorted_y, polygons)
    found = np.zeros(y.size, bool)
    for polygon in polygons:
        west = min(longitude for longitude, _ in polygon[0])
        with np.errstate(invalid="ignore"):
            sorted_x = west + (x[order] - west) % 360 if degrees else x[order]
        found |= _odd(sorted_x, sorted_y, polygon)
    inside = np.empty_like(found)
    inside[order] = found
    return inside


def _odd(x: np.ndarray, y: np.ndarray, polygon: Polygon) -> np.ndarray:
    """Whether a ray to the east from each place crosses an odd number of edges; places ascend in y."""
    odd = np.zeros(y.size, bool)
    for ring in polygon:
        for (x1, y1), (x2, y2) in pairwise(ring):
            if y1 == y2:
                continue
            lower, upper = np.searchsorted(y, (min(y1, y2), max(y1, y2)), side="left")
            part = slice(int(lower), int(upper))
            odd[part] ^= x[part] < x1 + (y[part] - y1) * ((x2 - x1) / (y2 - y1))
    return odd


def _check_work(y: np.ndarray, polygons: Sequence[Polygon]) -> None:
    """Raise `TooMuch` if so many edges pass so many cells that it would take seconds."""
    work = 0
    for polygon in polygons:
        for ring in polygon:
            heights = np.searchsorted(y, [latitude for _, latitude in ring])
            work += int(np.abs(np.diff(heights)).sum())
    if work > MOST_WORK:
        raise TooMuch("coords: the edges pass too many cells; give a polygon with fewer or shorter edges")
