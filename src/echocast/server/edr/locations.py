"""Named places: areas of the alert rules, or none. Each is a point or polygons in degrees.

An answer of a point is that of a position, an answer of polygons that of an area.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echocast.server.edr.wkt import Geometry, Polygon


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
