"""Values of a grid at stations: of the cell that a station lies in, and of the eight around it.

>>> where = cells(field, series)  # doctest: +SKIP
>>> at(field.values, where, "nearest").shape  # doctest: +SKIP
(288, 11)
"""

import logging
from dataclasses import dataclass

import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float, Int

from echocast import fields
from echocast.errors import DataError, GridMismatch

log = logging.getLogger(__name__)

WAYS = ("nearest", "mean", "best")
"""How the radar is taken at a station: its cell, the mean of 3 x 3 cells, or the one of those nearest the gauge."""
_LEAST_OF_NINE = 5


@dataclass(frozen=True)
class Cells:
    """Which cell of a grid each station lies in.

    `rows` and `columns` are (station); `stations` are the names, `inside` their numbers in the series that was given;
    `outside` are the names of the stations that lie in no cell, and `on_edge` of those without a neighbour on a side.
    """

    rows: Int[np.ndarray, "station"]
    columns: Int[np.ndarray, "station"]
    stations: tuple[str, ...]
    inside: Int[np.ndarray, "station"]
    outside: tuple[str, ...]
    on_edge: tuple[str, ...]


def cells(field: xr.DataArray, series: xr.DataArray) -> Cells:
    """The cell of each station; those outside the grid are left out, which the log tells.

    Raises:
        GridMismatch: no place lies in the grid.
    """
    x, y = projected(field, series.longitude.values, series.latitude.values)
    rows, columns = _cell(field.y.values, y), _cell(field.x.values, x)
    height, width = field.sizes["y"], field.sizes["x"]
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    names = np.array([str(name) for name in series.station.values], object)
    if not within.any():
        found = ", ".join(f"{name} {lon:.2f} E {lat:.2f} N" for name, (lon, lat) in fields.corners(field).items())
        raise GridMismatch(
            f"no place lies in the grid: {names[0]} is at {series.longitude.values[0]:.2f} E"
            f" {series.latitude.values[0]:.2f} N, and the corners of the grid are: {found}"
        )
    if not within.all():
        log.warning("stations outside the grid are left out: %s", ", ".join(names[~within]))
    edge = within & ((rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1))
    inside = np.flatnonzero(within)
    return Cells(rows[inside], columns[inside], tuple(names[inside]), inside, tuple(names[~within]), tuple(names[edge]))


def projected(field: xr.DataArray, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes (degrees, WGS 84) as x and y of a field's projection."""
    reference = fields.crs(field)
    to_grid = pyproj.Transformer.from_crs("EPSG:4326", reference, always_xy=True)
    x, y = to_grid.transform(np.asarray(longitude, np.float64), np.asarray(latitude, np.float64))
    if fields.in_degrees(reference):
        x = fields.near(x, float(field.x.values.mean()))
    return np.asarray(x), np.asarray(y)


def position(axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where coordinates lie on an axis: 0 is the centre of its first cell, 1 that of the second."""
    spacing = (axis[-1] - axis[0]) / max(axis.size - 1, 1) or 1.0
    return np.asarray((values - axis[0]) / spacing)


def _cell(axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The number of the cell that each value lies in; -1 or less, or more than there are, outside."""
    found = np.where(np.isfinite(values), position(axis, np.where(np.isfinite(values), values, 0.0)), -1e9)
    return np.asarray(np.floor(np.clip(found, -1e9, 1e9) + 0.5).astype(int))


def at(
    values: Float[np.ndarray, "*more y x"],
    where: Cells,
    way: str,
    gauge: Float[np.ndarray, "*more station"] | None = None,
) -> Float[np.ndarray, "*more station"]:
    """A grid's values at stations.

    Args:
        values: any axes before y and x.
        where: of `cells`, on the same grid.
        way: ``nearest`` the cell of the station; ``mean`` of its 3 x 3 cells, where at least five of them and the cell
            itself are known; ``best`` the one of the 3 x 3 cells that is nearest to the gauge, which needs `gauge`.
        gauge: what the stations measured, in the unit of the values.

    Returns:
        NaN where the station's own cell is NaN; of ``best`` also where the gauge is.
    """
    return chosen(around(values, where), way, gauge)


def around(values: Float[np.ndarray, "*more y x"], where: Cells) -> Float[np.ndarray, "*more station cell"]:
    """The nine cells around each station, its own the fifth; NaN beyond the edge of the grid."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)], constant_values=np.nan)
    rows = where.rows[:, None] + 1 + np.repeat((-1, 0, 1), 3)
    columns = where.columns[:, None] + 1 + np.tile((-1, 0, 1), 3)
    return padded[..., rows, columns]


def chosen(
    nine: Float[np.ndarray, "*more station cell"], way: str, gauge: Float[np.ndarray, "*gauge station"] | None = None
) -> Float[np.ndarray, "*more station"]:
    """One value of nine cells; as `at`."""
    if way not in WAYS:
        raise DataError(f"{way!r} is no way to take the radar at a station; there are: {', '.join(WAYS)}")
    own = nine[..., 4]
    if way == "nearest":
        return own
    known = np.isfinite(nine)
    if way == "mean":
        count = known.sum(axis=-1)
        total = np.where(known, nine, 0.0).sum(axis=-1)
        enough = (count >= _LEAST_OF_NINE) & np.isfinite(own)
        return np.where(enough, total / np.maximum(count, 1), np.nan).astype(nine.dtype)
    if gauge is None:
        raise ValueError("the best of the neighbourhood needs what the gauges measured")
    away = np.where(known, np.abs(nine - gauge[..., None]), np.inf)
    nearest = np.take_along_axis(nine, away.argmin(axis=-1)[..., None], axis=-1)[..., 0]
    return np.where(np.isfinite(own) & np.isfinite(gauge), nearest, np.nan).astype(nine.dtype)
