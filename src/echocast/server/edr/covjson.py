"""CoverageJSON: one position is a PointSeries, several a MultiPointSeries, an area or cube a Grid.

Source: the CoverageJSON community standard (OGC 21-069r2): an axis of times has `values`, what has no value is null,
texts are objects by language.
"""

import json
from collections.abc import Iterator
from typing import Any

from echocast.operations.grid import Axis, Grid
from echocast.operations.stamps import iso
from echocast.server.edr import projection
from echocast.server.edr.coverage import CRS84, Coverage, Points, Raster
from echocast.server.edr.numbers import written
from echocast.server.edr.parameters import Parameter

MEDIA_TYPE = "application/prs.coverage+json"
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def parts(coverage: Coverage) -> Iterator[bytes]:
    """The document, in parts."""
    head = {
        "type": "Coverage",
        "id": coverage.issue,
        "domain": _domain(coverage),
        "parameters": {one.name: _parameter(one) for one in coverage.parameters},
    }
    yield json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1].encode() + b',"ranges":{'
    names, shape = _axes_and_shape(coverage)
    for number, parameter in enumerate(coverage.parameters):
        about = {"type": "NdArray", "dataType": "float", "axisNames": names, "shape": shape}
        opened = json.dumps(about, separators=(",", ":"))[:-1]
        yield (b"," if number else b"") + f'"{parameter.name}":{opened},"values":['.encode()
        yield from written(coverage.values[parameter.name], b"null")
        yield b"]}"
    yield b"}}\n"


def _axes_and_shape(coverage: Coverage) -> tuple[list[str], list[int]]:
    size = len(coverage.leads)
    match coverage.domain:
        case Raster():
            return ["t", "y", "x"], [size, *coverage.domain.shape]
        case Points(many=True):
            return ["t", "composite"], [size, *coverage.domain.shape]
    return ["t"], [size]


def _domain(coverage: Coverage) -> dict[str, Any]:
    times: dict[str, Any] = {"t": {"values": [iso(time) for time in coverage.times]}}
    axes: dict[str, Any]
    match coverage.domain:
        case Raster() as raster:
            kind, axes = "Grid", {"x": _axis(raster.x), "y": _axis(raster.y)}
        case Points(many=True) as points:
            places = [[float(x), float(y)] for x, y in zip(points.x, points.y, strict=True)]
            kind = "MultiPointSeries"
            axes = {"composite": {"dataType": "tuple", "coordinates": ["x", "y"], "values": places}}
        case points:
            kind, axes = "PointSeries", {"x": {"values": [float(points.x[0])]}, "y": {"values": [float(points.y[0])]}}
    return {
        "type": "Domain",
        "domainType": kind,
        "axes": axes | times,
        "referencing": [
            {"coordinates": ["x", "y"], "system": _system(coverage.domain.crs, coverage.grid)},
            {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
        ],
    }


def _axis(axis: Axis) -> dict[str, float | int]:
    return {"start": axis.first, "stop": projection.last(axis), "num": axis.size}


def _system(crs: str, grid: Grid) -> dict[str, Any]:
    if crs == CRS84:
        return {"type": "GeographicCRS", "id": CRS84_URI}
    kind = "GeographicCRS" if grid.crs.is_geographic else "ProjectedCRS"
    # The standard has no member for a projection without an identifier; `wkt` is ours, and EDR's in its metadata.
    return {"type": kind, "wkt": grid.crs_wkt} | ({"id": identifier} if (identifier := projection.uri(grid)) else {})


def _parameter(one: Parameter) -> dict[str, Any]:
    symbol, label = one.unit()
    return {
        "type": "Parameter",
        "description": {"en": one.title},
        "observedProperty": {"id": one.observed(), "label": {"en": one.title}},
        "unit": {
            "label": {"en": label},
            "symbol": {"value": symbol, "type": "http://www.opengis.net/def/uom/UCUM/"},
        },
    }
