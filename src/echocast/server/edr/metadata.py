"""What the service says of itself: the landing page, conformance, the collection and its instances.

Source: OGC API - Environmental Data Retrieval 1.2 (OGC 19-086), annexes A and C.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from echocast.operations.grid import Grid
from echocast.operations.stamps import iso
from echocast.server.edr import covjson, queries
from echocast.server.edr.coverage import CRS84
from echocast.server.edr.parameters import Parameter, leads_of
from echocast.server.edr.queries import FORMATS, Issue

COLLECTION = "nowcast"
TITLE = "Nowcast of rain"
DESCRIPTION = (
    "Rain rates, amounts and, from an ensemble, quantiles and probabilities, forecast from radar for the next minutes"
    " to hours. A new instance is published after each radar frame; without an instance the newest is given. Automatic,"
    " not an official warning."
)
_KEYWORDS = ["nowcast", "rain", "precipitation", "radar", "probability", "forecast"]
_OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
_GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
_CONFORMS = (
    *("ogcapi-common-1/1.0/conf/core", "ogcapi-common-2/1.0/conf/collections"),
    *(
        f"ogcapi-edr-1/1.2/conf/{name}"
        for name in (
            "core",
            "collections",
            "queries",
            "instances",
            "json",
            "edr-geojson",
            "geojson",
            "covjson",
            "oas31",
        )
    ),
)
_CRS84_WKT = (
    'GEOGCRS["WGS 84 (CRS84)",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563]],'
    'CS[ellipsoidal,2],AXIS["geodetic longitude (Lon)",east],AXIS["geodetic latitude (Lat)",north],'
    'ANGLEUNIT["degree",0.0174532925199433],ID["OGC","CRS84"]]'
)
_QUERIES = {
    "position": ("Values at points", "coords=POINT(7.9 47.35)"),
    "area": ("Values in polygons", "coords=POLYGON((7 47,8 47,8 48,7 47))"),
    "cube": ("Values in a box", "bbox=7,46.5,9,47.8"),
    "locations": ("Values at named places", ""),
}


def landing(base: str, root: str) -> dict[str, Any]:
    """The landing page; `base` is the address of EDR, `root` that of the server."""
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "keywords": _KEYWORDS,
        "links": [
            _link(f"{base}/", "self", "application/json", "this document"),
            _link(f"{root}/openapi.json", "service-desc", _OPENAPI, "definition of the API"),
            _link(f"{root}/docs", "service-doc", "text/html", "documentation of the API"),
            _link(f"{base}/conformance", "conformance", "application/json", "conformance classes"),
            _link(f"{base}/collections", "data", "application/json", "collections"),
        ],
    }


def conformance() -> dict[str, Any]:
    """The classes that the service conforms to."""
    return {"conformsTo": [f"http://www.opengis.net/spec/{name}" for name in _CONFORMS]}


def collections(base: str, newest: Issue | None) -> dict[str, Any]:
    """The one collection; none as long as nothing is published."""
    links = [_link(f"{base}/collections", "self", "application/json", "this document")]
    return {"links": links, "collections": [collection(base, newest)] if newest else []}


def collection(base: str, newest: Issue) -> dict[str, Any]:
    """The collection: what the newest issue has."""
    address = f"{base}/collections/{COLLECTION}"
    found = _described(address, COLLECTION, TITLE, DESCRIPTION, newest)
    found["links"].append(_link(f"{address}/instances", "instances", "application/json", "published forecasts"))
    found["data_queries"]["instances"] = _query(f"{address}/instances", "instances", "Published forecasts", newest.grid)
    return found


def instances(base: str, issues: Iterable[Issue], total: int) -> dict[str, Any]:
    """Issues, newest first; `total` tells how many there are."""
    address = f"{base}/collections/{COLLECTION}/instances"
    return {
        "links": [_link(address, "self", "application/json", f"the newest of {total} published forecasts")],
        "instances": [instance(base, one) for one in issues],
    }


def instance(base: str, issue: Issue) -> dict[str, Any]:
    """One issue."""
    address = f"{base}/collections/{COLLECTION}/instances/{issue.id}"
    return _described(address, issue.id, f"Nowcast issued {iso(issue.issued)}", DESCRIPTION, issue)


def _described(address: str, name: str, title: str, description: str, issue: Issue) -> dict[str, Any]:
    data = [
        _link(f"{address}/{query}", "data", FORMATS[0].media_type, told)
        for query, (told, _) in _QUERIES.items()
        if query != "locations"
    ]
    return {
        "id": name,
        "title": title,
        "description": description,
        "keywords": _KEYWORDS,
        "links": [
            _link(address, "self", "application/json", "this document"),
            *data,
            _link(f"{address}/locations", "data", "application/geo+json", "named places"),
        ],
        "extent": _extent(issue),
        "data_queries": {
            query: _query(f"{address}/{query}", query, told, issue.grid) for query, (told, _) in _QUERIES.items()
        },
        "crs": list(queries.systems(issue.grid)),
        "output_formats": [one.name for one in FORMATS],
        "parameter_names": {name: _parameter(one) for name, one in issue.parameters.items()},
    }


def _extent(issue: Issue) -> dict[str, Any]:
    times = [iso(issue.issued + 60 * lead) for lead in leads_of(tuple(issue.parameters.values()))]
    return {
        "spatial": {"bbox": [list(issue.grid.bounds or (-180.0, -90.0, 180.0, 90.0))], "crs": covjson.CRS84_URI},
        "temporal": {"interval": [[times[0], times[-1]]], "values": times, "trs": _GREGORIAN},
    }


def _query(address: str, kind: str, title: str, grid: Grid) -> dict[str, Any]:
    example = _QUERIES.get(kind, ("", ""))[1]
    variables: dict[str, Any] = {"title": title, "query_type": kind}
    if kind != "instances":
        variables |= {
            "output_formats": [one.name for one in FORMATS],
            "default_output_format": FORMATS[0].name,
            "crs_details": [{"crs": name, "wkt": _wkt(name, grid)} for name in queries.systems(grid)],
        }
    variables |= {"description": f"for example ?{example}"} if example else {}
    variables |= {"height_units": ["m"]} if kind == "cube" else {}
    kind_of_answer = "application/json" if kind == "instances" else FORMATS[0].media_type
    return {"link": {"href": address, "rel": "data", "type": kind_of_answer, "title": title, "variables": variables}}


def _wkt(crs: str, grid: Grid) -> str:
    return _CRS84_WKT if crs == CRS84 else grid.crs_wkt


def _parameter(one: Parameter) -> dict[str, Any]:
    symbol, label = one.unit()
    measured = (
        {"method": "sum", "duration": f"PT{one.span:g}M"} if one.span else {"method": "point", "duration": "PT0S"}
    )
    return {
        "type": "Parameter",
        "id": one.name,
        "label": one.title,
        "data-type": "float",
        "unit": {"label": label, "symbol": {"value": symbol, "type": "http://www.opengis.net/def/uom/UCUM/"}},
        "observedProperty": {"id": one.observed(), "label": one.title},
        "measurementType": measured,
    }


def _link(address: str, relation: str, kind: str, title: str) -> Mapping[str, str]:
    return {"href": address, "rel": relation, "type": kind, "title": title}
