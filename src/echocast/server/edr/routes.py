"""The addresses of EDR, below ``/edr``."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from echocast.operations.stamps import iso
from echocast.server import answers
from echocast.server.answers import BRIEFLY, FOREVER, Body
from echocast.server.edr import documented, locations, metadata, queries
from echocast.server.edr.locations import Location
from echocast.server.edr.parameters import leads_of
from echocast.server.edr.queries import Limits, Query
from echocast.server.edr.refusals import NotThere, Refused, shown
from echocast.server.edr.serving import Held, Sent, ServedIssue, gathered, served
from echocast.server.edr.wkt import WktLimits
from echocast.server.problems import Problem
from echocast.server.service import Service

_TAG = "OGC API EDR"
_HERE = f"/edr/collections/{metadata.COLLECTION}"
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_GEOJSON = "application/geo+json"
_SHARE_HELD = 0.5
"""All answers on their way together may hold so many times the largest one; a single one may be larger."""


class EdrProblem(Problem):
    """An error with the members of EDR's schema beside those of RFC 9457."""

    def content(self) -> bytes:
        """The body of the answer."""
        own = {"code": str(self.status), "description": self.detail}
        return json.dumps(json.loads(super().content()) | own, ensure_ascii=False).encode()


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    edr = _Edr(service)
    _add(app, "/edr/", edr.landing, "Landing page", documented.answers("application/json"))
    _add(app, "/edr/conformance", edr.conformance, "Conformance classes", documented.answers("application/json"))
    _add(app, "/edr/collections", edr.collections, "Collections", documented.answers("application/json"))
    _add(app, _HERE, edr.collection, "The collection of forecasts", documented.answers("application/json"))
    listed = documented.answers("application/json", queried=True)
    _add(app, f"{_HERE}/instances", edr.instances, "Published forecasts", listed, parameters=[documented.LIMIT])
    _add(
        app,
        f"{_HERE}/instances/{{instance}}",
        edr.instance,
        "A published forecast",
        documented.answers("application/json"),
        parameters=[documented.INSTANCE],
    )
    for root, name in ((_HERE, "of the newest forecast"), (f"{_HERE}/instances/{{instance}}", "of a forecast")):
        _add_queries(app, edr, root, name)


def _add_queries(app: FastAPI, edr: "_Edr", root: str, name: str) -> None:
    is_instance = root != _HERE
    data = documented.answers(data=True)
    for kind, told in (("position", "Values at points"), ("area", "Values in polygons"), ("cube", "Values in a box")):
        extra = documented.parameters(kind, edr.limits, instance=is_instance)
        _add(app, f"{root}/{kind}", edr.query(kind), f"{told}, {name}", data, **extra)
    own = [documented.INSTANCE] if is_instance else []
    listed = documented.answers(_GEOJSON)
    _add(app, f"{root}/locations", edr.locations, f"Named places, {name}", listed, parameters=own)
    extra = documented.parameters("location", edr.limits, instance=is_instance)
    extra["parameters"].append(documented.LOCATION)
    _add(app, f"{root}/locations/{{location}}", edr.location, f"Values at a named place, {name}", data, **extra)


def _add(
    app: FastAPI,
    path: str,
    handler: Callable[..., Any],
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    **extra: Any,
) -> None:
    """Add an address whose parameters FastAPI does not read: EDR's names and errors are its own."""
    app.add_api_route(
        path,
        handler,
        methods=["GET"],
        summary=summary,
        tags=[_TAG],
        response_class=Response,
        responses=responses,
        openapi_extra=extra or None,
        operation_id="edr" + re.sub(r"\W+", "_", path.removeprefix("/edr")).rstrip("_"),
    )


@dataclass(frozen=True)
class _Asked:
    """A request: the issue it is about, its parameters, and how long its answer stays true."""

    issue: ServedIssue
    parameters: Mapping[str, str]
    keep: str
    expires: float | None


