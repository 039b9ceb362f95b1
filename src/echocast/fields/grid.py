"""Where a field lies: its projection, its cells, and whether two fields share them."""

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import xarray as xr

from echocast.errors import DataError, GridMismatch


def crs(field: xr.DataArray | xr.Dataset) -> pyproj.CRS:
    """The coordinate reference system of a field; raises `DataError` for a picture, which has none."""
    if "crs" not in field.coords:
        raise DataError("this field does not say where it lies on Earth; give it a grid mapping, as fields.make does")
    return known_crs(field.coords["crs"].attrs["crs_wkt"])


def crs_name(field: xr.DataArray | xr.Dataset) -> str:
    """What a field's projection is called; one without a name by its kind, such as polar stereographic."""
    name = " ".join(crs(field).name.split())
    kind = str(field.coords["crs"].attrs.get("grid_mapping_name", "unknown"))
    return kind.replace("_", " ") if name in ("", "unknown", "undefined", "unnamed") else name


def check_same_grid(
    field: xr.DataArray | xr.Dataset, other: xr.DataArray | xr.Dataset, name: str = "the second field"
) -> None:
    """Raise `GridMismatch`, naming `name`, unless both fields lie on the same grid in the same projection."""
    for axis in ("y", "x"):
        a, b = field.coords[axis].values, other.coords[axis].values
        if a.shape != b.shape:
            raise GridMismatch(
                f"{name} has {b.size} cells along {axis}, the others have {a.size}; use one grid per command"
            )
        spacing = abs(a[1] - a[0]) if a.size > 1 else 1.0
        if np.abs(a - b).max() > 0.01 * spacing:
            raise GridMismatch(
                f"{name} lies elsewhere along {axis} ({b[0]:g} to {b[-1]:g}, the others {a[0]:g} to {a[-1]:g})"
            )
    if "crs" not in field.coords and "crs" not in other.coords:
        return
    a, b = crs(field), crs(other)
    if field.coords["crs"].attrs["crs_wkt"] != other.coords["crs"].attrs["crs_wkt"] and a != b:
        raise GridMismatch(f"{name} is in projection {b.name!r}, the others are in {a.name!r}")


def check_same_product(
    field: xr.DataArray | xr.Dataset, other: xr.DataArray | xr.Dataset, name: str = "the second field"
) -> None:
    """Raise `GridMismatch`, naming `name`, if two fields say that they hold different products.

    That is: different quantities, products of a service, or Z-R relations. What a field does not say is not compared.
    """
    ours, theirs = _product(field), _product(other)
    for key in ours.keys() & theirs.keys():
        if ours[key] != theirs[key]:
            raise GridMismatch(
                f"{name}: is of {key} {theirs[key]!r}, the others are of {ours[key]!r}; give each by itself, in a"
                " folder or a store of its own"
            )


def _product(field: xr.DataArray | xr.Dataset) -> dict[str, str]:
    said = {key: str(field.attrs[key]) for key in ("quantity", "product", "zr") if field.attrs.get(key)}
    return said | ({"quantity": str(field.name)} if isinstance(field, xr.DataArray) else {})


def grid_km(field: xr.DataArray) -> float:
    """The mean cell size of a field in kilometres (on the ground for geographic grids, at the grid's middle)."""
    reference = crs(field)
    y, x = field.coords["y"].values, field.coords["x"].values
    dy, dx = abs(y[-1] - y[0]) / max(y.size - 1, 1), abs(x[-1] - x[0]) / max(x.size - 1, 1)
    if reference.is_geographic:
        km_per_degree = 111.195
        return float(np.sqrt(dy * dx * np.cos(np.radians(y.mean())))) * km_per_degree
    return float(np.sqrt(dy * dx)) * reference.axis_info[0].unit_conversion_factor / 1000.0


def corners(field: xr.DataArray | xr.Dataset) -> dict[str, tuple[float, float]]:
    """Longitude and latitude (degrees) of the outer corners of a field's cells; infinite where they are not on Earth.

    The names are ``upper left``, ``upper right``, ``lower right`` and ``lower left``, as the field is drawn with its
    north up.
    """
    reference = crs(field)
    left, right = _edges(field.coords["x"].values)
    bottom, top = _edges(field.coords["y"].values)
    x, y = np.array([left, right, right, left]), np.array([top, top, bottom, bottom])
    if not in_degrees(reference):
        x, y = _to_degrees(reference).transform(x, y)
    names = ("upper left", "upper right", "lower right", "lower left")
    return {name: (float(lon), float(lat)) for name, lon, lat in zip(names, x, y, strict=True)}


