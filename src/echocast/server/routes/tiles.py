"""Tiles (XYZ, EPSG:3857), pictures of the whole domain, TileJSON.

Tiles are answered without FastAPI, which would take most of their time; the routes here document them.
"""

import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import parse_qsl

from fastapi import FastAPI, Path, Query, Request, Response

from echocast._version import __version__
from echocast.server import answers
from echocast.server.asgi import Scope
from echocast.server.documents import PNG
from echocast.server.problems import Problem
from echocast.server.service import FastAnswer, Service
from echocast.server.snapshot import Issue, ObservedFrame, Snapshot
from echocast.server.tiles import mercator, png
from echocast.server.tiles.mercator import Picture
from echocast.server.tiles.palettes import PALETTES
from echocast.server.tiles.renderer import Source, head_of

SIZES = (256, 512)
_ADDRESS = re.compile(
    r"([\w-]{1,40})/([\w.]{1,40})/(\d{1,5}(?:\.\d{1,3})?)/(\d{1,2})/(\d{1,7})/(\d{1,7})\.png", re.ASCII
)

PaletteName = Literal["cvd", "classic", "grey", "night"]


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    tiles = Tiles(service)
    service.fast.append(("/v1/tiles/", tiles.answer))

    @app.get(
        "/v1/tiles/{id}/{layer}/{lead}/{z}/{x}/{y}.png",
        tags=["maps"],
        summary="A tile of the usual scheme (XYZ, EPSG:3857)",
        responses=PNG,
        response_class=Response,
    )
    async def tile(
        request: Request,
        id: Annotated[str, Path(description="Of an issue, or of an observed frame.")],  # noqa: A002
        layer: Annotated[str, Path(description="Of a frame `rate` or `coverage`.")],
        lead: Annotated[float, Path(description="Minutes; 0 for a frame.")],
        z: Annotated[int, Path(ge=0, le=service.settings.limits.zoom)],
        x: Annotated[int, Path(ge=0)],
        y: Annotated[int, Path(ge=0)],
        palette: Annotated[PaletteName | None, Query()] = None,
        size: Annotated[Literal["256", "512"], Query()] = "256",
    ) -> Response:
        """16 colours. What is dry is not drawn, what is not known is grey and half transparent."""
        wish = Wish(id, layer, lead, z, x, y, int(size), palette or service.settings.palette)
        status, headers, body = await tiles.draw(wish, request.headers.get("if-none-match"))
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})


class Wish(NamedTuple):
    """A tile that is asked for."""

    id: str
    layer: str
    lead: float
    z: int
    x: float
    y: float
    size: int
    palette: str


class Tiles:
    """Draws tiles, and answers their addresses without FastAPI."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, rest: str, scope: Scope) -> FastAnswer | None:
        """The answer to ``ID/LAYER/LEAD/Z/X/Y.png``; None for another address. Raises `Problem`."""
        match = _ADDRESS.fullmatch(rest)
        if match is None:
            return None
        name, layer, lead, z, x, y = match.groups()
        palette, size = self._wishes(scope["query_string"])
        given = next((value for key, value in scope["headers"] if key == b"if-none-match"), None)
        wish = Wish(name, layer, float(lead), int(z), int(x), int(y), size, palette)
        return await self.draw(wish, None if given is None else given.decode("latin-1"))

    async def draw(self, wish: Wish, given: str | None) -> FastAnswer:
        """A tile, or 304 where the client has it (`given` is its If-None-Match); raises `Problem`."""
        most = self._service.settings.limits.zoom
        if wish.z > most or min(wish.x, wish.y) < 0 or max(wish.x, wish.y) >= 2**wish.z:
            raise Problem(404, f"there is no tile {wish.z}/{wish.x}/{wish.y}; zooms go from 0 to {most}")
        return await self.picture(wish, mercator.tile(wish.z, int(wish.x), int(wish.y), wish.size), given)

    async def picture(self, wish: Wish, picture: Picture, given: str | None) -> FastAnswer:
        """A square picture; the wish says of what."""
        source = source_of(self._service.snapshot, wish.id, wish.layer, wish.lead)
        etag = f'"{__version__}.{".".join(map(str, wish))}"'
        headers = [(b"cache-control", answers.FOREVER.encode()), (b"etag", etag.encode())]
        if answers.matches(given, etag):
            return 304, headers, b""
        renderer, key = self._service.renderer, wish[:-1]
        pixels = renderer.known(key)
        if pixels is None:
            pixels = await self._service.drawing.run(renderer.pixels, key, source, picture)
        head = head_of(wish.palette, source.legend.scale, wish.size, wish.size)
        return 200, [*headers, (b"content-type", b"image/png")], head + pixels + png.END

    def _wishes(self, query: bytes) -> tuple[str, int]:
        """The palette and the size that are asked for; raises `Problem`."""
        if not query:
            return self._service.settings.palette, 256
        given = dict(parse_qsl(query.decode("latin-1"), max_num_fields=20, keep_blank_values=True))
        palette, size = given.get("palette", self._service.settings.palette), given.get("size", "256")
        if palette not in PALETTES:
            raise Problem(400, f"palette: there is none of this name; there are {', '.join(PALETTES)}")
        if size not in map(str, SIZES):
            raise Problem(400, "size: is 256 or 512")
        return palette, int(size)


def source_of(snapshot: Snapshot, name: str, layer: str, lead: float) -> Source:
    """A layer of an issue or frame at a lead; raises `Problem` 404 where there is none."""
    found: Issue | ObservedFrame | None = snapshot.issues.get(name) or snapshot.frames.get(name)
    if found is None:
        raise Problem(404, "there is no issue or frame of this id, or no more; ask for /v1/index.json again")
    try:
        return Source(found, layer, lead)
    except KeyError:
        raise Problem(404, "there is no such layer, or not at this lead; /v1/index.json has those that are") from None
