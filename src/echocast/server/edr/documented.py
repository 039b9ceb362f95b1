"""What OpenAPI says of EDR: parameters, answers and limits."""

from typing import Any

from echocast.server.edr.queries import FORMATS, HEIGHTS, Limits
from echocast.server.problems import MEDIA_TYPE as PROBLEM

_ERROR = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "description"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "description": {"type": "string"},
    },
}
_ERRORS = {
    400: "A parameter is wrong, missing or not known; the description says which and what to do.",
    404: "There is no such forecast or place, or none is published.",
    413: "More is asked for than one answer may hold; the description tells the limit.",
    503: "Too busy, or the files cannot be read at the moment; try again.",
}
_RESULTS = {one.media_type: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS} | {
    FORMATS[0].media_type: {"schema": {"type": "object", "required": ["type", "domain", "ranges"]}},
    FORMATS[1].media_type: {"schema": {"type": "object", "required": ["type", "features"]}},
    FORMATS[2].media_type: {"schema": {"type": "string"}},
}


def answers(*kinds: str, data: bool = False, queried: bool = False) -> dict[int | str, dict[str, Any]]:
    """The answers of an address.

    Args:
        kinds: media types of JSON documents.
        data: whether they are values, in any form.
        queried: whether there are parameters that can be wrong.
    """
    content = _RESULTS if data else {kind: {"schema": {"type": "object"}} for kind in kinds}
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "What was asked for.", "content": content},
        304: {"description": "The client has it."},
    }
    if data:
        found[204] = {"description": "There is nothing at that place and time."}
    errors = (400, 404, 413, 503) if data else (400, 404, 503) if queried else (404, 503)
    return found | {status: _error(_ERRORS[status]) for status in errors}


def parameters(kind: str, limits: Limits, *, instance: bool) -> dict[str, Any]:
    """The parameters of a query, for `openapi_extra`."""
    found = _of_place(kind, limits) + _common()
    return {"parameters": ([INSTANCE] if instance else []) + found}


def _of_place(kind: str, limits: Limits) -> list[dict[str, Any]]:
    match kind:
        case "position":
            text = f"POINT, or MULTIPOINT of at most {limits.wkt.points} points, as WKT: longitude latitude"
            return [_query("coords", text, {"format": "wkt-points"}, "POINT(7.9 47.35)", required=True)]
        case "area":
            text = (
                f"POLYGON or MULTIPOLYGON of at most {limits.wkt.vertices} vertices, as WKT: longitude latitude. Cells"
                " whose centre lies inside are given; beyond the antimeridian longitudes go on (179 to 181)"
            )
            return [_query("coords", text, {"format": "wkt-polygons"}, "POLYGON((7 47,8 47,8 48,7 47))", required=True)]
        case "cube":
            text = "west,south,east,north; west is greater than east across the antimeridian"
            return [_query("bbox", text, {"format": "bbox"}, "7,46.5,9,47.8", required=True)]
    return []


def _common() -> list[dict[str, Any]]:
    time = "Valid times: an instant, a list, or an interval (../end, start/.. are open), RFC 3339 with a zone"
    crs = "of places and of the answer. Without it places are degrees and areas and cubes come as the grid has them"
    return [
        _query("datetime", time, {"format": "edr-datetime"}, "2026-11-28T05:10:00Z/.."),
        _query("parameter-name", "Names with commas between; all without it", {"format": "edr-names"}, "rainfall_rate"),
        _query("z", "Heights; ignored, since rain is at the ground", {"pattern": HEIGHTS, "maxLength": 200}, "0"),
        _query("crs", f"The system {crs}", {"enum": ["CRS84", "native"]}, "CRS84"),
        _query("f", "The form of the answer", {"enum": [one.name for one in FORMATS]}, FORMATS[0].name),
    ]


def _query(name: str, text: str, schema: dict[str, Any], example: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": f"{text}.",
        "schema": {"type": "string", **schema},
        "example": example,
        "style": "form",
        "explode": False,
    }


def _path(name: str, text: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": f"{text}.", "schema": schema}


INSTANCE = _path("instance", "The id of a published forecast", r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")
LOCATION = _path("location", "The id of a place", r"^[A-Za-z0-9._-]{1,100}$")
LIMIT = {
    "name": "limit",
    "in": "query",
    "required": False,
    "description": "How many of the newest forecasts are listed; at most 10,000 are.",
    "schema": {"type": "integer", "minimum": 1, "default": 100},
}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM: {"schema": _ERROR}}}
