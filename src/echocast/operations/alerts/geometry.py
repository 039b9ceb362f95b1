"""Points, circles and polygons in degrees: which points lie inside, and the outline in few points.

Longitudes are compared without jumps: those of a shape and of the points are within 180 degrees of its first point.
"""

import numpy as np
import pyproj
from jaxtyping import Bool, Float

from echocast import fields

_EARTH = pyproj.Geod(ellps="WGS84")
_CIRCLE_POINTS = 36


def inside(
    longitude: Float[np.ndarray, " points"], latitude: Float[np.ndarray, " points"], rings: list[np.ndarray]
) -> Bool[np.ndarray, " points"]:
    """Which points lie inside a polygon: an odd number of its edges lies to their east (even-odd rule).

    Args:
        longitude: of the points, in degrees.
        latitude: of the points.
        rings: the outline and the holes, each (vertex, 2) of longitude and latitude, closed or not.
    """
    first = float(rings[0][0, 0])
    x, found = fields.near(longitude, first), np.zeros(longitude.shape, bool)
    for ring in rings:
        lon, lat = fields.near(ring[:, 0], first), ring[:, 1]
        for a, b, c, d in zip(lon, lat, np.roll(lon, -1), np.roll(lat, -1), strict=True):
            if b != d:
                crosses = (latitude >= min(b, d)) & (latitude < max(b, d))
                found ^= crosses & (x < a + (latitude - b) * (c - a) / (d - b))
    return found


def distance_km(
    longitude: Float[np.ndarray, " points"], latitude: Float[np.ndarray, " points"], centre: tuple[float, float]
) -> Float[np.ndarray, " points"]:
    """Distances (km) of points from a place on the ellipsoid; infinite for what is not on Earth."""
    on_earth = np.isfinite(longitude) & np.isfinite(latitude)
    far = np.full(longitude.shape, np.inf)
    lon, lat = longitude[on_earth], latitude[on_earth]
    far[on_earth] = _EARTH.inv(lon, lat, np.full_like(lon, centre[0]), np.full_like(lat, centre[1]))[2] / 1000
    return far


def circle(centre: tuple[float, float], radius_km: float) -> Float[np.ndarray, "vertex 2"]:
    """The closed outline of a circle on the ellipsoid, as longitudes and latitudes."""
    turn = np.linspace(0, 360, _CIRCLE_POINTS + 1)
    lon, lat = np.full_like(turn, centre[0]), np.full_like(turn, centre[1])
    x, y, _ = _EARTH.fwd(lon, lat, turn, np.full_like(turn, radius_km * 1000))
    found = np.stack([x, y], axis=1)
    found[-1] = found[0]
    return found


def closed(ring: Float[np.ndarray, "vertex 2"]) -> Float[np.ndarray, "vertex_out 2"]:
    """A ring whose last point is its first."""
    return ring if np.array_equal(ring[0], ring[-1]) else np.concatenate([ring, ring[:1]])


def simplified(ring: Float[np.ndarray, "vertex 2"], most: int) -> Float[np.ndarray, "vertex_out 2"]:
    """A closed ring of at most so many points (4 or more): the least important ones are left out.

    The tolerance of the method of Douglas and Peucker is doubled until the points are few enough.
    """
    ring = closed(ring)
    middle = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
    tolerance = float(np.ptp(ring, axis=0).max()) / 4096
    found = ring
    while len(found) > most:
        kept = np.zeros(len(ring), bool)
        for first, last in ((0, middle), (middle, len(ring) - 1)):
            _keep(ring, first, last, tolerance, kept)
        found, tolerance = ring[kept], tolerance * 2
        if len(found) < 4:  # a sliver: a triangle of its farthest points
            third = int(np.argmax(_offsets(ring, 0, middle)))
            found = ring[[0, *sorted({third, middle}), len(ring) - 1]]
            break
    return found


def _keep(ring: np.ndarray, first: int, last: int, tolerance: float, kept: np.ndarray) -> None:
    """Mark the points between two of them without which the line would be off by more than the tolerance."""
    waiting = [(first, last)]
    while waiting:
        first, last = waiting.pop()
        kept[[first, last]] = True
        if last - first > 1:
            off = _offsets(ring[first : last + 1], 0, last - first)
            at = int(np.argmax(off))
            if off[at] > tolerance:
                waiting += [(first, first + at), (first + at, last)]


def _offsets(points: np.ndarray, first: int, last: int) -> np.ndarray:
    """How far points are from the line between two of them."""
    begin, way = points[first], points[last] - points[first]
    length = float(np.hypot(*way))
    if not length:
        return np.asarray(np.hypot(*(points - begin).T))
    along = points - begin
    return np.asarray(np.abs(along[:, 0] * way[1] - along[:, 1] * way[0]) / length)
