"""A forecast written as a cloud-optimised GeoTIFF: one band for each lead time.

A band's description is its lead time and the time that it is valid for; its tags hold both, and its unit is that of the
quantity. The file's tags hold the time of issue and where the forecast came from. NaN is where it is unknown.

    >>> to_geotiff(forecast, Path("forecast.tif"))  # doctest: +SKIP
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.atomic import atomic_write
from echocast.errors import DataError, MissingDependency
from echocast.io.forecast_file import provenance
from echocast.io.forecast_leads import Leads

_MINUTE = np.timedelta64(1, "m")
_COG = {"driver": "COG", "compress": "deflate", "predictor": "yes", "overviews": "auto", "bigtiff": "if_safer"}
_BANDS = {
    "driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "band", "bigtiff": "if_safer",
    "compress": "deflate", "zlevel": 1,
}  # fmt: skip
_CACHE_MB = 128


def to_geotiff(
    forecast: xr.DataArray,
    path: str | Path,
    *,
    comment: str = "",
    command: str = "echocast.io.forecast_geotiff.to_geotiff",
    leads: Leads | None = None,
) -> None:
    """Write a forecast as a cloud-optimised GeoTIFF; the file appears whole or not at all.

    Args:
        forecast: (lead, y, x), of any quantity, that lies on Earth.
        path: the file to write, or to replace.
        comment: what else its tags say.
        command: what the history says made it.
        leads: its values, lead by lead; `forecast` then holds none.

    Raises:
        DataError: it has members or channels, or lies nowhere on Earth; or the file cannot be written.
        MissingDependency: rasterio is not installed.
    """
    _check(fields.check(forecast))
    try:
        import rasterio.shutil
        from rasterio.errors import RasterioError
    except ImportError as bad:
        raise MissingDependency("rasterio", "geotiff") from bad
    logging.getLogger("rasterio").setLevel(logging.ERROR)
    flips, transform = _north_up(forecast)
    count, height, width = forecast.shape
    form = {"count": count, "height": height, "width": width, "dtype": "float32", "nodata": np.nan}
    place = {"crs": rasterio.CRS.from_wkt(forecast.crs.attrs["crs_wkt"]), "transform": rasterio.Affine(*transform)}
    with atomic_write(Path(path)) as partial, _passing(partial) as bands:
        try:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
                with rasterio.open(bands, "w", **_BANDS, **form, **place) as file:
                    for band, values in enumerate(_frames(forecast, leads), start=1):
                        file.write(np.ascontiguousarray(values[flips]), band)
                    _describe(file, forecast, command, comment)
                # This driver writes no band before it has all of them.
                rasterio.shutil.copy(bands, partial, **_COG)
        except RasterioError as bad:
            raise DataError(f"{path}: cannot be written ({bad}); is the disk full or read-only?") from bad


@contextmanager
def _passing(partial: Path) -> Iterator[Path]:
    """A file beside another one that does not outlast the block."""
    path = partial.with_suffix(".bands.tif")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _frames(forecast: xr.DataArray, leads: Leads | None) -> Iterator[np.ndarray]:
    if leads is None:
        yield from forecast.values
        return
    name = str(forecast.name)
    for _, frames in Leads((name,), leads.frames).counted({name: forecast.variable}):  # others have no place
        yield frames[name]


def _check(forecast: xr.DataArray) -> None:
    several = [name for name in ("member", "channel") if name in forecast.dims]
    if several:
        raise DataError(
            f"a GeoTIFF has a band for each lead time, so it holds no {several[0]}s; write NetCDF or Zarr, or the mean"
        )
    if "crs" not in forecast.coords:
        raise DataError("a GeoTIFF holds what lies on Earth, and this forecast does not; write NetCDF or Zarr")


def _north_up(
    forecast: xr.DataArray,
) -> tuple[tuple[slice, slice], tuple[float, float, float, float, float, float]]:
    """What brings the north into the first row and the west into the first column, and the place of their corner."""
    y, x = forecast.y.values, forecast.x.values
    flips = slice(None, None, -1 if y[-1] > y[0] else 1), slice(None, None, -1 if x[-1] < x[0] else 1)
    y, x = y[flips[0]], x[flips[1]]
    height = (y[0] - y[-1]) / max(y.size - 1, 1) or 1.0
    width = (x[-1] - x[0]) / max(x.size - 1, 1) or 1.0
    return flips, (width, 0.0, x[0] - width / 2, 0.0, -height, y[0] + height / 2)


def _describe(file: "object", forecast: xr.DataArray, command: str, comment: str) -> None:
    """Times, unit and origin, in the tags of the file and of each band."""
    units = str(forecast.attrs["units"])
    issued = _iso(forecast.forecast_reference_time.values)
    whole = {"forecast_reference_time": issued, "variable": str(forecast.name), "units": units}
    whole |= {"comment": comment} if comment else {}
    file.update_tags(**whole, **provenance(forecast, command))  # type: ignore[attr-defined]  # rasterio has no types
    for band, (lead, time) in enumerate(zip(forecast.lead.values, forecast.time.values, strict=True), start=1):
        minutes = f"{lead / _MINUTE:g}"
        file.set_band_description(band, f"+{minutes} min, {_iso(time)}")  # type: ignore[attr-defined]
        file.set_band_unit(band, units)  # type: ignore[attr-defined]
        file.update_tags(band, lead_minutes=minutes, valid_time=_iso(time))  # type: ignore[attr-defined]


def _iso(time: np.ndarray | np.datetime64) -> str:
    return f"{np.datetime_as_string(np.asarray(time, 'datetime64[s]')[()], unit='s')}Z"
