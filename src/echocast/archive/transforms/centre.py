"""Cut out the central cells."""

import xarray as xr

from echocast.errors import DataError


def centre(field: xr.DataArray, *, height: int, width: int) -> xr.DataArray:
    """The central `height` x `width` cells."""
    rows, columns = field.sizes["y"], field.sizes["x"]
    if not (0 < height <= rows and 0 < width <= columns):
        raise DataError(f"a centre of {height} x {width} cells does not lie in a field of {rows} x {columns}")
    a, b = (rows - height) // 2, (columns - width) // 2
    return field[:, a : a + height, b : b + width]
