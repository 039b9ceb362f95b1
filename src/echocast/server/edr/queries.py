"""A query of EDR, step by step: what is asked (`read`), which cells (`plan`), their values as a file (`answer`).

`read` is quick and needs no file. `plan` refuses what is too large before any value is read. `answer` gives the file in
parts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from echocast.operations.grid import Grid
from echocast.operations.point_file import PointFile
from echocast.server.edr import covjson, netcdf, projection, reading, selecting, tables, times, wkt
from echocast.server.edr.coverage import CRS84, NATIVE, Coverage, Points, Raster
from echocast.server.edr.parameters import Parameter, chosen, leads_of
from echocast.server.edr.refusals import Refused, TooMuch, shown
from echocast.server.edr.wkt import Geometry, WktLimits

_HEIGHT = r"-?[0-9]+(\.[0-9]+)?"
HEIGHTS = rf"^({_HEIGHT}(,{_HEIGHT})*|{_HEIGHT}/{_HEIGHT}|R[0-9]+/{_HEIGHT}/{_HEIGHT})$"
"""What `z` may be: heights, a range, or a number of steps from a height."""
PARAMETERS = ("datetime", "parameter-name", "z", "crs", "f")
"""What every query of data takes, beside `coords` or `bbox`."""


@dataclass(frozen=True)
class Limits:
    """How much one answer may hold.

    Args:
        values: numbers, before they are written.
        bytes: of the file.
        wkt: of the text of `coords`.
    """

    values: int = 4_000_000
    bytes: int = 32 * 2**20
    wkt: WktLimits = field(default_factory=WktLimits)


@dataclass(frozen=True)
class Format:
    """A form of answers.

    Args:
        name: as `f` and the metadata have it.
        media_type: as `Accept` and the answer have it.
        suffix: of a file.
        parts: writes it.
        per_value: bytes of a number in it, at most about.
        per_row: bytes of a row beside its numbers; 0 if there are no rows.
    """

    name: str
    media_type: str
    suffix: str
    parts: Callable[[Coverage], Iterator[bytes]]
    per_value: int
    per_row: int = 0


FORMATS = (
    Format("CoverageJSON", covjson.MEDIA_TYPE, "covjson", covjson.parts, 10),
    Format("GeoJSON", tables.GEOJSON, "geojson", tables.geojson_parts, 32, 150),
    Format("CSV", tables.CSV, "csv", tables.csv_parts, 10, 80),
    Format("NetCDF", netcdf.MEDIA_TYPE, "nc", netcdf.parts, 4),
)
"""The first is the one that is given unless another is asked for."""
_ALSO_CALLED = {"json": "CoverageJSON", "covjson": "CoverageJSON", "netcdf3": "NetCDF", "nc": "NetCDF"}


@runtime_checkable
class Issue(Protocol):
    """What a query needs of an issue."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def issued(self) -> float:
        """Its time, seconds since 1970."""
        ...

    @property
    def grid(self) -> Grid:
        """Where its cells are."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What it has, by name."""
        ...

    @property
    def values(self) -> PointFile:
        """Its block file."""
        ...


@dataclass(frozen=True)
class Query:
    """What is asked.

    Args:
        kind: ``position``, ``area`` or ``cube``.
        geometry: of a position or area.
        bbox: of a cube.
        parameters: what.
        leads: of which lead times, in minutes.
        degrees: whether places are longitude and latitude.
        crs: in which system the answer is.
        form: how it is written.
    """

    kind: str
    geometry: Geometry | None
    bbox: str
    parameters: tuple[Parameter, ...]
    leads: tuple[float, ...]
    degrees: bool
    crs: str
    form: Format

    @property
    def is_light(self) -> bool:
        """Whether it takes about a millisecond: a few points."""
        return self.geometry is not None and 0 < len(self.geometry.points) <= 4


@dataclass(frozen=True)
class Plan:
    """Which cells; their number is within the limits."""

    query: Query
    domain: Points | Raster


def read(kind: str, asked: Mapping[str, str], issue: Issue, limits: Limits, accept: str = "") -> Query:
    """What the parameters of a request ask of an issue.

    Args:
        kind: ``position``, ``area`` or ``cube``.
        asked: the parameters of the request.
        issue: of which issue.
        limits: of the text of `coords`.
        accept: media types that the client accepts, if it does not say `f`.

    Raises:
        Refused: one of them is wrong, is missing, or is not known.
    """
    place = "bbox" if kind == "cube" else "coords"
    check_names(asked, (place, *PARAMETERS))
    if place not in asked:
        example = "7,46.5,9,47.8" if kind == "cube" else _EXAMPLES[kind]
        raise Refused(f"{place} is missing; an example is {place}={example}")
    geometry = None if kind == "cube" else _geometry(kind, asked["coords"], limits.wkt)
    return of_geometry(kind, geometry, asked, issue, accept)


def of_geometry(
    kind: str, geometry: Geometry | None, asked: Mapping[str, str], issue: Issue, accept: str = ""
) -> Query:
    """The same for a geometry that is known already, as that of a location."""
    parameters = chosen(asked.get("parameter-name"), issue.parameters)
    leads = leads_of(parameters)
    at = times.wanted(asked.get("datetime"), [issue.issued + 60 * lead for lead in leads])
    degrees, crs = _crs(asked.get("crs"), issue.grid)
    _check_heights(asked.get("z"))
    form = _format(asked.get("f"), accept)
    return Query(kind, geometry, asked.get("bbox", ""), parameters, tuple(leads[n] for n in at), degrees, crs, form)


