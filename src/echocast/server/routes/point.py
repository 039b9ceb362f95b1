"""The forecast at a place: every lead with its uncertainty, amounts, when rain begins, and a sentence.

Plain requests are answered without FastAPI, which would take most of their time; what is unusual or wrong goes the long
way, to the same answers.
"""

import re
from typing import Annotated, Literal, NamedTuple

from fastapi import FastAPI, Query, Request, Response

from echocast.server import answers, documents
from echocast.server.answers import Answer, Body
from echocast.server.asgi import Scope
from echocast.server.edr import covjson
from echocast.server.problems import Problem
from echocast.server.series import Place
from echocast.server.service import Service

CSV = "text/csv"
_DEGREES = r"-?\d{1,3}(?:\.\d{1,15})?"
_PLAIN = re.compile(
    rf"lat=({_DEGREES})&lon=({_DEGREES})(?:&f=(json|csv|covjson))?(?:&issue=([\w-]{{1,60}}))?".encode(), re.ASCII
)
"""The usual query: nothing twice, nothing escaped, in this order."""


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    points = Points(service)
    service.fast.append(("/v1/point", points.fast))

    @app.get(
        "/v1/point",
        tags=["forecast"],
        summary="The forecast at a place",
        responses=documents.of("application/json", CSV, covjson.MEDIA_TYPE),
        response_class=Response,
    )
    async def point(
        request: Request,
        lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Degrees north, WGS 84.")],
        lon: Annotated[float, Query(ge=-180, le=360, allow_inf_nan=False, description="Degrees east, WGS 84.")],
        f: Annotated[Literal["json", "csv", "covjson"], Query(description="The form.")] = "json",
        issue: Annotated[str | None, Query(max_length=60, description="Of an older forecast; else the newest.")] = None,
    ) -> Response:
        """`coverage` says what the numbers are worth: `ok`, `outside` the grid, `no_data` there, or `stale`.

        CoverageJSON (`f=covjson`) has the numbers alone; where nothing is known they are null.
        """
        return points.answer(Wish(lat, lon, f, issue), answers.Client.of(request.headers)).response()


class Wish(NamedTuple):
    """A place that is asked for."""

    latitude: float
    longitude: float
    form: str
    issue: str | None


class Points:
    """Answers for places."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def fast(self, rest: str, scope: Scope) -> Answer | None:
        """The answer to a plain request; None for any other. Raises `Problem`."""
        found = None if rest else _PLAIN.fullmatch(scope["query_string"])
        if found is None:
            return None
        latitude, longitude = float(found[1]), float(found[2])
        if abs(latitude) > 90 or not -180 <= longitude <= 360:
            return None
        form, issue = (None if one is None else one.decode() for one in found.groups()[2:])
        return self.answer(Wish(latitude, longitude, form or "json", issue), answers.Client.of_scope(scope))

    def answer(self, wish: Wish, client: answers.Client) -> Answer:
        """What is known of a place; raises `Problem` where there is no such issue."""
        service, snapshot = self._service, self._service.snapshot
        chosen = snapshot.newest if wish.issue is None else snapshot.issues.get(wish.issue)
        if wish.issue is not None and chosen is None:
            raise Problem(404, "there is no issue of this id, or no more; ask for /v1/index.json again")
        stale = service.settings.stale
        about = Place(wish.latitude, wish.longitude, chosen, snapshot.newest_frame, service.clock(), stale)
        match wish.form:
            case "csv":
                body = Body(about.csv().encode(), f"{CSV}; charset=utf-8")
            case "covjson":
                content = about.covjson()
                if content is None:
                    raise Problem(404, "there is no forecast with numbers of places yet")
                body = Body(content, covjson.MEDIA_TYPE)
            case _:
                tag = f"{snapshot.digest[:16]}-{wish.latitude:g}-{wish.longitude:g}-{wish.issue or ''}-{about.coverage}"
                body = Body(about.json(), "application/json", tag=tag, weak=True)
        return answers.made(client, body, keep=answers.BRIEFLY, expires=service.expected_next)
