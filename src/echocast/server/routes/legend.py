"""What the colours mean, as JSON and as a picture."""

import json
from itertools import zip_longest
from typing import Annotated, Any
from xml.sax.saxutils import escape

from fastapi import FastAPI, Path, Query, Request, Response

from echocast.server import answers, documents
from echocast.server.answers import Body
from echocast.server.problems import Problem
from echocast.server.routes.tiles import PaletteName
from echocast.server.service import Service
from echocast.server.tiles.palettes import LEGENDS, NOT_KNOWN_ALPHA, PALETTES, Legend, scale_of

_TITLES = {
    "rate": "Rain rate",
    "amount": "Rain amount",
    "probability": "Probability",
    "coverage": "Coverage",
}
_BOX, _HIGH, _WIDE = 44, 62, 240
"""Pixels: of a class, of the picture, and least width."""


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get(
        "/v1/legend/{layer}.json",
        tags=["maps"],
        summary="The classes of a layer and their colours",
        responses=documents.of("application/json"),
        response_class=Response,
    )
    async def as_json(
        request: Request,
        layer: Annotated[str, Path(description="As `rate.p90` or `prob.amount.60.10`.")],
        palette: Annotated[PaletteName | None, Query()] = None,
    ) -> Response:
        content = legend(layer, palette or service.settings.palette)
        return answers.answer(request, Body(json.dumps(content).encode(), "application/json"), keep=answers.HOURLY)

    @app.get(
        "/v1/legend/{layer}.svg",
        tags=["maps"],
        summary="The classes of a layer as a picture",
        responses=documents.of("image/svg+xml"),
        response_class=Response,
    )
    async def as_svg(
        request: Request,
        layer: Annotated[str, Path(description="As `rate.p90` or `prob.amount.60.10`.")],
        palette: Annotated[PaletteName | None, Query()] = None,
    ) -> Response:
        content = drawn(legend(layer, palette or service.settings.palette))
        return answers.answer(request, Body(content.encode(), "image/svg+xml"), keep=answers.HOURLY)


def legend(layer: str, palette: str) -> dict[str, Any]:
    """The legend of a layer: each class with its least value, the next one's, its colour and its label."""
    scale = scale_of(layer)
    if scale is None:
        raise Problem(404, "there is no layer of this name")
    about, colours = LEGENDS[scale], PALETTES[palette]
    return {
        "layer": layer,
        "title": _TITLES[scale],
        "units": about.units,
        "palette": palette,
        "classes": _classes(about, [_css(colour) for colour in colours.colours(about)]),
        "not_known": {
            "color": _css(colours.not_known),
            "opacity": round(NOT_KNOWN_ALPHA / 255, 2),
            "label": "not known",
        },
        "dry": {"color": None, "label": "not drawn"},
    }


def _classes(about: Legend, colours: list[str]) -> list[dict[str, Any]]:
    """The classes; neighbours of one colour are one."""
    factor = 100 if about.scale == "probability" else 1
    found: list[dict[str, Any]] = []
    for least, colour in zip(about.breaks, colours, strict=True):
        if found and found[-1]["color"] == colour:
            continue
        found.append({"from": round(least * factor, 6), "to": None, "color": colour})
    for one, following in zip_longest(found, found[1:]):
        one["to"] = following["from"] if following else 100.0 if factor == 100 else None
        one["label"] = f"{one['from']:g}" + ("" if following else "+" if factor == 1 else "")
    return found


def drawn(about: dict[str, Any]) -> str:
    """A legend as SVG: boxes in a row, their least values below their left edges."""
    classes = about["classes"]
    width = max(_WIDE, _BOX * len(classes) + 150)
    title = f"{about['title']}{' in ' + about['units'] if about['units'] else ''}"
    known = about["not_known"]
    at = 8 + _BOX * len(classes) + (16 if classes else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HIGH}" viewBox="0 0 {width} {_HIGH}"'
        f' role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{_HIGH}" fill="#ffffff"/>',
        f'<text x="8" y="16" font-weight="600" fill="#222222">{escape(title)}</text>',
    ]
    for number, one in enumerate(classes):
        left = 8 + number * _BOX
        parts.append(f'<rect x="{left}" y="24" width="{_BOX}" height="18" fill="{one["color"]}"/>')
        parts.append(f'<text x="{left}" y="56" fill="#222222">{escape(one["label"])}</text>')
    parts.append(
        f'<rect x="{at}" y="24" width="24" height="18" fill="{known["color"]}" fill-opacity="{known["opacity"]}"/>'
        f'<text x="{at + 30}" y="38" fill="#222222">{escape(known["label"])}</text></svg>'
    )
    return "".join(parts)


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
