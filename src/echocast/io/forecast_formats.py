"""The formats that a forecast is written in, chosen by the suffix of its path.

>>> to_file(forecast, "forecast.tif")  # doctest: +SKIP
"""

from pathlib import Path

import xarray as xr

from echocast.errors import DataError
from echocast.fields import amounts
from echocast.io import forecast_file, forecast_geotiff, forecast_zarr
from echocast.io.forecast_leads import Leads

WRITERS = {".nc": "netcdf", ".tif": "geotiff", ".tiff": "geotiff", ".zarr": "zarr"}
"""What is written, by the suffix of the path."""


def to_file(
    forecast: xr.DataArray,
    path: str | Path,
    *,
    products: xr.Dataset | None = None,
    command: str = "echocast.io.forecast_formats.to_file",
    leads: Leads | None = None,
) -> None:
    """Write a forecast as the suffix of its path says: ``.nc`` NetCDF, ``.tif`` GeoTIFF, ``.zarr`` Zarr.

    Args:
        forecast: a field with leads.
        path: what to write, or to replace.
        products: variables to stand beside it, which a GeoTIFF has no place for: its tags say what it is not for.
        command: what the history says made it.
        leads: the values of the variables that it names, lead by lead; `forecast` then holds none.

    Raises:
        DataError: another suffix; or as `forecast_file.to_netcdf`, `forecast_geotiff.to_geotiff` and
            `forecast_zarr.to_zarr` do.
    """
    kind = WRITERS.get(Path(path).suffix.lower())
    if kind == "netcdf":
        forecast_file.to_netcdf(forecast, path, products=products, command=command, leads=leads)
    elif kind == "geotiff":
        summed = products is not None and amounts.MEAN in products and "member" not in forecast.dims
        comment = f"{amounts.FOR_THRESHOLDS}, which NetCDF and Zarr hold" if summed else ""
        forecast_geotiff.to_geotiff(forecast, path, comment=comment, command=command, leads=leads)
    elif kind == "zarr":
        forecast_zarr.to_zarr(forecast, path, products=products, command=command, leads=leads)
    else:
        raise DataError(f"{path}: the name must end in one of {', '.join(WRITERS)}, which says what is written")
