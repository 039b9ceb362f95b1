"""A forecast written as a cloud-optimised GeoTIFF: one band for each lead time.

A band's description is its lead time and the time that it is valid for; its tags hold both, and its unit is that of the
quantity. The file's tags hold the time of issue and where the forecast came from. NaN is where it is unknown.

    >>> to_geotiff(forecast, Path("forecast.tif"))  # doctest: +SKIP
"""

import logging
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.atomic import atomic_write
from echocast.errors import DataError, MissingDependency
from echocast.io.forecast_file import provenance

_MINUTE = np.timedelta64(1, "m")
_COG = {"driver": "COG", "compress": "deflate", "predictor": "yes", "overviews": "auto", "bigtiff": "if_safer"}


def to_geotiff(
    forecast: xr.DataArray, path: str | Path, *, command: str = "echocast.io.forecast_geotiff.to_geotiff"
) -> None:
    """Write a forecast as a cloud-optimised GeoTIFF; the file appears whole or not at all.

    Args:
        forecast: (lead, y, x), of any quantity, that lies on Earth.
        path: the file to write, or to replace.
        command: what the history says made it.

    Raises:
        DataError: it has members or channels, or lies nowhere on Earth; or the file cannot be written.
        MissingDependency: rasterio is not installed.
    """
    _check(fields.check(forecast))
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as bad:
        raise MissingDependency("rasterio", "geotiff") from bad
    logging.getLogger("rasterio").setLevel(logging.ERROR)
    values, transform = _north_up(forecast)
    count, height, width = values.shape
    form = {"count": count, "height": height, "width": width, "dtype": "float32", "nodata": np.nan}
    place = {"crs": rasterio.CRS.from_wkt(forecast.crs.attrs["crs_wkt"]), "transform": rasterio.Affine(*transform)}
    with atomic_write(Path(path)) as partial:
        try:
            with rasterio.open(partial, "w", **_COG, **form, **place) as file:
                file.write(values)
                _describe(file, forecast, command)
        except RasterioError as bad:
            raise DataError(f"{path}: cannot be written ({bad}); is the disk full or read-only?") from bad


def _check(forecast: xr.DataArray) -> None:
    several = [name for name in ("member", "channel") if name in forecast.dims]
    if several:
        raise DataError(
            f"a GeoTIFF has a band for each lead time, so it holds no {several[0]}s; write NetCDF or Zarr, or the mean"
        )
    if "crs" not in forecast.coords:
        raise DataError("a GeoTIFF holds what lies on Earth, and this forecast does not; write NetCDF or Zarr")


def _north_up(forecast: xr.DataArray) -> tuple[np.ndarray, tuple[float, float, float, float, float, float]]:
    """The values with the north in the first row and the west in the first column, and the place of their corner."""
    y, x = forecast.y.values, forecast.x.values
    values = forecast.values
    if y[-1] > y[0]:
        y, values = y[::-1], values[:, ::-1]
    if x[-1] < x[0]:
        x, values = x[::-1], values[:, :, ::-1]
    height = (y[0] - y[-1]) / max(y.size - 1, 1) or 1.0
    width = (x[-1] - x[0]) / max(x.size - 1, 1) or 1.0
    return np.ascontiguousarray(values), (width, 0.0, x[0] - width / 2, 0.0, -height, y[0] + height / 2)


def _describe(file: "object", forecast: xr.DataArray, command: str) -> None:
    """Times, unit and origin, in the tags of the file and of each band."""
    units = str(forecast.attrs["units"])
    issued = _iso(forecast.forecast_reference_time.values)
    whole = {"forecast_reference_time": issued, "variable": str(forecast.name), "units": units}
    file.update_tags(**whole, **provenance(forecast, command))  # type: ignore[attr-defined]  # rasterio has no types
    for band, (lead, time) in enumerate(zip(forecast.lead.values, forecast.time.values, strict=True), start=1):
        minutes = f"{lead / _MINUTE:g}"
        file.set_band_description(band, f"+{minutes} min, {_iso(time)}")  # type: ignore[attr-defined]
        file.set_band_unit(band, units)  # type: ignore[attr-defined]
        file.update_tags(band, lead_minutes=minutes, valid_time=_iso(time))  # type: ignore[attr-defined]


def _iso(time: np.ndarray | np.datetime64) -> str:
    return f"{np.datetime_as_string(np.asarray(time, 'datetime64[s]')[()], unit='s')}Z"