_EXAMPLES = {"position": "POINT(7.9 47.35)", "area": "POLYGON((7 47,8 47,8 48,7 47))"}


def check_names(asked: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise `Refused` for a parameter that is not known: a misspelt one would be ignored in silence."""
    if unknown := [name for name in asked if name not in known]:
        raise Refused(f"{shown(unknown[0])} is no parameter of this query; there are: {', '.join(known)}")


def plan(query: Query, issue: Issue, limits: Limits) -> Plan | None:
    """The cells of a query; none if nothing is there at that place or time.

    Raises:
        Refused: the place cannot be on Earth.
        TooMuch: the answer would be larger than the limits.
    """
    domain = _domain(query, issue.grid, limits)
    if domain is None or not query.leads or not domain.inside.any():
        return None
    check_size(query, domain, limits)
    return Plan(query, domain)


def check_size(query: Query, domain: Points | Raster, limits: Limits) -> None:
    """Raise `TooMuch` if the answer would be larger than the limits."""
    cells = int(domain.inside.size)
    values = cells * len(query.leads) * len(query.parameters)
    if values > limits.values:
        raise TooMuch(
            f"{cells:,} cells x {len(query.leads)} times x {len(query.parameters)} parameters are {values:,} values;"
            f" the most is {limits.values:,}; ask for a smaller place, fewer parameters (parameter-name) or times"
            " (datetime)"
        )
    size = expected_bytes(query, domain)
    if size > limits.bytes:
        raise TooMuch(
            f"as {query.form.name} this would be about {size // 2**20} MiB; the most is {limits.bytes // 2**20}; ask"
            " for less, or for f=NetCDF or f=CoverageJSON, which are smaller"
        )


def expected_bytes(query: Query, domain: Points | Raster) -> int:
    """About how large the file will be."""
    rows = int(domain.inside.sum()) * len(query.leads)
    if query.form.per_row:
        return rows * (query.form.per_row + query.form.per_value * len(query.parameters))
    return int(domain.inside.size) * len(query.leads) * len(query.parameters) * query.form.per_value + 4096


def answer(plan: Plan, issue: Issue, limits: Limits) -> list[bytes]:
    """The file, in parts.

    Raises:
        TooMuch: it became larger than the limits.
        UnreadableFile: the block file is gone or damaged.
    """
    query = plan.query
    found = reading.values(issue.values, plan.domain, query.parameters, query.leads)
    coverage = Coverage(issue.id, issue.issued, issue.grid, plan.domain, query.parameters, query.leads, found)
    made, size = [], 0
    for part in query.form.parts(coverage):
        made.append(part)
        size += len(part)
        if size > limits.bytes:
            raise TooMuch(f"the answer is larger than {limits.bytes // 2**20} MiB, the most; ask for less")
    return made


def _geometry(kind: str, text: str, limits: WktLimits) -> Geometry:
    found = wkt.parse(text, limits)
    if (kind == "position") != bool(found.points):
        kinds = "POINT or MULTIPOINT" if kind == "position" else "POLYGON or MULTIPOLYGON"
        raise Refused(f"coords: {kind} takes {kinds}, not {found.kind}")
    return found


def _domain(query: Query, grid: Grid, limits: Limits) -> Points | Raster | None:
    if query.geometry is not None and query.geometry.points:
        many = query.geometry.kind == "MULTIPOINT"
        return selecting.points(query.geometry, grid, degrees=query.degrees, many=many)
    if query.geometry is None:
        wanted = selecting.cube(query.bbox, degrees=query.degrees)
    else:
        wanted = selecting.area(query.geometry, degrees=query.degrees)
    found = selecting.native(wanted, grid)
    if found is None or query.crs == NATIVE:
        return found
    most = limits.values // max(1, len(query.leads) * len(query.parameters))
    return selecting.in_degrees(found, wanted, grid, most)


def systems(grid: Grid) -> tuple[str, ...]:
    """What `crs` may be: degrees, the projection of the grid, and its identifier if an authority knows it."""
    identifier = projection.uri(grid)
    return (CRS84, NATIVE, *([identifier] if identifier else []))


def _crs(text: str | None, grid: Grid) -> tuple[bool, str]:
    """Whether places are in degrees, and in which system the answer is."""
    if text is None:
        return True, NATIVE
    if text in (CRS84, "OGC:CRS84", covjson.CRS84_URI, covjson.CRS84_URI.replace("http:", "https:")):
        return True, CRS84
    if text in systems(grid)[1:]:
        return False, NATIVE
    raise Refused(f"crs: {shown(text)} is not known; there are: {', '.join(systems(grid))}")


def _check_heights(text: str | None) -> None:
    """Rain at the ground has no heights: `z` is ignored, unless it is no text of heights at all."""
    if text is not None and (len(text) > 200 or not re.fullmatch(HEIGHTS, text)):
        raise Refused(f"z: {shown(text)} is no height, list or range of heights; it can be left out")


def _format(text: str | None, accept: str) -> Format:
    if text is not None:
        name = _ALSO_CALLED.get(text.lower(), text).lower()
        found = [one for one in FORMATS if name in (one.name.lower(), one.media_type)]
        if not found:
            raise Refused(f"f: {shown(text)} is not known; there are: {', '.join(one.name for one in FORMATS)}")
        return found[0]
    media = [part.partition(";")[0].strip().lower() for part in accept.split(",")[:20]]
    return next((one for kind in media for one in FORMATS if kind == one.media_type), FORMATS[0])
