"""The addresses of RainViewer's API (version 2), so that its clients work here: weather cards, apps, panels.

Observed frames are its past, the leads of the newest forecast its nowcast. Its numbers of palettes and its options are
taken, and mean: 0 is grey, 1 to 8 our own; smoothing and snow do nothing. Paths are opaque, as there.
"""

import json
import re
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Request, Response

from echocast.server import answers, documents
from echocast.server.answers import Body
from echocast.server.asgi import Scope
from echocast.server.documents import PNG
from echocast.server.problems import Problem
from echocast.server.routes.index import PAST_S
from echocast.server.routes.tiles import Tiles, Wish
from echocast.server.service import FastAnswer, Service
from echocast.server.snapshot import Snapshot
from echocast.server.tiles.mercator import HALF, Picture, mercator

_NUMBER = r"-?\d{1,7}(?:\.\d{1,12})?"
_ADDRESS = re.compile(
    rf"([\w-]{{1,40}})(?:\.(\d{{1,5}}(?:\.\d{{1,3}})?))?/(256|512)/(\d{{1,2}})/({_NUMBER})/({_NUMBER})/(\d{{1,3}})/\d_\d\.png",
    re.ASCII,
)


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    pictures = Pictures(service)
    service.fast.append(("/v2/radar/", pictures.answer))

    @app.get(
        "/public/weather-maps.json",
        tags=["rainviewer"],
        summary="Frames in the form of RainViewer's API",
        responses=documents.of("application/json"),
        response_class=Response,
    )
    async def weather_maps(request: Request) -> Response:
        content = maps(service.snapshot, service.host(request))
        body = Body(json.dumps(content).encode(), "application/json")
        return answers.answer(request, body, keep=answers.BRIEFLY, expires=service.expected_next)

    @app.get(
        "/v2/radar/{frame}/{size}/{z}/{x}/{y}/{color}/{options}.png",
        tags=["rainviewer"],
        summary="A tile; with decimal numbers in place of x and y, the picture around that latitude and longitude",
        responses=PNG,
        response_class=Response,
    )
    async def tile(
        request: Request,
        frame: Annotated[str, Path(description="The last part of a path of weather-maps.json.")],
        size: Literal["256", "512"],
        z: Annotated[int, Path(ge=0, le=service.settings.limits.zoom)],
        x: Annotated[float, Path()],
        y: Annotated[float, Path()],
        color: Annotated[int, Path(ge=0, le=999)],
        options: Annotated[str, Path(pattern=r"^\d_\d$")],
    ) -> Response:
        """Colour 0 is grey, others are the palette of this server; options do nothing."""
        rest = f"{frame}/{size}/{z}/{x:.15g}/{y:.15g}/{color}/{options}.png"
        found = await pictures.answer(rest, request.scope)
        if found is None:
            raise Problem(404, "there is no such picture")
        status, headers, body = found
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def maps(snapshot: Snapshot, host: str) -> dict[str, Any]:
    """The index; its forecast begins behind the last observed frame."""
    newest, last = snapshot.newest, snapshot.newest_frame
    until = last.seconds if last else 0.0
    past = [one for one in snapshot.frames.values() if one.seconds >= until - PAST_S]
    leads = [] if newest is None or "rate" not in newest.layers else newest.leads
    forecast = [(newest.seconds + 60 * lead, f"{newest.id}.{lead:g}") for lead in leads if newest is not None]
    return {
        "version": "2.0",
        "generated": int(snapshot.generated),
        "host": host,
        "radar": {
            "past": [{"time": int(one.seconds), "path": f"/v2/radar/{one.id}"} for one in past],
            "nowcast": [{"time": int(at), "path": f"/v2/radar/{name}"} for at, name in forecast if at > until],
        },
        "satellite": {"infrared": []},
    }


class Pictures:
    """Answers the addresses of pictures."""

    def __init__(self, service: Service) -> None:
        self._service, self._tiles = service, Tiles(service)

    async def answer(self, rest: str, scope: Scope) -> FastAnswer | None:
        """The answer to ``FRAME/SIZE/Z/X/Y/COLOR/OPTIONS.png``; None for another address. Raises `Problem`."""
        match = _ADDRESS.fullmatch(rest)
        if match is None:
            return None
        name, lead, size, zoom, x, y, colour = match.groups()
        palette = "grey" if colour == "0" else self._service.settings.palette
        given = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"if-none-match"), None)
        wish = Wish(name, "rate", float(lead or 0), int(zoom), float(x), float(y), int(size), palette)
        if "." not in x and "." not in y:
            return await self._tiles.draw(wish._replace(x=int(x), y=int(y)), given)
        return await self._tiles.picture(wish, self._around(wish), given)

    def _around(self, wish: Wish) -> Picture:
        """The picture around a latitude (x) and longitude (y); raises `Problem`."""
        if wish.z > self._service.settings.limits.zoom or abs(wish.x) > 90 or abs(wish.y) > 180:
            raise Problem(404, f"there is no place {wish.x:g}, {wish.y:g} at zoom {wish.z}")
        metres = 2 * HALF / (wish.size * 2**wish.z)
        east, north = mercator(wish.y, wish.x)
        left, top = (round((part + HALF) / metres) - wish.size // 2 for part in (east, -north))
        return Picture(left, top, wish.size, wish.size, metres)
