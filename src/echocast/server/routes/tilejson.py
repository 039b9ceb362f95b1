"""TileJSON 3.0.0: a layer at a lead, for clients that know nothing of echocast."""

import json
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response

from echocast.server import answers, documents
from echocast.server.answers import Body
from echocast.server.routes.overview import bounds_of
from echocast.server.routes.tiles import PaletteName, source_of
from echocast.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get(
        "/v1/tiles/{id}/{layer}/{lead}/tilejson.json",
        tags=["maps"],
        summary="TileJSON of a layer at a lead",
        responses=documents.of("application/json"),
        response_class=Response,
    )
    async def tilejson(
        request: Request,
        id: Annotated[str, Path(description="Of an issue, or of an observed frame.")],  # noqa: A002
        layer: Annotated[str, Path(description="Of a frame `rate` or `coverage`.")],
        lead: Annotated[float, Path(description="Minutes; 0 for a frame.")],
        palette: Annotated[PaletteName | None, Query()] = None,
    ) -> Response:
        source = source_of(service.snapshot, id, layer, lead)
        west, south, east, north = bounds_of(source.grid)
        host = service.host(request)
        chosen = f"?palette={palette}" if palette else ""
        content: dict[str, Any] = {
            "tilejson": "3.0.0",
            "name": f"{layer} {id} +{lead:g} min",
            "tiles": [f"{host}/v1/tiles/{id}/{layer}/{lead:g}/{{z}}/{{x}}/{{y}}.png{chosen}"],
            "minzoom": 0,
            "maxzoom": service.settings.limits.zoom,
            "bounds": [round(max(west, -180), 6), round(south, 6), round(min(east, 180), 6), round(north, 6)],
            "attribution": service.attribution,
            "legend": f"{host}/v1/legend/{layer}.json{chosen}",
        }
        if east > 180:  # TileJSON has no bounds across the date line
            content["bounds"][0::2] = [-180, 180]
        return answers.answer(request, Body(json.dumps(content).encode(), "application/json"))
