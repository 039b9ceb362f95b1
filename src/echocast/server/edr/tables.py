"""CSV and GeoJSON: a row, or a feature, for each time and place.

Places are in degrees, and in x and y of the grid too where it was asked for in that projection. A parameter without a
value at a time or place is empty in CSV and null in GeoJSON. Places that were not asked for are left out.
"""

import json
from collections.abc import Iterator

import numpy as np

from echocast.operations.stamps import iso
from echocast.server.edr.coverage import CRS84, Coverage, strips
from echocast.server.edr.numbers import texts

CSV = "text/csv"
GEOJSON = "application/geo+json"
_PART = 4096


def csv_parts(coverage: Coverage) -> Iterator[bytes]:
    """A table with a head, lines ended as RFC 4180 says."""
    native = coverage.domain.crs != CRS84
    names = [one.name for one in coverage.parameters]
    head = ["datetime", "lead_minutes", "longitude", "latitude", *(["x", "y"] if native else []), *names]
    yield ",".join(head).encode() + b"\r\n"
    places = _Places(coverage, native=native)
    for number, (time, lead) in enumerate(zip(coverage.times, coverage.leads, strict=True)):
        start = f"{iso(time)},{lead:g},".encode()
        for part in places.parts():
            columns = [texts(coverage.flat(name, number)[part], b"") for name in names]
            yield b"".join(
                b"%b%b,%b\r\n" % (start, place, b",".join(row))
                for place, row in zip(places.texts(part), zip(*columns, strict=True), strict=True)
            )


def geojson_parts(coverage: Coverage) -> Iterator[bytes]:
    """A FeatureCollection of points (RFC 7946: longitude and latitude)."""
    yield b'{"type":"FeatureCollection","issue":' + json.dumps(coverage.issue).encode() + b',"features":['
    names = [f',"{one.name}":'.encode() for one in coverage.parameters]
    places, comma = _Places(coverage, native=False), b""
    for number, (time, lead) in enumerate(zip(coverage.times, coverage.leads, strict=True)):
        start = f'"properties":{{"datetime":"{iso(time)}","lead_minutes":{lead:g}'.encode()
        for part in places.parts():
            columns = [texts(coverage.flat(one.name, number)[part], b"null") for one in coverage.parameters]
            features = (
                b'{"type":"Feature","geometry":{"type":"Point","coordinates":[%b]},%b%b}}'
                % (place, start, b"".join(map(bytes.__add__, names, row)))
                for place, row in zip(places.texts(part), zip(*columns, strict=True), strict=True)
            )
            yield comma + b",\n".join(features)
            comma = b",\n"
    yield b"]}\n"


class _Places:
    """Longitude and latitude of the places as text, to about 10 cm, and x and y where wanted; kept for all times."""

    def __init__(self, coverage: Coverage, *, native: bool) -> None:
        longitude, latitude = coverage.degrees
        self._columns = [("%.6f", (longitude + 180) % 360 - 180), ("%.6f", latitude)]
        if native:
            self._columns += [("%.10g", one[coverage.domain.inside]) for one in coverage.domain.coordinates()]
        self._kept: dict[int, list[bytes]] = {}
        self._keep = len(coverage.leads) > 1

    def parts(self) -> Iterator[slice]:
        return strips(self._columns[0][1].size, _PART)

    def texts(self, part: slice) -> list[bytes]:
        if part.start in self._kept:
            return self._kept[part.start]
        columns = [np.char.mod(form, values[part]).tolist() for form, values in self._columns]
        made = [",".join(place).encode() for place in zip(*columns, strict=True)]
        if self._keep:
            self._kept[part.start] = made
        return made
