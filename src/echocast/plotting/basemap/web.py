"""The basemap of a domain for the map page, as JSON.

A part is a list of whole numbers: longitude and latitude of its first point, then the differences of each point to the
one before, all in thousandths of a degree. Areas are closed rings, cut to the box of the domain.

>>> content = basemap((24.0, 60.0, 25.0, 61.0))
>>> sorted(content)
['attribution', 'borders', 'box', 'decimals', 'lakes', 'land', 'places', 'regions']
>>> content["places"][0][:3]
['Helsinki', 24.935, 60.17]
"""

from typing import Any

import numpy as np

from echocast.plotting.basemap import ATTRIBUTION, clip, world
from echocast.plotting.basemap.clip import Box

MARGIN_DEGREES = 3.0
"""Around a grid; the map can be moved beyond it."""

_DECIMALS = 3
_FINEST = 1 / 4000
"""Of the width of the box: what is smaller is left out."""
_MOST_PLACES = 3000


def basemap(box: Box) -> dict[str, Any]:
    """Land, lakes, borders and places within a box (west, south, east, north) of degrees; see the module."""
    every = world.layers()
    finest = (box[2] - box[0]) * _FINEST
    made: dict[str, Any] = {"attribution": ATTRIBUTION, "box": list(box), "decimals": _DECIMALS}
    for name in world.LAYERS:
        parts = [part for part in every[name] if np.ptp(part, axis=0).max() >= finest]
        cut = clip.area(parts, box) if name in world.AREAS else clip.lines(parts, box)
        least = 4 if name in world.AREAS else 2
        thinned = [_steps(part, finest) for part in cut]
        made[name] = [steps for steps in thinned if len(steps) >= 2 * least]
    return made | {"places": _places(box)}


def with_margin(box: Box, margin: float = MARGIN_DEGREES) -> Box:
    """A box with a margin; wider to the sides where meridians lie close."""
    west, south, east, north = box
    sides = margin / max(0.1, float(np.cos(np.radians(min(80.0, max(abs(south), abs(north)))))))
    if east - west + 2 * sides >= 360.0:
        west, east = -180.0 + sides, 180.0 - sides
    return west - sides, max(-89.0, south - margin), east + sides, min(89.0, north + margin)


def _steps(part: np.ndarray, finest: float) -> list[int]:
    """A part as differences, without points that lie in the same cell of a raster as the one before."""
    cells = np.floor(part / max(finest, 1e-9))
    keep = np.append(True, (np.diff(cells, axis=0) != 0).any(axis=1))
    keep[-1] = True
    whole = np.round(part[keep] * 10**_DECIMALS).astype(int)
    steps: list[int] = np.diff(whole, axis=0, prepend=[[0, 0]]).ravel().tolist()
    return steps


def _places(box: Box) -> list[list[Any]]:
    west, south, east, north = box
    found: list[list[Any]] = []
    for place in world.places():
        lon = west + (place.longitude - west) % 360.0
        if south <= place.latitude <= north and lon <= east and len(found) < _MOST_PLACES:
            found.append([place.name, round(lon, _DECIMALS), place.latitude, place.population])
    return found
