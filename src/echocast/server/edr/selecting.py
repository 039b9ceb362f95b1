"""From places, polygons and boxes to the cells of the grid.

The cells of an area are those whose centre lies inside. Without `crs` coordinates are longitude and latitude, and an
area or cube is answered in the projection of the grid, as it is; with ``crs=CRS84`` on a regular grid of degrees, with
about the cells' size, each node with the value of the cell that holds it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from echocast.operations.grid import Axis, Grid
from echocast.server.edr import blocks, inside, projection
from echocast.server.edr.coverage import CRS84, NATIVE, Points, Raster, strips
from echocast.server.edr.inside import Box
from echocast.server.edr.refusals import TooMuch
from echocast.server.edr.wkt import Geometry

Holds = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Whether places (n,) were asked for, from their x and y."""
_STRIP = 32
"""Rows that are looked at together, so that little is held at a time."""


@dataclass(frozen=True)
class Wanted:
    """The cells that were asked for.

    Args:
        holds: whether places are asked for, in degrees or in x and y.
        boxes: all that is asked for lies in one of them.
        degrees: which of both.
        is_box: whether all that lies in the boxes is asked for.
    """

    holds: Holds
    boxes: tuple[Box, ...]
    degrees: bool
    is_box: bool = False


def points(geometry: Geometry, grid: Grid, *, degrees: bool, many: bool) -> Points:
    """The cells that hold places; raises `Refused`."""
    if degrees:
        inside.check_degrees(geometry)
    x, y = np.array(geometry.points, np.float64).T
    rows, columns = grid.cells(x, y) if degrees else projection.cells(grid, x, y)
    return Points(x, y, CRS84 if degrees else NATIVE, many, rows, columns)


def area(geometry: Geometry, *, degrees: bool) -> Wanted:
    """The cells of polygons; raises `Refused`."""
    if degrees:
        inside.check_degrees(geometry)
    polygons = geometry.polygons
    boxes = tuple(inside.box_around(polygon) for polygon in polygons)
    return Wanted(lambda x, y: inside.in_polygons(x, y, polygons, degrees=degrees), boxes, degrees)


def cube(text: str, *, degrees: bool) -> Wanted:
    """The cells of a `bbox`; raises `Refused`."""
    box = inside.box(text, degrees=degrees)
    return Wanted(lambda x, y: box.holds(x, y, degrees=degrees), (box,), degrees, is_box=True)


def native(wanted: Wanted, grid: Grid) -> Raster | None:
    """The smallest rectangle of cells that holds all that were asked for; none if there is no such cell."""
    mask = np.zeros(grid.shape, bool)
    x, y = projection.centres(grid.x), projection.centres(grid.y)
    enclosed = blocks.enclosed(wanted.boxes[0], grid) if wanted.is_box and wanted.degrees else None
    for rows, columns in blocks.near(wanted.boxes, grid, degrees=wanted.degrees):
        if enclosed is not None and enclosed[blocks.numbers(rows), blocks.numbers(columns)].all():
            mask[rows, columns] = True  # no cell needs to be looked at
            continue
        place_x, place_y = (one.ravel() for one in np.meshgrid(x[columns], y[rows]))
        degrees = projection.degrees(grid, place_x, place_y)
        held = wanted.holds(*(degrees if wanted.degrees else (place_x, place_y)))
        mask[rows, columns] = (held & np.isfinite(degrees[0])).reshape(mask[rows, columns].shape)
    found, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not found.size:
        return None
    return _cut(mask, grid, slice(int(found[0]), int(found[-1]) + 1), slice(int(across[0]), int(across[-1]) + 1))


def _cut(mask: np.ndarray, grid: Grid, down: slice, across: slice) -> Raster:
    chosen = mask[down, across].copy()
    number = _number(grid)
    row, column = np.arange(down.start, down.stop, dtype=number), np.arange(across.start, across.stop, dtype=number)
    return Raster(
        projection.part(grid.x, across.start, chosen.shape[1]),
        projection.part(grid.y, down.start, chosen.shape[0]),
        NATIVE,
        chosen,
        np.where(chosen, row[:, None], number(-1)),
        np.where(chosen, column, number(-1)),
    )


def _number(grid: Grid) -> type[np.int16] | type[np.int32]:
    """The smallest type for rows and columns: there are as many of them as values."""
    return np.int16 if max(grid.shape) < 2**15 else np.int32


def in_degrees(found: Raster, wanted: Wanted, grid: Grid, most: int) -> Raster | None:
    """A grid of degrees over cells that were found; none if no node of it lies in what was asked for.

    Raises:
        TooMuch: it would have more than `most` nodes.
    """
    x, y = _axes_of_degrees(found, grid)
    if x.size * y.size > most:
        raise TooMuch(f"crs=CRS84 would give {x.size * y.size:,} nodes here, the most is {most:,}; ask for less")
    rows, columns = (np.full((y.size, x.size), -1, _number(grid)) for _ in range(2))
    for strip in strips(y.size, _STRIP):
        place_x, place_y = (one.ravel() for one in np.meshgrid(projection.centres(x), projection.centres(y)[strip]))
        row, column = grid.cells(place_x, place_y)
        held = wanted.holds(place_x, place_y) & (row >= 0)
        rows[strip], columns[strip] = (np.where(held, one, -1).reshape(-1, x.size) for one in (row, column))
    return Raster(x, y, CRS84, rows >= 0, rows, columns) if (rows >= 0).any() else None


def _axes_of_degrees(found: Raster, grid: Grid) -> tuple[Axis, Axis]:
    """Longitudes to the east and latitudes to the south over the cells that were found."""
    middle = 0.0
    bounds: list[tuple[float, float, float, float]] = []
    x, y = projection.centres(found.x), projection.centres(found.y)
    for strip in strips(y.size, _STRIP):
        place_x, place_y = np.meshgrid(x, y[strip])
        chosen = found.inside[strip]
        if chosen.any():
            longitude, latitude = projection.degrees(grid, place_x[chosen], place_y[chosen])
            middle = middle if bounds else float(longitude[0])
            longitude = middle + (longitude - middle + 180) % 360 - 180
            bounds.append((longitude.min(), latitude.min(), longitude.max(), latitude.max()))
    west, south = np.min(bounds, axis=0)[:2].tolist()
    east, north = np.max(bounds, axis=0)[2:].tolist()
    step_x, step_y = projection.steps_in_degrees(grid, (south + north) / 2)
    return _axis(west, east, step_x), _axis(north, south, -step_y)


def _axis(first: float, last: float, step: float) -> Axis:
    return Axis(round(first, 6), step, round((last - first) / step) + 1)