def degrees(field: xr.DataArray | xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (degrees) of all cell centres, each (y, x); infinite where they are not on Earth."""
    reference = crs(field)
    x, y = np.meshgrid(field.coords["x"].values, field.coords["y"].values)
    return (x, y) if in_degrees(reference) else _to_degrees(reference).transform(x, y)


def project(
    field: xr.DataArray | xr.Dataset, longitude: np.ndarray, latitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes (degrees) as x and y of a field's projection; infinite where it does not reach."""
    reference = crs(field)
    if in_degrees(reference):
        return np.asarray(longitude, np.float64), np.asarray(latitude, np.float64)
    x, y = _from_degrees(reference).transform(longitude, latitude)
    return np.asarray(x), np.asarray(y)


def cropped(field: xr.DataArray, bbox: tuple[float, float, float, float]) -> xr.DataArray:
    """The smallest rectangle of cells that holds every cell whose centre lies in (west, south, east, north), degrees.

    A west greater than the east means a box across the date line.

    Raises:
        GridMismatch: no cell lies in it.
        DataError: the field does not say where it lies, or the box has no width or height.
    """
    west, south, east, north = bbox
    if not np.isfinite(bbox).all() or south >= north or west == east:
        raise DataError(f"{west:g},{south:g},{east:g},{north:g} is no box; give WEST,SOUTH,EAST,NORTH in degrees")
    longitude, latitude = degrees(field)
    with np.errstate(invalid="ignore"):
        inside = (latitude >= south) & (latitude <= north) & ((longitude - west) % 360 <= (east - west) % 360)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        found = ", ".join(f"{name} {lon:.2f} E {lat:.2f} N" for name, (lon, lat) in corners(field).items())
        raise GridMismatch(
            f"no cell lies in {west:g} to {east:g} E, {south:g} to {north:g} N; the corners are: {found}"
        )
    return field.isel(y=slice(int(rows[0]), int(rows[-1]) + 1), x=slice(int(columns[0]), int(columns[-1]) + 1))


def _edges(centres: np.ndarray) -> tuple[float, float]:
    """The outer edges of a row of cells, the lower number first."""
    half = abs(centres[-1] - centres[0]) / max(centres.size - 1, 1) / 2
    return float(centres.min() - half), float(centres.max() + half)


def in_degrees(reference: pyproj.CRS) -> bool:
    """Whether x and y of a reference system are longitude and latitude; those of a rotated pole are not."""
    return bool(reference.is_geographic and not reference.is_derived)


@lru_cache(maxsize=64)
def _to_degrees(reference: pyproj.CRS) -> pyproj.Transformer:
    """From a projection to degrees on its own ellipsoid."""
    return pyproj.Transformer.from_crs(reference, _on_ellipsoid(reference), always_xy=True)


def _on_ellipsoid(reference: pyproj.CRS) -> pyproj.CRS | str:
    """The longitudes and latitudes of a projection's ellipsoid; those of a rotated pole are not its own."""
    return (reference.source_crs if reference.is_geographic else reference.geodetic_crs) or "EPSG:4326"


@lru_cache(maxsize=64)
def known_crs(text: str) -> pyproj.CRS:
    """The projection that a text describes (PROJ, WKT, EPSG), found once: it takes milliseconds."""
    return pyproj.CRS.from_user_input(text)


@lru_cache(maxsize=64)
def corner(crs: pyproj.CRS, longitude: float, latitude: float) -> tuple[float, float]:
    """A place on Earth (degrees, on the projection's own ellipsoid) as x and y of a projection; found once."""
    if in_degrees(crs):
        return longitude, latitude
    x, y = _from_degrees(crs).transform(longitude, latitude, errcheck=True)
    return float(x), float(y)


@lru_cache(maxsize=64)
def _from_degrees(reference: pyproj.CRS) -> pyproj.Transformer:
    """From degrees on a projection's own ellipsoid to the projection."""
    return pyproj.Transformer.from_crs(_on_ellipsoid(reference), reference, always_xy=True)


@lru_cache(maxsize=64)
def grid_mapping(reference: pyproj.CRS) -> tuple[pyproj.CRS, dict[str, Any]]:
    """A projection and its CF grid mapping, which takes milliseconds to find."""
    with warnings.catch_warnings():
        # The Swiss grid's CF attributes lack an angle that its WKT, which is written too, does hold.
        warnings.filterwarnings("ignore", "angle from rectified to skew grid")
        mapping = reference.to_cf()
    if mapping.get("grid_mapping_name") == "polar_stereographic":
        # CF wants the pole beside the parallel of true scale, which tells it already.
        mapping.setdefault("latitude_of_projection_origin", math.copysign(90.0, mapping.get("standard_parallel", 90.0)))
    operation = reference.coordinate_operation
    if "grid_mapping_name" not in mapping and operation is not None and operation.method_code == _WEB_MERCATOR:
        mapping |= _MERCATOR  # the same formula, of a sphere
    if "azimuth_of_central_line" in mapping:
        # CF's name is the longer one; checkers look for the shorter.
        mapping["azimuth"] = mapping["azimuth_of_central_line"]
    return reference, mapping


_WEB_MERCATOR = "1024"
"""EPSG's number of the method of web maps, which CF does not name."""
_MERCATOR = {
    "grid_mapping_name": "mercator",
    "standard_parallel": 0.0,
    "longitude_of_projection_origin": 0.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
    "earth_radius": 6378137.0,
}