class _Edr:
    """Answers requests of EDR; raises `DataError` if the file of places cannot be used."""

    def __init__(self, service: Service) -> None:
        self.service = service
        told = service.settings.limits
        self.limits = Limits(told.values, told.bytes, WktLimits(told.wkt_bytes, told.points, told.vertices))
        self.held = Held(int(_SHARE_HELD * told.bytes))
        self.places: Mapping[str, Location] = locations.read(service.settings.locations, self.limits.wkt)

    async def landing(self, request: Request) -> Response:
        """The landing page."""
        root = self._root(request)
        return answers.answer(request, _json(metadata.landing(f"{root}/edr", root)), keep=BRIEFLY)

    def _root(self, request: Request) -> str:
        """The address of the server: what was told, or as the client wrote it; only its path if that is no address."""
        host = request.headers.get("host", "")
        if self.service.settings.public_url or _HOST.fullmatch(host):
            return self.service.host(request)
        return self.service.settings.root_path

    async def conformance(self, request: Request) -> Response:
        """The conformance classes."""
        return answers.answer(request, _json(metadata.conformance()), keep=BRIEFLY)

    async def collections(self, request: Request) -> Response:
        """All collections."""
        found = metadata.collections(f"{self._root(request)}/edr", served(self.service.snapshot.newest))
        return answers.answer(request, _json(found), keep=BRIEFLY, expires=self.service.expected_next)

    async def collection(self, request: Request) -> Response:
        """The collection."""
        return self._described(request, metadata.collection)

    async def instance(self, request: Request) -> Response:
        """An issue."""
        return self._described(request, metadata.instance)

    async def instances(self, request: Request) -> Response:
        """Published issues."""
        try:
            most = _limit(_parameters(request))
        except Refused as bad:
            return _refused(bad)
        snapshot = self.service.snapshot
        issues = [one for one in map(served, list(snapshot.issues.values())[:most]) if one is not None]
        found = metadata.instances(f"{self._root(request)}/edr", issues, len(snapshot.issues))
        return answers.answer(request, _json(found), keep=BRIEFLY, expires=self.service.expected_next)

    async def locations(self, request: Request) -> Response:
        """Named places."""
        try:
            asked = self._asked(request)
            queries.check_names(asked.parameters, ())
        except Refused as bad:
            return _refused(bad)
        address = f"{self._root(request)}{request.url.path.removeprefix(request.scope.get('root_path', ''))}"
        leads = leads_of(tuple(asked.issue.parameters.values()))
        interval = "/".join(iso(asked.issue.issued + 60 * lead) for lead in (leads[0], leads[-1]))
        found = locations.listing(self.places, address, interval, list(asked.issue.parameters))
        return answers.answer(request, _json(found, _GEOJSON), keep=asked.keep, expires=asked.expires)

    async def location(self, request: Request) -> Response:
        """Values at a named place."""
        try:
            asked = self._asked(request)
            name = request.path_params["location"]
            place = self.places.get(name)
            if place is None:
                raise NotThere(f"there is no place {shown(name)}; /locations lists them")
            queries.check_names(asked.parameters, queries.PARAMETERS)
            accept = request.headers.get("accept", "")
            query = queries.of_geometry(place.kind, place.geometry, asked.parameters, asked.issue, accept)
            return await self._answered(request, asked, query)
        except Refused as bad:
            return _refused(bad)

    def query(self, kind: str) -> Callable[..., Any]:
        """The handler of a query."""

        async def handler(request: Request) -> Response:
            try:
                asked = self._asked(request)
                accept = request.headers.get("accept", "")
                query = queries.read(kind, asked.parameters, asked.issue, self.limits, accept)
                return await self._answered(request, asked, query)
            except Refused as bad:
                return _refused(bad)

        return handler

    def _described(self, request: Request, describe: Callable[[str, ServedIssue], dict[str, Any]]) -> Response:
        try:
            asked = self._asked(request)
        except Refused as bad:
            return _refused(bad)
        body = _json(describe(f"{self._root(request)}/edr", asked.issue))
        return answers.answer(request, body, keep=BRIEFLY, expires=self.service.expected_next)

    def _asked(self, request: Request) -> _Asked:
        """The issue that a request is about, and its parameters; raises `Refused`."""
        snapshot = self.service.snapshot
        name = request.path_params.get("instance")
        issue = served(snapshot.newest if name is None else snapshot.issues.get(name))
        if issue is None and name is None:
            raise NotThere("no forecast is published yet")
        if issue is None:
            raise NotThere(f"there is no forecast {shown(str(name))}; /instances lists those that are kept")
        keep, expires = (BRIEFLY, self.service.expected_next) if name is None else (FOREVER, None)
        return _Asked(issue, _parameters(request), keep, expires)

    async def _answered(self, request: Request, asked: _Asked, query: Query) -> Response:
        """Make the answer in a thread, unless the client has it."""
        zipped = query.form.name != "NetCDF" and answers.accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = hashlib.blake2b(f"{asked.issue.id} {query!r}".encode(), digest_size=12).hexdigest()
        etag = f'"{tag}-gz"' if zipped else f'"{tag}"'
        headers = {"etag": etag, "cache-control": asked.keep, "vary": "Accept, Accept-Encoding"}
        if asked.expires is not None:
            headers["expires"] = formatdate(asked.expires, usegmt=True)
        if answers.matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        run = asyncio.to_thread if query.is_light else self.service.heavy.run  # a point waits for no greedy query
        plan = await run(queries.plan, query, asked.issue, self.limits)
        if plan is None:
            return Response(status_code=204, headers={"cache-control": asked.keep})
        taken = self.held.take(queries.expected_bytes(query, plan.domain))
        try:
            parts = await run(self._made, plan, asked.issue, zipped)
        except BaseException:
            self.held.give_back(taken)
            raise
        headers |= {"content-encoding": "gzip"} if zipped else {}
        name = f"nowcast_{asked.issue.id}_{query.kind}.{query.form.suffix}"
        headers["content-disposition"] = f'inline; filename="{name}"'
        return Sent(parts, headers, query.form.media_type, self.held, taken, self.service.settings.limits.seconds)

    def _made(self, plan: queries.Plan, issue: ServedIssue, zipped: bool) -> list[bytes]:
        return gathered(queries.answer(plan, issue, self.limits), zipped=zipped)


def _json(content: Mapping[str, Any], kind: str = "application/json") -> Body:
    return Body(json.dumps(content, ensure_ascii=False).encode(), kind)


def _refused(bad: Refused) -> Response:
    return EdrProblem(bad.status, bad.detail).response()


def _parameters(request: Request) -> dict[str, str]:
    """The parameters of a request; raises `Refused` for one that is given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise Refused(f"{shown(name)} is given twice; give it once")
        found[name] = value
    return found


def _limit(asked: Mapping[str, str]) -> int:
    """How many issues to list."""
    queries.check_names(asked, ("limit",))
    text = asked.get("limit", "100")
    if not re.fullmatch("[0-9]{1,100}", text) or int(text) < 1:
        raise Refused(f"limit: {shown(text)} is no whole number of 1 or more")
    return min(int(text), 10_000)
