"""Coasts, borders and places around the domain, for the map: cut once for each grid."""

import asyncio
import json
import threading

from fastapi import FastAPI, Request, Response

from echocast.plotting.basemap import web
from echocast.plotting.basemap.clip import Box
from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.service import Service
from echocast.server.snapshot import Snapshot

_WORLD: Box = (-180.0, -60.0, 180.0, 80.0)
_MEDIA_TYPE = "application/json"


class _Basemaps:
    """The basemap of the newest domain; another one is made when the domain changes."""

    def __init__(self) -> None:
        self._made: tuple[Box, Body] | None = None
        self._lock = threading.Lock()

    def of(self, box: Box) -> Body:
        """That of a box, with its gzipped form; it takes a second to make."""
        made = self._made
        if made is not None and made[0] == box:
            return made[1]
        with self._lock:
            if self._made is None or self._made[0] != box:
                body = _body(box)
                body.gzipped  # noqa: B018 (made here once, and kept)
                self._made = box, body
            return self._made[1]


def add(app: FastAPI, service: Service) -> None:
    """Add the address."""
    basemaps = _Basemaps()
    service.ahead.append(lambda snapshot: _make(basemaps, snapshot))

    @app.get(
        "/v1/basemap.json",
        tags=["map"],
        summary="Coasts, borders and places around the domain",
        response_class=Response,
        responses={200: {"content": {_MEDIA_TYPE: {"schema": {"type": "object"}}}}},
    )
    async def basemap(request: Request) -> Response:
        body = await asyncio.to_thread(basemaps.of, _box(service.snapshot))
        return answers.answer(request, body, keep=answers.BRIEFLY)


def _make(basemaps: _Basemaps, snapshot: Snapshot) -> None:
    """That of what is published, before anyone asks."""
    if snapshot.newest is not None or snapshot.newest_frame is not None:
        basemaps.of(_box(snapshot))


def _box(snapshot: Snapshot) -> Box:
    """Around the grid of the newest issue, or else of the newest frame; the world where there is neither."""
    found = [one.grid for one in (snapshot.newest, snapshot.newest_frame) if one is not None]
    bounds = next((grid.bounds for grid in found if grid is not None), None)
    if bounds is None:
        return _WORLD
    west, south, east, north = bounds
    return web.with_margin((west, south, east + 360.0 if east < west else east, north))


def _body(box: Box) -> Body:
    content = json.dumps(web.basemap(box), separators=(",", ":"), ensure_ascii=False)
    return Body(content.encode(), _MEDIA_TYPE)
