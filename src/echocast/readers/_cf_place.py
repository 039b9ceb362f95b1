"""Where the cells of CF data lie: which dims are y and x, their coordinates, and the projection."""

import json
import re
from functools import lru_cache

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile
from echocast.fields.measures import angle_rad, length_m
from echocast.readers import _cf_numbers
from echocast.readers._cf_choice import text

_PROJECTION_ATTRIBUTES = ("crs_wkt", "proj_string", "proj4", "proj4_params", "gdal_projection", "projection", "crs")
_X_NAMES = ("x", "nx", "xc", "rlon", "easting", "eastings", "col", "cols", "column", "columns", "i", "west_east")
_Y_NAMES = ("y", "ny", "yc", "rlat", "northing", "northings", "row", "rows", "j", "south_north")
_LONGITUDES, _LATITUDES = ("lon", "longitude", "lons", "longitudes"), ("lat", "latitude", "lats", "latitudes")
_EARTH_M = 1e8


def axes(data: xr.Dataset, variable: xr.Variable, name: str, but: str | None) -> tuple[str, str]:
    """The dims of a variable that are y and x; raises `UnreadableFile` if nothing tells.

    Args:
        data: its dataset.
        variable: on time, y and x, and on dims of one element.
        name: its name, for messages.
        but: the dim that is time.
    """
    dims = [str(d) for d in variable.dims if d != but]
    roles = {d: _role(data, d) for d in dims}
    found = [next((d for d in dims if roles[d] == role), None) for role in "yx"]
    rest = [d for d in dims if roles[d] is None]
    rest = [d for d in rest if variable.sizes[d] > 1] or rest
    y, x = (d or (rest[0] if len(rest) == 1 else None) for d in found)
    if not y or not x or y == x or sum(role is not None for role in roles.values()) > 2:
        raise UnreadableFile(
            f"{name!r} has dims {variable.dims}; it needs time, y and x, each with a coordinate that says so by its"
            " name, axis, standard_name or unit"
        )
    return y, x


def grid(data: xr.Dataset, variable: xr.Variable, y: str, x: str) -> tuple[np.ndarray, np.ndarray, pyproj.CRS]:
    """The coordinates of the dims y and x, in the unit of the projection, and the projection.

    Raises:
        UnreadableFile: it does not say where it lies.
        GridMismatch: the unit of an axis and that of the projection do not belong together.
    """
    rows, columns = _coordinate(data, y), _coordinate(data, x)
    crs = _crs(data, variable, rows, columns)
    ys, xs = (_in_unit_of(crs, axis, d) for axis, d in ((rows, y), (columns, x)))
    if crs.is_geographic and np.isfinite(xs).all():
        xs = fields.continuous(xs)
    return ys, xs, crs


def _role(data: xr.Dataset, dim: str) -> str | None:
    """Whether a dim is x or y: by what its coordinates say of themselves, else by the name of the dim."""
    found = {_said(v) for v in _coordinates(data, dim)} - {None}
    if len(found) == 1:
        return found.pop()
    for names, role in (((*_X_NAMES, *_LONGITUDES), "x"), ((*_Y_NAMES, *_LATITUDES), "y")):
        if dim.lower() in names:
            return role
    named = {"x" if n.lower() in _LONGITUDES else "y" for n in map(str, data.variables)
             if n.lower() in (*_LONGITUDES, *_LATITUDES) and data.variables[n].dims == (dim,)}  # fmt: skip
    return named.pop() if len(named) == 1 else None


def _said(variable: xr.Variable) -> str | None:
    axis, standard = text(variable.attrs, "axis").upper(), text(variable.attrs, "standard_name").lower()
    units = text(variable.attrs, "units").lower()
    for role, names in (("x", ("longitude", "grid_longitude", "x_coordinate", "x_angular_coordinate")),
                        ("y", ("latitude", "grid_latitude", "y_coordinate", "y_angular_coordinate"))):  # fmt: skip
        direction = "e" if role == "x" else "n"
        if (
            axis == role.upper()
            or standard.removeprefix("projection_") in names
            or re.fullmatch(rf"degrees?_?{direction}(ast|orth)?", units)
        ):
            return role
    return None


def _coordinates(data: xr.Dataset, dim: str) -> list[xr.Variable]:
    """The variables along one dim, the one of its own name first."""
    found = [v for n, v in data.variables.items() if v.dims == (dim,) and n != dim and v.dtype.kind in "iuf"]
    return ([data.variables[dim]] if dim in data.variables and data.variables[dim].dims == (dim,) else []) + found


def _coordinate(data: xr.Dataset, dim: str) -> xr.Variable:
    """The coordinate of a dim: what says to be one, else the variable of its name, else a latitude or longitude."""
    every = _coordinates(data, dim)
    of_its_name = [v for v in every if v is data.variables.get(dim)]
    named = [data.variables[n] for n in data.variables if str(n).lower() in (*_LONGITUDES, *_LATITUDES)]
    telling = [v for v in every if _said(v)] or of_its_name or [v for v in every if any(v is n for n in named)]
    if not telling:
        raise UnreadableFile(f"the dimension {dim!r} has no coordinate, so nobody knows where its cells lie; add one")
    return telling[0]


