"""Named places of a GeoJSON file (``--locations``), or none. Each is a point or polygons in degrees.

An answer of a point is that of a position, an answer of polygons that of an area.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echocast.errors import DataError
from echocast.server.edr.inside import check_degrees
from echocast.server.edr.refusals import Refused
from echocast.server.edr.wkt import Geometry, Polygon, WktLimits

_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True)
class Location:
    """A named place.

    Args:
        id: in addresses.
        name: for people.
        geometry: in degrees.
    """

    id: str
    name: str
    geometry: Geometry

    @property
    def kind(self) -> str:
        """The query that answers for it."""
        return "position" if self.geometry.points else "area"


def listing(
    locations: Mapping[str, Location], address: str, datetime: str, parameters: Sequence[str]
) -> dict[str, Any]:
    """All locations as EDR GeoJSON; an empty collection if there are none.

    Args:
        locations: by id.
        address: of the query.
        datetime: the interval for which there are values.
        parameters: their names.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": one.id,
                "geometry": _geometry(one.geometry),
                "properties": {
                    "label": one.name,
                    "datetime": datetime,
                    "parameter-name": list(parameters),
                    "edrqueryendpoint": f"{address}/{one.id}",
                },
            }
            for one in locations.values()
        ],
        "links": [{"href": address, "rel": "self", "type": "application/geo+json", "title": "named places"}],
    }


def _geometry(geometry: Geometry) -> dict[str, Any]:
    if geometry.points:
        return {"type": "Point", "coordinates": list(geometry.points[0])}
    polygons = [_polygon(polygon) for polygon in geometry.polygons]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _polygon(polygon: Polygon) -> list[list[list[float]]]:
    return [[list(position) for position in ring] for ring in polygon]


def read(path: Path | None, limits: WktLimits) -> Mapping[str, Location]:
    """The places of a GeoJSON file by their ids, none without a file.

    Args:
        path: a FeatureCollection; each feature has an id (its own, or its property ``id``), may have a property
            ``name``, and is a Point, a Polygon or a MultiPolygon in degrees.
        limits: vertices of one place.

    Raises:
        DataError: it cannot be read, or a feature is not as it must be.
    """
    if path is None:
        return {}
    try:
        content = json.loads(path.read_bytes())
        features = content["features"]
        found = [_location(feature, number, limits) for number, feature in enumerate(features)]
    except OSError as bad:
        raise DataError(f"{path}: cannot be read ({bad.strerror}); see --locations") from bad
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as bad:
        raise DataError(f"{path}: is no GeoJSON FeatureCollection with places ({bad})") from bad
    except Refused as bad:
        raise DataError(f"{path}: {bad.detail}") from bad
    made = {one.id: one for one in found}
    if len(made) < len(found):
        raise DataError(f"{path}: two features have the same id; give each its own")
    return made


def _location(feature: Mapping[str, Any], number: int, limits: WktLimits) -> Location:
    told = feature.get("properties") or {}
    name = str(feature.get("id", told.get("id", "")))
    if not _ID.fullmatch(name):
        raise ValueError(f"feature {number}: its id is {name!r}; give it one of letters, digits, '.', '_' and '-'")
    kind, places = feature["geometry"]["type"], feature["geometry"]["coordinates"]
    match kind:
        case "Point":
            geometry = Geometry("POINT", points=(_position(places),))
        case "Polygon":
            geometry = Geometry("POLYGON", polygons=(_rings(places, name),))
        case "MultiPolygon":
            geometry = Geometry("MULTIPOLYGON", polygons=tuple(_rings(one, name) for one in places))
        case _:
            raise ValueError(f"{name}: is a {kind}; give a Point, a Polygon or a MultiPolygon")
    check_degrees(geometry)
    if sum(len(ring) for polygon in geometry.polygons for ring in polygon) > limits.vertices:
        raise ValueError(f"{name}: has more than {limits.vertices:,} vertices, the most; simplify it")
    return Location(name, str(told.get("name") or name), geometry)


def _rings(places: Sequence[Any], name: str) -> Polygon:
    rings = tuple(tuple(_position(one) for one in ring) for ring in places)
    if not rings or any(len(ring) < 4 or ring[0] != ring[-1] for ring in rings):
        raise ValueError(f"{name}: a ring is not closed or has fewer than 4 positions")
    return rings


def _position(place: Sequence[Any]) -> tuple[float, float]:
    x, y = float(place[0]), float(place[1])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"{x} {y} is no position")
    return x, y
