"""Resize pictures to a height, whatever their size, and crop them to the middle columns."""

import xarray as xr

from echocast.archive.transforms.centre import centre
from echocast.archive.transforms.resize import resize
from echocast.errors import DataError


def resize_and_crop(field: xr.DataArray, *, height: int, width: int) -> xr.DataArray:
    """Pictures of one size from pictures of any: `height` rows, pixels of the same shape, the middle `width` columns.

    Rows and columns count from 0 afterwards, so that sequences of different sizes go into one archive. PredNet was
    trained on KITTI so (Lotter et al. 2017, arXiv:1605.08104: height=128 width=160); here pixels are means over the
    area, and not interpolated.
    """
    if "crs" in field.coords:
        raise DataError(
            f"resize_and_crop: {field.name} lies on a map, and would lose its place; take resize, then centre"
        )
    cut = centre(resize(field, height=height), height=height, width=width)
    return cut.assign_coords({axis: (axis, range(cut.sizes[axis]), field[axis].attrs) for axis in ("y", "x")})
