"""Crop to the central cells."""

import xarray as xr

from echocast.errors import DataError


def centre(field: xr.DataArray, *, height: int, width: int) -> xr.DataArray:
    """The central `height` x `width` cells."""
    rows, columns = field.sizes["y"], field.sizes["x"]
    if not (0 < height <= rows and 0 < width <= columns):
        raise DataError(f"centre height={height} width={width}: the field has only {rows} x {columns} cells")
    a, b = (rows - height) // 2, (columns - width) // 2
    return field[:, a : a + height, b : b + width]
