"""Projections as radar files write them, in metres whatever they are in, and the corners of grids on Earth."""

from functools import lru_cache

import pyproj

from echocast import fields
from echocast.errors import GridMismatch

_RADII = ("+a", "+b", "+R")
_EARTH_KM = (6000.0, 7000.0)
_MOST_OFF = 0.5
"""How far a corner may lie from where the size and number of cells put it, in cells."""


def in_metres(text: str) -> pyproj.CRS:
    """A projection whose x and y are in metres; radii of the Earth in kilometres, with or without ``+units=km``, too.

    Raises:
        ValueError: it is in another unit, which its text does not let be changed.
    """
    crs = fields.known_crs(" ".join(_word_in_metres(word) for word in text.split()))
    if not crs.is_geographic and crs.axis_info and crs.axis_info[0].unit_conversion_factor != 1.0:
        raise ValueError(f"the projection {text!r} is in {crs.axis_info[0].unit_name}, not in metres or kilometres")
    return crs


def place(crs: pyproj.CRS, longitude: float, latitude: float) -> tuple[float, float]:
    """A place on Earth (degrees, on the projection's own ellipsoid) as x and y of a projection."""
    x, y = _to_grid(crs).transform(longitude, latitude, errcheck=True)
    return float(x), float(y)


def check_corners(
    corners: dict[str, tuple[float, float]],
    x: tuple[float, float],
    y: tuple[float, float],
    shape: tuple[int, int],
) -> None:
    """Corners of a file against those of its grid.

    Args:
        corners: x and y of the file's corners by their names: ``UL``, ``UR``, ``LL``, ``LR``.
        x: where the first column begins and the last ends.
        y: where the first row begins and the last ends.
        shape: rows and columns.

    Raises:
        GridMismatch: one lies more than half a cell elsewhere.
    """
    height, width = abs(y[1] - y[0]) / shape[0], abs(x[1] - x[0]) / shape[1]
    for name, (found_x, found_y) in corners.items():
        off = max(abs(found_x - x[name[1] == "R"]) / width, abs(found_y - y[name[0] == "L"]) / height)
        if not off <= _MOST_OFF:
            raise GridMismatch(
                f"its corner {name} is {off:.3g} cells off: corners, cells of {width:g} x {height:g} and their number"
                f" ({shape[1]} x {shape[0]}) contradict each other; correct what is wrong in the file"
            )


@lru_cache(maxsize=16)
def _to_grid(crs: pyproj.CRS) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(crs.geodetic_crs or "EPSG:4326", crs, always_xy=True)


def _word_in_metres(word: str) -> str:
    name, _, value = word.partition("=")
    if name in _RADII and _EARTH_KM[0] <= float(value) <= _EARTH_KM[1]:
        return f"{name}={float(value) * 1000.0:.3f}"
    in_km = (name == "+units" and value == "km") or (name == "+to_meter" and float(value) == 1000.0)
    return "+units=m" if in_km else word
