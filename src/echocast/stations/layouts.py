"""Where gauges and cells of a grid lie, in km on the plane of the grid's projection.

>>> layout(field, series, site="12.83,58.26").gauge_range_km  # doctest: +SKIP
array([80.1, 77.4])
"""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.stations import sampling
from echocast.stations.adjusting import Layout


def layout(radar: xr.DataArray, series: xr.DataArray, site: str | None = None) -> Layout:
    """Of all gauges and all cells, those row by row; with their distances from the radar if its site is given.

    Args:
        radar: a field on the grid.
        series: the gauges.
        site: LONGITUDE,LATITUDE of the radar in degrees.

    Raises:
        DataError: the site is not of that form.
    """
    x, y = sampling.projected(radar, series.longitude.values, series.latitude.values)
    unit = _km(radar)
    gauges = np.stack([x, y], axis=1) * unit
    grid_x, grid_y = np.meshgrid(radar.x.values, radar.y.values)
    cells = np.stack([grid_x.ravel(), grid_y.ravel()], axis=1) * unit
    if site is None:
        return Layout(gauges, cells)
    try:
        longitude, latitude = (float(word) for word in site.split(","))
    except ValueError as bad:
        raise DataError(f"site={site!r}: give LONGITUDE,LATITUDE of the radar in degrees") from bad
    at = np.array(sampling.projected(radar, np.array([longitude]), np.array([latitude])))[:, 0] * unit
    away = [np.hypot(*(places - at).T) for places in (gauges, cells)]
    return Layout(gauges, cells, away[0], away[1])


def _km(radar: xr.DataArray) -> np.ndarray:
    """The km of one unit of x and of y of a grid, at its middle."""
    reference = fields.crs(radar)
    if reference.is_geographic:
        per_degree = 111.195
        return np.array([per_degree * np.cos(np.radians(float(radar.y.mean()))), per_degree])
    return np.full(2, reference.axis_info[0].unit_conversion_factor / 1000.0)
