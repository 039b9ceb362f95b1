"""Rules of CoverageJSON (OGC 21-069r2) as a JSON schema: only what an answer of EDR has.

Written from the standard: sections 6.1 (domains and their types), 6.2 (ranges), 5 (parameters and referencing).
"""

from typing import Any

_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_TEXT = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}
_ONE = {"type": "object", "required": ["values"], "properties": {"values": _NUMBERS | {"maxItems": 1}}}
_REGULAR = {
    "type": "object",
    "required": ["start", "stop", "num"],
    "properties": {
        "start": {"type": "number"},
        "stop": {"type": "number"},
        "num": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}
_TIMES = {
    "type": "object",
    "required": ["values"],
    "properties": {"values": {"type": "array", "items": _TIME, "minItems": 1, "uniqueItems": True}},
    "additionalProperties": False,
}
_TUPLES = {
    "type": "object",
    "required": ["dataType", "coordinates", "values"],
    "properties": {
        "dataType": {"const": "tuple"},
        "coordinates": {"const": ["x", "y"]},
        "values": {"type": "array", "items": _NUMBERS | {"minItems": 2, "maxItems": 2}, "minItems": 1},
    },
}


def _domain(kind: str, axes: dict[str, Any]) -> dict[str, Any]:
    return {
        "properties": {
            "domainType": {"const": kind},
            "axes": {"type": "object", "required": list(axes), "properties": axes, "additionalProperties": False},
        }
    }


_SYSTEM = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["GeographicCRS", "ProjectedCRS", "TemporalRS"]}, "id": {"type": "string"}},
    "if": {"properties": {"type": {"const": "TemporalRS"}}},
    "then": {"required": ["calendar"]},
}
_UNIT = {
    "type": "object",
    "anyOf": [{"required": ["label"]}, {"required": ["symbol"]}],
    "properties": {
        "label": _TEXT,
        "symbol": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["value", "type"],
                    "properties": {"value": {"type": "string"}, "type": {"type": "string", "format": "uri"}},
                },
            ]
        },
    },
}
_PARAMETER = {
    "type": "object",
    "required": ["type", "observedProperty"],
    "properties": {
        "type": {"const": "Parameter"},
        "label": _TEXT,
        "description": _TEXT,
        "observedProperty": {
            "type": "object",
            "required": ["label"],
            "properties": {"id": {"type": "string"}, "label": _TEXT, "description": _TEXT},
        },
        "unit": _UNIT,
    },
}
_RANGE = {
    "type": "object",
    "required": ["type", "dataType", "axisNames", "shape", "values"],
    "properties": {
        "type": {"const": "NdArray"},
        "dataType": {"const": "float"},
        "axisNames": {"type": "array", "items": {"enum": ["t", "y", "x", "composite"]}, "uniqueItems": True},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "values": {"type": "array", "items": {"type": ["number", "null"]}},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["type", "domain", "parameters", "ranges"],
    "properties": {
        "type": {"const": "Coverage"},
        "id": {"type": "string"},
        "domain": {
            "type": "object",
            "required": ["type", "domainType", "axes", "referencing"],
            "properties": {
                "type": {"const": "Domain"},
                "referencing": {
                    "type": "array",
                    "minItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["coordinates", "system"],
                        "properties": {
                            "coordinates": {"type": "array", "items": {"enum": ["x", "y", "t"]}},
                            "system": _SYSTEM,
                        },
                    },
                },
            },
            "oneOf": [
                _domain("PointSeries", {"x": _ONE, "y": _ONE, "t": _TIMES}),
                _domain("MultiPointSeries", {"composite": _TUPLES, "t": _TIMES}),
                _domain("Grid", {"x": _REGULAR, "y": _REGULAR, "t": _TIMES}),
            ],
        },
        "parameters": {"type": "object", "additionalProperties": _PARAMETER},
        "ranges": {"type": "object", "additionalProperties": _RANGE},
    },
}
