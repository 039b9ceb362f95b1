"""Areas: a point with a radius, a polygon, or the features of a GeoJSON file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from echocast.operations.alerts import geometry
from echocast.operations.alerts.rule_config import Identifier

_MOST_CAP_POINTS = 100
_LONGEST_NAME = 100


class Area(BaseModel):
    """An entry ``[[area]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier
    name: str | None = None
    point: tuple[float, float] | None = None
    radius_km: Annotated[float, Field(ge=0, le=2000)] | None = None
    coordinates: list[Any] | None = None
    file: Path | None = None
    id_property: str | None = None
    name_property: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Area":
        given = [name for name in ("point", "coordinates", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of point, coordinates and file; it has {', '.join(given) or 'none of them'}")
        if self.point is not None and self.radius_km is None:
            raise ValueError("radius_km is missing: how far the area reaches from its point (0: the cell of the point)")
        if self.file is not None and self.id_property is None:
            raise ValueError("id_property is missing: which property of the features is their id")
        return self


@dataclass(frozen=True)
class Place:
    """An area.

    Args:
        id: as rules name it.
        name: as messages name it.
        polygons: each the outline and then the holes, (vertex, 2) of longitude and latitude; empty for a circle.
        centre: of a circle: longitude and latitude.
        radius_km: of a circle.
    """

    id: str
    name: str
    polygons: tuple[tuple[np.ndarray, ...], ...] = ()
    centre: tuple[float, float] | None = None
    radius_km: float = 0.0

    @property
    def middle(self) -> tuple[float, float]:
        """A place that stands for the area: the centre of a circle, the mean of the corners of the first polygon."""
        if self.centre is not None:
            return self.centre
        ring = geometry.closed(self.polygons[0][0])[:-1]
        return float(ring[:, 0].mean()), float(ring[:, 1].mean())

    @property
    def outlines(self) -> list[np.ndarray]:
        """The closed outlines without holes, (vertex, 2); a point without a radius as a circle of 100 m."""
        if self.centre is not None:
            return [geometry.circle(self.centre, max(self.radius_km, 0.1))]
        return [geometry.closed(polygon[0]) for polygon in self.polygons]

    def inside(self, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        """Which points (degrees) lie in the area."""
        if self.centre is not None:
            return geometry.distance_km(longitude, latitude, self.centre) <= self.radius_km
        found = np.zeros(longitude.shape, bool)
        for polygon in self.polygons:
            found |= geometry.inside(longitude, latitude, list(polygon))
        return found

    def cap_polygons(self) -> list[list[tuple[float, float]]]:
        """Closed outlines of at most 100 points, latitude first, as CAP wants them."""
        few = [geometry.simplified(ring, _MOST_CAP_POINTS) for ring in self.outlines]
        return [[(round(float(lat), 5), round(float(lon), 5)) for lon, lat in ring] for ring in few]

    def geojson(self) -> dict[str, Any]:
        """The geometry of the area as GeoJSON."""
        if self.centre is not None:
            rings = [[np.round(ring, 5).tolist()] for ring in self.outlines]
        else:
            rings = [[np.round(geometry.closed(ring), 6).tolist() for ring in polygon] for polygon in self.polygons]
        if len(rings) == 1:
            return {"type": "Polygon", "coordinates": rings[0]}
        return {"type": "MultiPolygon", "coordinates": rings}


def places_of(area: Area, folder: Path) -> Iterator[Place]:
    """The areas of an entry; those of a file are called ``ENTRY/FEATURE``.

    Args:
        area: the entry.
        folder: where its file lies, if its path is relative.

    Raises:
        ValueError: the file or a geometry is wrong.
    """
    name = area.name or area.id
    if area.point is not None:
        yield Place(area.id, name, centre=_point(area.point), radius_km=area.radius_km or 0.0)
    elif area.coordinates is not None:
        yield Place(area.id, name, polygons=(_polygon(_as_rings(area.coordinates)),))
    else:
        yield from _of_file(area, folder)


def _of_file(area: Area, folder: Path) -> Iterator[Place]:
    assert area.file is not None  # an area has one of point, coordinates and file
    path = folder / area.file
    try:
        content = json.loads(path.read_bytes())
    except OSError as bad:
        raise ValueError(
            f"file {path}: cannot be read ({bad.strerror}); paths are relative to the rules' file"
        ) from bad
    except ValueError as bad:
        raise ValueError(f"file {path}: is no JSON ({bad}); give GeoJSON") from bad
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not features:
        raise ValueError(f"file {path}: is no GeoJSON FeatureCollection with features")
    if isinstance(crs := content.get("crs"), dict) and not _is_degrees(crs):
        raise ValueError(f"file {path}: its coordinates are in {crs}; GeoJSON is in degrees (WGS 84): convert it")
    for number, feature in enumerate(features):
        try:
            yield _of_feature(area, feature)
        except (ValueError, TypeError, KeyError, AttributeError) as bad:
            raise ValueError(f"file {path}: feature {number + 1}: {bad}") from bad


def _is_degrees(crs: dict[str, Any]) -> bool:
    name = str((crs.get("properties") or {}).get("name", ""))
    return name.endswith(("CRS84", ":4326", "EPSG:4326")) or not name


def _of_feature(area: Area, feature: Any) -> Place:
    properties = feature.get("properties") or {}
    code = properties.get(area.id_property)
    if code in (None, "") or not isinstance(code, str | int):
        known = ", ".join(map(str, properties)) or "none"
        raise ValueError(f"has no id in the property {area.id_property!r}; its properties are: {known}")
    text = str(code).strip()
    if not text.isprintable() or len(text) > _LONGEST_NAME:
        raise ValueError(f"its id {text!r} is longer than {_LONGEST_NAME} characters or is not printable")
    name = properties.get(area.name_property) if area.name_property else None
    return _of_geometry(f"{area.id}/{text}", str(name or text), feature.get("geometry"), area.radius_km)


def _of_geometry(place: str, name: str, shape: Any, radius_km: float | None) -> Place:
    kind = shape.get("type") if isinstance(shape, dict) else None
    if kind == "Polygon":
        return Place(place, name, polygons=(_polygon(shape["coordinates"]),))
    if kind == "MultiPolygon" and shape["coordinates"]:
        return Place(place, name, polygons=tuple(_polygon(one) for one in shape["coordinates"]))
    if kind == "Point":
        if radius_km is None:
            raise ValueError("is a point, and the area has no radius_km; add it")
        return Place(place, name, centre=_point(shape["coordinates"][:2]), radius_km=radius_km)
    raise ValueError(f"its geometry is {kind!r}; give Polygon, MultiPolygon or Point")


def _as_rings(coordinates: list[Any]) -> list[Any]:
    """Coordinates of a polygon; a single ring may be given as it is."""
    is_ring = bool(coordinates) and isinstance(coordinates[0], list) and bool(coordinates[0])
    is_ring = is_ring and not isinstance(coordinates[0][0], list)
    return [coordinates] if is_ring else coordinates


def _polygon(rings: Any) -> tuple[np.ndarray, ...]:
    if not isinstance(rings, list) or not rings:
        raise ValueError("coordinates: a polygon has at least one ring of points [longitude, latitude]")
    return tuple(_ring(ring) for ring in rings)


def _ring(points: Any) -> np.ndarray:
    try:
        found = np.array([[float(one) for one in point[:2]] for point in points])
    except (TypeError, ValueError) as bad:
        raise ValueError("coordinates: points are [longitude, latitude] in numbers") from bad
    if found.ndim != 2 or found.shape[1] != 2 or len(np.unique(found, axis=0)) < 3:
        raise ValueError("coordinates: a ring has three or more different points [longitude, latitude]")
    for point in found:
        _point(point)
    return found


def _point(point: Sequence[float] | np.ndarray) -> tuple[float, float]:
    longitude, latitude = (float(one) for one in point)
    if not (abs(longitude) <= 360 and abs(latitude) <= 90):
        raise ValueError(f"[{longitude:g}, {latitude:g}] is no [longitude, latitude] in degrees; longitude comes first")
    return longitude, latitude
