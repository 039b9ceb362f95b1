"""The noun: a sequence of fields on a grid.

A field is an `xarray.DataArray` named after its quantity (``rainfall_rate``, ``reflectivity``, ``image``, ...: see
`QUANTITIES`) with dims ``(time, y, x)`` or ``(time, channel, y, x)``, float32, in the unit of its quantity, NaN where
nothing is observed, strictly increasing times and evenly spaced `x` and `y`. What lies on Earth has a scalar coordinate
``crs`` that is its CF grid mapping; pictures and label maps may do without. A forecast has ``lead`` in place of
``time``, with ``forecast_reference_time``, and may have ``member`` first. `make` builds a field, `check` is its only
guard; reflectivity becomes rain and back in `echocast.zr`, whose names are here too.

    >>> import numpy as np
    >>> times = np.array(["2016-09-28T14:45"], dtype="datetime64[ns]")
    >>> field = make(np.ones((1, 2, 3)), time=times, y=[2000.0, 1000.0], x=[0.0, 1e3, 2e3], crs="EPSG:3067")
    >>> check(field).attrs["units"]
    'mm h-1'
    >>> clip = make(np.ones((1, 3, 2, 2)), time=times, y=[0, 1], x=[0, 1], quantity="image", channels=["r", "g", "b"])
    >>> clip.dims
    ('time', 'channel', 'y', 'x')
"""

from echocast.fields import _dask
from echocast.fields.field import check, is_whole, make
from echocast.fields.grid import (
    check_same_grid,
    check_same_product,
    corner,
    corners,
    cropped,
    crs,
    crs_name,
    degrees,
    grid_km,
    in_degrees,
    known_crs,
    project,
)
from echocast.fields.in_time import InTime, usual_step
from echocast.fields.longitude import between, continuous, near
from echocast.fields.quantities import QUANTITIES, RAINFALL_RATE, Quantity
from echocast.fields.regridding import Places, regridded
from echocast.fields.times import Clock, clock, follows, format_time, time_step, tolerance
from echocast.fields.units import MAX_RATE, agreed_unit, kind_of_unit, limited, to_rain_rate
from echocast.zr import MARSHALL_PALMER, ZR, ZR_RELATIONS, rain_rate, reflectivity, zr_relation

_dask.ask_later()

NAME, UNITS = RAINFALL_RATE.name, RAINFALL_RATE.units
"""The name and unit of a field of rain."""

__all__ = [
    "MARSHALL_PALMER",
    "MAX_RATE",
    "NAME",
    "QUANTITIES",
    "RAINFALL_RATE",
    "UNITS",
    "ZR",
    "ZR_RELATIONS",
    "Clock",
    "InTime",
    "Places",
    "Quantity",
    "agreed_unit",
    "between",
    "check",
    "check_same_grid",
    "check_same_product",
    "clock",
    "continuous",
    "corner",
    "corners",
    "cropped",
    "crs",
    "crs_name",
    "degrees",
    "follows",
    "format_time",
    "grid_km",
    "in_degrees",
    "is_whole",
    "kind_of_unit",
    "known_crs",
    "limited",
    "make",
    "near",
    "project",
    "rain_rate",
    "reflectivity",
    "regridded",
    "time_step",
    "to_rain_rate",
    "tolerance",
    "usual_step",
    "zr_relation",
]
