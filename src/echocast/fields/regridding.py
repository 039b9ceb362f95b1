"""A field on the grid of another: rain so that its total stays, what else is there by bilinear interpolation.

A cell of the target is cut into equal parts, and each part takes the value of the cell of the source that its middle
lies in: so a target cell is the mean of the source by area, for any pair of projections, without polygons. A part is
about an eighth as wide as a cell of the source, and a target cell has at least four by four. The error is that of parts
that a border of cells cuts: the total of speckled rain stays within 1 % (`tests/fields/test_regridding.py`).

>>> import numpy as np
>>> from echocast.fields import make
>>> time = [np.datetime64("2018-05-01", "ns")]
>>> coarse = make(np.array([[[4.0, 0.0]]]), time=time, y=[0.5], x=[0.5, 1.5], crs="EPSG:4326")
>>> fine = make(np.zeros((1, 1, 2)), time=time, y=[0.5], x=[0.75, 1.25], crs="EPSG:4326")
>>> regridded(coarse, fine).values.tolist()
[[[4.0, 0.0]]]
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast.fields.grid import crs, degrees, in_degrees, project
from echocast.fields.longitude import near

_LEAST_PARTS, _MOST_PARTS = 4, 64
_LEAST_KNOWN = 0.5
"""A cell is known if so much of it, or of the weight of its neighbours, is."""
_AROUND = 359.0
CONSERVED = ("rainfall_rate", "rainfall_amount")
"""The quantities whose total stays."""


@dataclass(frozen=True)
class Places:
    """Where the cells of a target lie on the grid of a source: row and column, as broken numbers, (y, x) each.

    Args:
        rows: 0 is the middle of the first row.
        columns: the same of the columns.
        shape: rows and columns of the source.
        around: whether its columns go once around the Earth.
    """

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]
    around: bool

    @classmethod
    def of(cls, source: xr.DataArray, target: xr.DataArray) -> "Places":
        """Where the cells of `target` lie on the grid of `source`; only their coordinates are looked at."""
        x, y = project(source, *degrees(target))
        columns, around = source.x.values, False
        if in_degrees(crs(source)):
            x = near(x, float((columns[0] + columns[-1]) / 2))
            around = columns.size * abs(_spacing(columns)) > _AROUND
        rows = source.y.values
        return cls(
            (y - rows[0]) / _spacing(rows), (x - columns[0]) / _spacing(columns), (rows.size, columns.size), around
        )

    def covered(self) -> np.ndarray:
        """Which cells of the target have their middle on the source, (y, x)."""
        with np.errstate(invalid="ignore"):
            inside = (np.abs(self.rows - (self.shape[0] - 1) / 2) <= self.shape[0] / 2) & np.isfinite(self.columns)
            if not self.around:
                inside &= np.abs(self.columns - (self.shape[1] - 1) / 2) <= self.shape[1] / 2
        return np.asarray(inside)

    def conservative(self, values: np.ndarray) -> np.ndarray:
        """Means by area of values (..., y, x), NaN where less than half of a cell is known."""
        (row_y, row_x), (column_y, column_x) = _slope(self.rows), _slope(self.columns)
        across = max(float(np.nanmedian(np.hypot(row_y, column_y))), float(np.nanmedian(np.hypot(row_x, column_x))))
        parts = int(np.clip(np.ceil(8.0 * across) + 1, _LEAST_PARTS, _MOST_PARTS))
        total = np.zeros((*values.shape[:-2], *self.rows.shape), np.float32)
        known = np.zeros(total.shape, np.float32)
        for down in (np.arange(parts) + 0.5) / parts - 0.5:
            for right in (np.arange(parts) + 0.5) / parts - 0.5:
                taken = self._at(
                    values, self.rows + down * row_y + right * row_x, self.columns + down * column_y + right * column_x
                )
                seen = np.isfinite(taken)
                total += np.where(seen, taken, 0.0)
                known += seen
        share = known / parts**2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(share >= _LEAST_KNOWN, total / known, np.nan), np.float32)

    def bilinear(self, values: np.ndarray) -> np.ndarray:
        """Bilinear values of (..., y, x); beyond the middles of the outer cells they are those of the outer cells."""
        rows = np.where(self.covered(), np.clip(self.rows, 0, self.shape[0] - 1), np.nan)
        columns = self.columns if self.around else np.clip(self.columns, 0, self.shape[1] - 1)
        total = np.zeros((*values.shape[:-2], *rows.shape), np.float64)
        weights = np.zeros(total.shape)
        with np.errstate(invalid="ignore"):
            top, left = np.floor(rows), np.floor(columns)
        for row, down in ((top, 1.0 - (rows - top)), (top + 1, rows - top)):
            for column, right in ((left, 1.0 - (columns - left)), (left + 1, columns - left)):
                taken = self._at(values, np.minimum(row, self.shape[0] - 1), column, clipped=True)
                weight = np.where(np.isfinite(taken), down * right, 0.0)
                total += np.where(weight > 0, taken, 0.0) * weight
                weights += weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(weights >= _LEAST_KNOWN, total / weights, np.nan), np.float32)

    def _at(self, values: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, clipped: bool = False) -> np.ndarray:
        """The values of the cells that places lie in, NaN beyond the grid."""
        with np.errstate(invalid="ignore"):
            known = np.isfinite(rows) & np.isfinite(columns)
            row = np.where(known, np.floor(rows + 0.5), -1).astype(np.int64)
            column = np.where(known, np.floor(columns + 0.5), -1).astype(np.int64)
        if self.around:
            column = np.where(known, column % self.shape[1], -1)
        elif clipped:
            column = np.where(known, np.clip(column, 0, self.shape[1] - 1), -1)
        inside = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        taken = values[..., np.where(inside, row, 0), np.where(inside, column, 0)]
        return np.where(inside, taken, np.float32(np.nan))


def regridded(field: xr.DataArray, target: xr.DataArray, places: Places | None = None) -> xr.DataArray:
    """A field, or a forecast, on the grid of another.

    Rain keeps its total; directions are interpolated as unit vectors; all else is bilinear.

    Args:
        field: on any grid that lies on Earth.
        target: a field on the grid wanted, of which only the coordinates are looked at.
        places: where its cells lie, if they are known already.

    Returns:
        The same quantity, NaN beyond the grid of `field`.
    """
    places = places or Places.of(field, target)
    make: Callable[[np.ndarray], np.ndarray] = places.conservative if field.name in CONSERVED else places.bilinear
    if field.attrs.get("units") == "degree":
        angle = np.deg2rad(field.values.astype(np.float64))
        values = np.rad2deg(np.arctan2(make(np.sin(angle)), make(np.cos(angle)))) % 360.0
    else:
        values = make(field.values)
    coords = {name: c for name, c in field.coords.items() if not {"y", "x"} & set(c.dims) and name != "crs"}
    coords |= {name: target.coords[name] for name in ("y", "x", "crs")}
    return xr.DataArray(values.astype(np.float32), dims=field.dims, coords=coords, name=field.name, attrs=field.attrs)


def _spacing(centres: np.ndarray) -> float:
    return float((centres[-1] - centres[0]) / max(centres.size - 1, 1)) or 1.0


def _slope(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How places change from one row of the target to the next, and from one column to the next."""
    down = np.gradient(places, axis=0) if places.shape[0] > 1 else np.zeros_like(places)
    right = np.gradient(places, axis=1) if places.shape[1] > 1 else np.zeros_like(places)
    return down, right
