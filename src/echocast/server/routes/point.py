"""The forecast at a place: every lead with its uncertainty, amounts, when rain begins, and a sentence."""

import json
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request, Response

from echocast.server import answers, documents, series
from echocast.server.answers import Body
from echocast.server.problems import Problem
from echocast.server.service import Service

CSV = "text/csv"


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get(
        "/v1/point",
        tags=["forecast"],
        summary="The forecast at a place",
        responses=documents.of("application/json", CSV),
        response_class=Response,
    )
    async def point(
        request: Request,
        lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Degrees north, WGS 84.")],
        lon: Annotated[float, Query(ge=-180, le=360, allow_inf_nan=False, description="Degrees east, WGS 84.")],
        f: Annotated[Literal["json", "csv"], Query(description="The form.")] = "json",
        issue: Annotated[str | None, Query(max_length=60, description="Of an older forecast; else the newest.")] = None,
    ) -> Response:
        """`coverage` says what the numbers are worth: `ok`, `outside` the grid, `no_data` there, or `stale`."""
        snapshot = service.snapshot
        chosen = snapshot.newest if issue is None else snapshot.issues.get(issue)
        if issue is not None and chosen is None:
            raise Problem(404, "there is no issue of this id, or no more; ask for /v1/index.json again")
        about = series.Place(lat, lon, chosen, snapshot.newest_frame, service.clock(), service.settings.stale)
        if f == "csv":
            body = Body(about.csv().encode(), f"{CSV}; charset=utf-8")
        else:
            tag = f"{snapshot.digest[:16]}-{lat:g}-{lon:g}-{issue or ''}-{about.coverage}"
            body = Body(json.dumps(about.content()).encode(), "application/json", tag=tag, weak=True)
        return answers.answer(request, body, keep=answers.BRIEFLY, expires=service.expected_next)
