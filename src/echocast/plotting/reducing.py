"""Large grids reduced for pictures: means over blocks of cells, so that no more is kept and drawn than can be seen.

>>> means(np.array([[1.0, 3.0, 9.0], [np.nan, 2.0, 9.0]], np.float32), 2).tolist()
[[2.0]]
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

PIXELS = 640
"""Cells along the longer side of a picture, about."""


def factor(field: xr.DataArray, pixels: int = PIXELS) -> int:
    """How many cells of a field, along a side, become one of a picture; 1 for all but large grids."""
    return max(1, max(field.sizes["y"], field.sizes["x"]) // pixels)


def means(values: Float[np.ndarray, "*frames y x"], by: int) -> Float[np.ndarray, "*frames rows columns"]:
    """Means over what is known of blocks of `by` x `by` cells, NaN where nothing is; the rest at the end is cut off."""
    if by == 1:
        return values
    rows, columns = values.shape[-2] // by, values.shape[-1] // by
    blocks = values[..., : rows * by, : columns * by].reshape(*values.shape[:-2], rows, by, columns, by)
    known = np.isfinite(blocks)
    count = known.sum((-3, -1))
    total = np.where(known, blocks, 0.0).sum((-3, -1))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), np.float32)


def reduced(field: xr.DataArray, values: Float[np.ndarray, "*frames rows columns"], by: int) -> xr.DataArray:
    """A field with other values, which are the `means` of its own over blocks of `by` x `by` cells."""
    if by == 1:
        return field.copy(data=values)
    axes, extra = {}, [name for name, one in field.coords.items() if {"y", "x"} <= set(one.dims)]
    field = field.drop_vars(extra)  # such as the expected rain, of which a block would need a mean of its own
    for number, axis in ((-2, "y"), (-1, "x")):
        kept = field[axis].values[: values.shape[number] * by].reshape(-1, by).mean(axis=1)
        axes[axis] = (axis, kept, field[axis].attrs)
    first = field[..., : values.shape[-2], : values.shape[-1]]
    return first.copy(data=values).assign_coords(axes)


def reduced_frames(field: xr.DataArray, by: int) -> xr.DataArray:
    """A field of a large grid for pictures, frame by frame along its first axis."""
    if by == 1:
        return field
    return reduced(field, np.stack([means(frame, by) for frame in field.values]), by)
