"""Move a field to another grid and projection."""

from functools import lru_cache

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.archive.transforms._cells import mean_where_observed, on_grid
from echocast.errors import DataError


def regrid(
    field: xr.DataArray, *, crs: str, left: float, top: float, cell: float, height: int, width: int
) -> xr.DataArray:
    """The field on another grid and projection.

    Each new cell is the mean of the old cells under points spread evenly over it, at least two per old cell and
    direction, which is close to the mean weighted by overlap and keeps the rain of an area; where the new cells are
    finer than the old ones, each takes the nearest.

    Args:
        crs: the projection, as pyproj understands it, such as EPSG:3067.
        left: outer edge of the grid in the unit of `crs`.
        top: the same.
        cell: size of a cell in the unit of `crs`.
        height: number of rows.
        width: number of columns.

    Raises:
        DataError: there is no such grid or projection, or it lies outside the field.
    """
    if min(height, width) < 1 or not cell > 0:
        raise DataError(
            f"regrid height={height} width={width} cell={cell:g}: height and width must be at least 1, cell above 0"
        )
    try:
        target = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as bad:
        raise DataError(f"regrid crs={crs!r}: pyproj knows no such projection ({bad})") from bad
    y, x = top - (np.arange(height) + 0.5) * cell, left + (np.arange(width) + 0.5) * cell
    where = _source_cells(
        fields.crs(field).to_wkt(), target.to_wkt(), tuple(_axis(field.y.values)), tuple(_axis(field.x.values)),
        (left, top, cell, height, width),
    )  # fmt: skip
    if (where < 0).all():
        raise DataError(f"regrid: the grid at left={left:g} top={top:g} in {target.name!r} lies outside the field")
    values = np.concatenate(
        [field.values.reshape(len(field), -1), np.full((len(field), 1), np.nan, np.float32)], axis=1
    )
    new = np.empty((len(field), height, width), np.float32)
    for number, frame in enumerate(values):
        sampled = frame[where]
        observed = np.isfinite(sampled)
        total = np.where(observed, sampled, 0.0).sum(0, dtype=np.float64)
        new[number] = mean_where_observed(total, observed.sum(0).astype(np.float64), len(where)).reshape(height, width)
    return on_grid(field, new, y, x, target)


def _axis(values: np.ndarray) -> tuple[float, float, int]:
    """First centre, spacing and number of cells of an evenly spaced axis."""
    return float(values[0]), float(values[-1] - values[0]) / max(len(values) - 1, 1), len(values)


@lru_cache(maxsize=4)
def _source_cells(
    source: str,
    target: str,
    y_axis: tuple[float, float, int],
    x_axis: tuple[float, float, int],
    grid: tuple[float, float, float, int, int],
) -> np.ndarray:
    """The old cell under each sampling point (first axis) of each new cell, by its number; -1 outside the field."""
    left, top, cell, height, width = grid
    old, new = pyproj.CRS.from_wkt(source), pyproj.CRS.from_wkt(target)
    back = pyproj.Transformer.from_crs(new, old, always_xy=True)
    middle = (left + cell * width / 2, top - cell * height / 2)
    a, b = (np.array(back.transform(middle[0] + d, middle[1] + e)) for d, e in ((0.0, 0.0), (cell, 0.0)))
    ratio = float(np.hypot(*(b - a))) / abs(x_axis[1] or 1.0)
    points = int(np.clip(np.ceil(2 * ratio), 1, 16)) if np.isfinite(ratio) else 1
    found = np.empty((points * points, height * width), np.int32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    for number in range(points * points):
        i, j = divmod(number, points)
        px = left + (columns + (j + 0.5) / points) * cell
        py = top - (rows + (i + 0.5) / points) * cell
        ox, oy = back.transform(px.ravel(), py.ravel())
        ox = fields.near(ox, x_axis[0] + x_axis[1] * (x_axis[2] - 1) / 2) if fields.in_degrees(old) else ox
        with np.errstate(invalid="ignore"):
            column = np.round((np.where(np.isfinite(ox), ox, 1e30) - x_axis[0]) / (x_axis[1] or 1.0))
            row = np.round((np.where(np.isfinite(oy), oy, 1e30) - y_axis[0]) / (y_axis[1] or 1.0))
        inside = (column >= 0) & (column < x_axis[2]) & (row >= 0) & (row < y_axis[2])
        found[number] = np.where(inside, row * x_axis[2] + column, -1)
    return found
