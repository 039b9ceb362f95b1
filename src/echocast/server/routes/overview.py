"""Pictures of the whole domain in web Mercator: a loop of them is far less than its tiles."""

import math
from typing import Annotated, Literal

import numpy as np
from fastapi import FastAPI, Path, Query, Request, Response

from echocast._version import __version__
from echocast.operations.grid import Grid
from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.documents import PNG
from echocast.server.problems import Problem
from echocast.server.routes.tiles import PaletteName, source_of
from echocast.server.service import Service
from echocast.server.snapshot import Snapshot
from echocast.server.tiles import mercator, png
from echocast.server.tiles.mercator import HALF, Picture
from echocast.server.tiles.renderer import Source, head_of

WIDTHS = (384, 640, 768, 1024)
_TALLEST = 2
"""Times the width: of a taller domain the picture is narrower."""


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses; the newest observed picture is drawn before anyone asks, since the map begins with it."""
    service.ahead.append(lambda snapshot: _draw_newest(service, snapshot))

    @app.get(
        "/v1/overview/{id}/{layer}/{lead}.png",
        tags=["maps"],
        summary="A picture of the whole domain (EPSG:3857)",
        responses=PNG,
        response_class=Response,
    )
    async def overview(
        request: Request,
        id: Annotated[str, Path(description="Of an issue, or of an observed frame.")],  # noqa: A002
        layer: Annotated[str, Path(description="Of a frame `rate` or `coverage`.")],
        lead: Annotated[float, Path(description="Minutes; 0 for a frame.")],
        width: Annotated[
            Literal["384", "640", "768", "1024"], Query(description="Pixels; fewer of a domain much taller than wide.")
        ] = "768",
        palette: Annotated[PaletteName | None, Query()] = None,
    ) -> Response:
        """Where it lies is told in /v1/index.json."""
        if int(width) > service.settings.limits.width:
            raise Problem(400, f"width: the most is {service.settings.limits.width}")
        source = source_of(service.snapshot, id, layer, lead)
        picture = picture_of(source.grid, int(width))
        chosen = palette or service.settings.palette
        key = _key(source, int(width))
        tag = f"{__version__}.{id}.{layer}.{source.lead:g}.{width}.{chosen}"
        if answers.matches(request.headers.get("if-none-match"), f'"{tag}"'):
            return answers.answer(request, Body(b"", "image/png", tag=tag))
        pixels = service.renderer.known(key)
        if pixels is None:
            pixels = await service.drawing.run(service.renderer.pixels, key, source, picture)
        head = head_of(chosen, source.legend.scale, picture.width, picture.height)
        return answers.answer(request, Body(head + pixels + png.END, "image/png", tag=tag))


def _key(source: Source, width: int) -> tuple[str, str, float, str, int]:
    return source.id, source.layer, source.lead, "overview", width


def _draw_newest(service: Service, snapshot: Snapshot) -> None:
    frame = snapshot.newest_frame
    if frame is None or frame.grid is None or frame.quantity != "rainfall_rate":
        return
    source = source_of(snapshot, frame.id, "rate", 0.0)
    for width in WIDTHS:
        service.renderer.pixels(_key(source, width), source, picture_of(source.grid, width))


def picture_of(grid: Grid, width: int) -> Picture:
    """The pixels that show a whole grid; of one that is cut by the date line they go on beyond 180 degrees east."""
    west, south, east, north = bounds_of(grid)
    left, bottom = mercator.mercator(west, south)
    right, top = mercator.mercator(east, north)
    metres = max((right - left) / width, (top - bottom) / (_TALLEST * width))
    across, down = (max(1, math.ceil(size / metres - 1e-6)) for size in (right - left, top - bottom))
    return Picture((left + HALF) / metres, (HALF - top) / metres, across, down, metres)


def bounds_of(grid: Grid) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid in web Mercator; east is above 180 where the date line cuts it."""
    west, south, east, north = grid.bounds or (-180.0, -90.0, 180.0, 90.0)
    most = mercator.MOST_LATITUDE
    return west, max(-most, min(most, south)), east + 360 if east <= west else east, max(-most, min(most, north))


def corners_of(picture: Picture) -> list[list[float]]:
    """South-west and north-east corner of a picture, each latitude and longitude, as Leaflet takes them."""
    west, east = ((picture.left + across) * picture.metres / HALF * 180 - 180 for across in (0, picture.width))
    _, (north, south) = picture.places(np.zeros(2), np.array([0.0, picture.height]))
    return [[float(south), float(west)], [float(north), float(east)]]
