"""NetCDF cut from the block file: CF-1.11 in the classic format (`echocast.server.edr.classic`).

An area or cube has the dims (time, y, x), or (time, latitude, longitude) on degrees; points are time series
(station, time).
"""

from collections.abc import Iterator

import numpy as np
from pyproj import CRS

from echocast._version import __version__
from echocast.operations.grid import Grid
from echocast.server.edr import classic, projection
from echocast.server.edr.classic import Attribute, Variable
from echocast.server.edr.coverage import CRS84, Coverage, Points, Raster
from echocast.server.edr.parameters import Parameter

MEDIA_TYPE = "application/netcdf"
_TIME = {"units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "units_metadata": "leap_seconds: none"}
_LONGITUDE = {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"}
_LATITUDE = {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"}
_NAME_LENGTH = 8


def parts(coverage: Coverage) -> Iterator[bytes]:
    """The file, in parts."""
    match coverage.domain:
        case Raster() as raster:
            where = _of_raster(raster, coverage.grid)
            dims, more = ("time", *list(where)[:2]), {"grid_mapping": "crs"}
        case points:
            where = _of_points(points, coverage)
            dims, more = ("station", "time"), {"coordinates": "latitude longitude station_name"}
    variables = _times(coverage) | where
    for one in coverage.parameters:
        found = coverage.values[one.name]
        about = _about(one) | more | {"_FillValue": np.array([np.nan], np.float32)}
        variables[one.name] = Variable(dims, found if dims[0] == "time" else found.T, about)
    sizes = {dim: size for one in variables.values() for dim, size in zip(one.dims, one.values.shape, strict=True)}
    yield from classic.parts(sizes, variables, _global(coverage))


def _global(coverage: Coverage) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {
        "Conventions": "CF-1.11",
        "title": "Nowcast of rain, cut from a published issue",
        "source": f"echocast {__version__}",
        "history": f"cut from the issue {coverage.issue}",
        "issue": coverage.issue,
    }
    found |= {"featureType": "timeSeries"} if isinstance(coverage.domain, Points) else {}
    return found | {name: value for name, value in coverage.about.items() if value}


def _times(coverage: Coverage) -> dict[str, Variable]:
    reference = {"standard_name": "forecast_reference_time", "long_name": "time the forecast was issued"}
    period = {"standard_name": "forecast_period", "long_name": "time since the forecast was issued", "units": "minutes"}
    valid = {"standard_name": "time", "long_name": "time the forecast is valid for", "axis": "T"}
    return {
        "time": Variable(("time",), np.array(coverage.times), _TIME | valid),
        "forecast_period": Variable(("time",), np.array(coverage.leads), period),
        "forecast_reference_time": Variable((), np.array(coverage.issued), _TIME | reference),
    }


def _of_raster(raster: Raster, grid: Grid) -> dict[str, Variable]:
    """Coordinates along the rows, those along the columns, and the projection."""
    if raster.crs == CRS84 or projection.is_in_degrees(grid):
        names: tuple[str, str] = ("latitude", "longitude")
        about: tuple[dict[str, str], ...] = (_LATITUDE | {"axis": "Y"}, _LONGITUDE | {"axis": "X"})
    else:
        names, about = ("y", "x"), _projected(grid)
    axes = (projection.centres(raster.y), projection.centres(raster.x))
    made = {name: Variable((name,), axis, told) for name, axis, told in zip(names, axes, about, strict=True)}
    own = CRS("EPSG:4326") if raster.crs == CRS84 else grid.crs
    return made | {"crs": Variable((), np.array(0, np.int32), _mapping(own))}


def _projected(grid: Grid) -> tuple[dict[str, str], ...]:
    """Attributes of y and x in a projection, or in the degrees of a rotated pole."""
    if grid.crs.is_geographic:
        names, unit = ("grid_latitude", "grid_longitude"), "degrees"
    else:
        name = grid.crs.axis_info[0].unit_name
        names, unit = (
            ("projection_y_coordinate", "projection_x_coordinate"),
            {"metre": "m", "kilometre": "km"}.get(name, name),
        )
    return tuple(
        {"standard_name": name, "long_name": f"{axis} of the centres of cells", "units": unit, "axis": axis.upper()}
        for axis, name in zip("yx", names, strict=True)
    )


def _mapping(own: CRS) -> dict[str, Attribute]:
    """The CF grid mapping of a projection."""
    found = {key: value for key, value in projection.mapping(own).items() if not isinstance(value, bool)}
    return {key: value if isinstance(value, str) else np.atleast_1d(np.float64(value)) for key, value in found.items()}


def _of_points(points: Points, coverage: Coverage) -> dict[str, Variable]:
    x, y = points.x, points.y
    longitude, latitude = (x, y) if points.crs == CRS84 else projection.degrees(coverage.grid, x, y)
    texts = "".join(f"{number + 1:<{_NAME_LENGTH}d}" for number in range(x.size)).encode()
    names = np.frombuffer(texts, "S1").reshape(x.size, _NAME_LENGTH)
    about = {"long_name": "number of the position in the query", "cf_role": "timeseries_id"}
    return {
        "latitude": Variable(("station",), latitude, _LATITUDE),
        "longitude": Variable(("station",), longitude, _LONGITUDE),
        "station_name": Variable(("station", "name_length"), names, about),
    }


def _about(one: Parameter) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {"long_name": one.title, "units": one.units}
    found |= {"standard_name": one.standard_name} if one.standard_name else {}
    of = "" if one.kind == "amount" else "of the "
    note = f"{of}sum over the {one.span:g} min up to the time; at other times there is no value"
    return found | ({"comment": note} if one.span else {})
