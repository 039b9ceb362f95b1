"""Resize to another number of cells over the same area."""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.archive.transforms._cells import mean_where_observed, on_grid
from echocast.errors import DataError


def resize(field: xr.DataArray, *, height: int, width: int | None = None) -> xr.DataArray:
    """The same area in `height` x `width` cells, each the mean of the cells it overlaps, weighted by the overlap.

    Without `width` the cells keep their shape as nearly as whole numbers allow. A class number is that of the old cell
    under the middle of the new one, since a mean of classes is none.
    """
    width = max(1, round(height * field.sizes["x"] / field.sizes["y"])) if width is None else width
    if min(height, width) < 1:
        raise DataError(f"resize height={height} width={width}: both must be at least 1")
    y, x = (_stretched(field.coords[axis].values, count) for axis, count in (("y", height), ("x", width)))
    if fields.is_whole(field):
        rows, columns = (_middles(n, m) for n, m in ((field.sizes["y"], height), (field.sizes["x"], width)))
        return on_grid(field, field.values[:, rows][..., columns], y, x)
    down, across = (_overlaps(n, m) for n, m in ((field.sizes["y"], height), (field.sizes["x"], width)))
    observed = np.isfinite(field.values)
    total = np.einsum("hy,tyx,wx->thw", down, np.where(observed, field.values, 0.0), across, optimize=True)
    weight = np.einsum("hy,tyx,wx->thw", down, observed.astype(np.float64), across, optimize=True)
    area = (field.sizes["y"] / height) * (field.sizes["x"] / width)
    return on_grid(field, mean_where_observed(total, weight, area), y, x)


def _overlaps(old: int, new: int) -> np.ndarray:
    """How much of each old cell (in old cells) lies in each new one, (new, old)."""
    edges = np.linspace(0.0, old, new + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cells = np.arange(old)[None]
    return np.asarray(np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0.0, None))


def _middles(old: int, new: int) -> np.ndarray:
    """The old cell under the middle of each new one."""
    return np.asarray(np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1))


def _stretched(axis: np.ndarray, count: int) -> np.ndarray:
    """The centres of `count` cells over the same extent."""
    step = (axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    start = axis[0] - step / 2
    return np.asarray(start + (np.arange(count) + 0.5) * step * len(axis) / count)
