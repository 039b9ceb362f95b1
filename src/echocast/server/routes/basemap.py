"""Coasts, borders and places around the domain, for the map: cut once for each grid."""

import asyncio
import json

from fastapi import FastAPI, Request, Response

from echocast.plotting.basemap import web
from echocast.plotting.basemap.clip import Box
from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.service import Service

_WORLD: Box = (-180.0, -60.0, 180.0, 80.0)
_MEDIA_TYPE = "application/json"


class _Basemaps:
    """The basemap of the newest domain; another one is made when the domain changes."""

    def __init__(self) -> None:
        self._made: tuple[Box, Body] | None = None
        self._lock = asyncio.Lock()

    async def of(self, box: Box) -> Body:
        async with self._lock:
            if self._made is None or self._made[0] != box:
                self._made = box, await asyncio.to_thread(_body, box)
            return self._made[1]


def add(app: FastAPI, service: Service) -> None:
    """Add the address."""
    basemaps = _Basemaps()

    @app.get(
        "/v1/basemap.json",
        tags=["map"],
        summary="Coasts, borders and places around the domain",
        response_class=Response,
        responses={200: {"content": {_MEDIA_TYPE: {"schema": {"type": "object"}}}}},
    )
    async def basemap(request: Request) -> Response:
        return answers.answer(request, await basemaps.of(_box(service)), keep=answers.BRIEFLY)


def _box(service: Service) -> Box:
    """Around the grid of the newest issue; the world where there is none."""
    newest = service.snapshot.newest
    bounds = newest.grid.bounds if newest is not None and newest.grid is not None else None
    if bounds is None:
        return _WORLD
    west, south, east, north = bounds
    return web.with_margin((west, south, east + 360.0 if east < west else east, north))


def _body(box: Box) -> Body:
    content = json.dumps(web.basemap(box), separators=(",", ":"), ensure_ascii=False)
    return Body(content.encode(), _MEDIA_TYPE)