def _values(axis: xr.Variable) -> np.ndarray:
    how = _cf_numbers.packing(axis)
    return np.asarray(how.scaled(_cf_numbers.as_meant(axis.values, how.kind)), np.float64)


def _in_unit_of(crs: pyproj.CRS, axis: xr.Variable, dim: str) -> np.ndarray:
    """An axis in the unit of the projection."""
    values, unit = _values(axis), _unit(axis)
    metres, radians = length_m(unit), angle_rad(unit)
    own = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    factor: float | None = None
    if crs.is_geographic:
        factor = 1.0 if not unit else None if radians is None else 1.0 if "deg" in unit else radians / own
    elif not unit or metres is not None:
        factor = 1.0 if metres in (None, own) else metres / own
    elif radians is not None and _height(crs) is not None:
        factor = radians * float(_height(crs) or 0.0) / own
    if factor is None:
        raise GridMismatch(
            f"{dim!r} is in {unit!r}, which is no unit of its projection ({crs.name!r}, in"
            f" {crs.axis_info[0].unit_name if crs.axis_info else 'metre'}); mend its units or its grid mapping"
        )
    return values if factor == 1.0 else values * factor


def _unit(axis: xr.Variable) -> str:
    unit = " ".join(text(axis.attrs, "units").lower().split())
    if not unit and "angular" in text(axis.attrs, "standard_name"):
        return "rad"
    return "" if unit in ("1", "-", "none", "unitless") else unit


def _height(crs: pyproj.CRS) -> float | None:
    """The height of a geostationary satellite (m), by which its angles are multiplied."""
    operation = crs.coordinate_operation
    if operation is None or "geostationary" not in operation.method_name.lower():
        return None
    return next((float(p.value) for p in operation.params if "height" in p.name.lower()), None)


def _crs(data: xr.Dataset, variable: xr.Variable, y: xr.Variable, x: xr.Variable) -> pyproj.CRS:
    said = _mapping_name(text(variable.attrs, "grid_mapping") or text(variable.encoding, "grid_mapping"), y, x, data)
    if said:
        if said not in data.variables:
            raise UnreadableFile(f"names the grid mapping {said!r}, which it does not hold; add it")
        return _mapped(said, data.variables[said].attrs, length_m(_unit(x)))
    if _is_degrees(y, "lat") and _is_degrees(x, "lon"):
        return fields.known_crs("EPSG:4326")
    found = _written(variable.attrs) or _written(data.attrs)
    if found is None:
        raise UnreadableFile("its rain has no grid mapping, so nobody knows where it lies; add one")
    return found


def _mapping_name(said: str, y: xr.Variable, x: xr.Variable, data: xr.Dataset) -> str:
    """The grid mapping that an attribute names for these axes: ``crs``, or ``crs: y x other: lat lon``."""
    words, dims = said.split(), {str(n) for n, v in data.variables.items() if v is y or v is x}
    names = [word.rstrip(":") for word in words if word.endswith(":")]
    for name in names:
        after = words[words.index(f"{name}:") + 1 :]
        of_it = set(after[: next((i for i, w in enumerate(after) if w.endswith(":")), len(after))])
        if dims <= of_it:
            return name
    return names[0] if names else said


def _mapped(name: str, own: dict[str, object], metres: float | None) -> pyproj.CRS:
    """The projection of a grid mapping; false easting and northing are in the unit of x and y, by CF."""
    attrs = {key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for key, value in own.items()}
    for key in ("false_easting", "false_northing"):
        false = attrs.get(key)
        if metres and isinstance(false, int | float) and abs(false * metres) < _EARTH_M:
            attrs[key] = false * metres
    try:
        return _from_cf(json.dumps(attrs, sort_keys=True, default=str))
    except (pyproj.exceptions.CRSError, KeyError, ValueError, TypeError):
        found = _written(attrs)
    if found is None:
        raise UnreadableFile(f"its grid mapping {name!r} is not understood ({attrs})"[:300])
    return found


@lru_cache(maxsize=64)
def _from_cf(attrs: str) -> pyproj.CRS:
    """The projection of a grid mapping's attributes (JSON), found once: it takes a fifth of a second."""
    return pyproj.CRS.from_cf(json.loads(attrs))


def _written(attrs: dict[str, object]) -> pyproj.CRS | None:
    """A projection written out in an attribute, as WKT, PROJ or EPSG code."""
    for key in _PROJECTION_ATTRIBUTES:
        if text(attrs, key):
            try:
                return fields.known_crs(text(attrs, key))
            except pyproj.exceptions.CRSError:
                continue
    return None


def _is_degrees(axis: xr.Variable, direction: str) -> bool:
    """Whether an axis holds longitudes or latitudes, of no rotated grid."""
    standard, unit, values = text(axis.attrs, "standard_name"), _unit(axis), _values(axis)
    dim, names = str(axis.dims[0]).lower(), _LONGITUDES if direction == "lon" else _LATITUDES
    rotated = standard.startswith("grid_") or dim in ("rlon", "rlat")
    in_degrees = unit.startswith(("deg", "°")) or (not unit and (standard in names or dim in names))
    limit = 540.0 if direction == "lon" else 90.0
    return bool(in_degrees and not rotated and np.nanmax(np.abs(values), initial=0.0) <= limit)
