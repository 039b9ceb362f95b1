"""Average blocks of cells."""

import numpy as np
import xarray as xr

from echocast.archive.transforms._cells import mean_where_observed, on_grid
from echocast.errors import DataError


def coarsen(field: xr.DataArray, *, factor: int) -> xr.DataArray:
    """Means of blocks of `factor` x `factor` cells; rows and columns that fill no block are cut off at the end."""
    rows, columns = field.sizes["y"] // factor if factor > 0 else 0, field.sizes["x"] // max(factor, 1)
    if factor < 1 or min(rows, columns) < 1:
        raise DataError(
            f"coarsen factor={factor}: must be from 1 to the number of rows and columns of the field,"
            f" {field.sizes['y']} x {field.sizes['x']}"
        )
    cut = field.values[:, : rows * factor, : columns * factor]
    blocks = cut.reshape(len(cut), rows, factor, columns, factor)
    observed = np.isfinite(blocks)
    count = observed.sum((2, 4))
    total = np.where(observed, blocks, 0.0).sum((2, 4), dtype=np.float64)
    mean = mean_where_observed(total, count.astype(np.float64), factor * factor)
    y = field.y.values[: rows * factor].reshape(rows, factor).mean(1)
    x = field.x.values[: columns * factor].reshape(columns, factor).mean(1)
    return on_grid(field, mean, y, x)
