"""Alerts that `echocast watch` published: GeoJSON, an Atom feed, and CAP files by their ids.

What is stale is told to be: it never looks like "no alert".
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fastapi import FastAPI, Request, Response

from echocast.errors import UnreadableFile
from echocast.operations import stamps
from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.problems import Problem
from echocast.server.service import Service

ATOM = "http://www.w3.org/2005/Atom"
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_BYTES = 64_000_000


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get(
        "/v1/alerts.json",
        tags=["alerts"],
        summary="Active alerts as GeoJSON, and the messages of the last day",
        description=(
            "`data` tells whether this is of now: `ok`, `stale` (the newest forecast is too old: nothing is known),"
            " `none` (no forecast was judged yet) or `off` (no rules are judged). Only with `ok` does an area without a"
            " feature have no alert, if it is not among `unknown`."
        ),
        response_class=Response,
        responses=_content("application/geo+json", "object"),
    )
    async def alerts(request: Request) -> Response:
        content = await asyncio.to_thread(current, service)
        return _answer(request, service, json.dumps(content, ensure_ascii=False).encode(), "application/geo+json")

    @app.get(
        "/v1/alerts/feed.atom",
        tags=["alerts"],
        summary="The messages of the last day as an Atom feed",
        response_class=Response,
        responses=_content("application/atom+xml", "string"),
    )
    async def feed(request: Request) -> Response:
        content = await asyncio.to_thread(current, service)
        return _answer(request, service, atom(content, service.settings.name), "application/atom+xml")

    @app.get(
        "/v1/alerts/{message}.cap.xml",
        tags=["alerts"],
        summary="A message as CAP 1.2",
        response_class=Response,
        responses=_content("application/cap+xml", "string") | {404: {"description": "There is no such message."}},
    )
    async def cap(request: Request, message: str) -> Response:
        content = await asyncio.to_thread(cap_content, service, message)
        if content is None:
            raise Problem(404, "there is no such message in CAP; /v1/alerts.json lists those of the last day")
        return answers.answer(request, Body(content, "application/cap+xml"))


def current(service: Service) -> dict[str, Any]:
    """What alerts.json says, with what the time since then has changed; raises `UnreadableFile`."""
    path = service.settings.folder / "alerts.json"
    try:
        found = json.loads(_read(path))
    except FileNotFoundError:
        return {"type": "FeatureCollection", "data": "off", "features": [], "messages": [], "unknown": []}
    except ValueError as bad:
        raise UnreadableFile(f"{path}: is no JSON ({bad})") from bad
    if not isinstance(found, dict) or found.get("type") != "FeatureCollection":
        raise UnreadableFile(f"{path}: is no GeoJSON of echocast")
    until = found.get("stale_from")
    if found.get("data") == "ok" and until and service.clock() >= stamps.seconds_of(until):
        found["data"] = "stale"
    known = cap_names(service)
    for message in found.get("messages", []):
        message["cap"] = f"alerts/{message['id']}.cap.xml" if message.get("id") in known else None
    return found


def cap_names(service: Service) -> dict[str, Path]:
    """The CAP files of the folder, by the ids of their messages."""
    found = (service.settings.folder / "alerts").glob("*.cap.xml")
    named = {path.name.removesuffix(".cap.xml"): path for path in found}
    return {name: path for name, path in named.items() if _ID.fullmatch(name)}


def cap_content(service: Service, message: str) -> bytes | None:
    """The CAP file of a message; None if there is none."""
    path = cap_names(service).get(message)
    try:
        return None if path is None else _read(path)
    except FileNotFoundError:  # removed a moment ago
        return None


def atom(content: dict[str, Any], title: str) -> bytes:
    """The messages as an Atom feed (RFC 4287); links are relative to its own address.

    Args:
        content: what alerts.json says.
        title: of the service.
    """
    feed = ElementTree.Element("feed", xmlns=ATOM)
    messages = content.get("messages", [])
    newest = max((str(one["sent"]) for one in messages), default=content.get("generated") or "1970-01-01T00:00:00Z")
    _add(feed, "id", "urn:echocast:alerts")
    _add(feed, "title", f"{title}: alerts")
    _add(feed, "subtitle", f"data: {content.get('data')}. {content.get('notice', '')}".strip())
    _add(feed, "updated", newest)
    ElementTree.SubElement(feed, "link", rel="self", href="feed.atom", type="application/atom+xml")
    author = ElementTree.SubElement(feed, "author")
    _add(author, "name", title)
    for message in messages:
        _entry(feed, message)
    return bytes(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def _entry(feed: ElementTree.Element, message: dict[str, Any]) -> None:
    language = next(iter(message["headline"]))
    entry = ElementTree.SubElement(feed, "entry")
    _add(entry, "id", f"urn:echocast:alert:{message['id']}")
    _add(entry, "title", message["headline"][language])
    _add(entry, "updated", message["sent"])
    _add(entry, "summary", message["description"].get(language, ""))
    for term in (message["kind"], message["severity"], message["rule"]):
        ElementTree.SubElement(entry, "category", term=term)
    if message.get("cap"):
        name = f"{message['id']}.cap.xml"
        ElementTree.SubElement(entry, "link", rel="alternate", href=name, type="application/cap+xml")


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    """An element; characters that XML cannot hold are left out."""
    ElementTree.SubElement(parent, name).text = "".join(c for c in text if c.isprintable() or c in "\n\t")


def _answer(request: Request, service: Service, content: bytes, media_type: str) -> Response:
    return answers.answer(request, Body(content, media_type), keep=answers.BRIEFLY, expires=service.expected_next)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UnreadableFile(f"{path}: is larger than {_MOST_BYTES:,} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad.strerror})") from bad


def _content(kind: str, schema: str) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "What was asked for.", "content": {kind: {"schema": {"type": schema}}}},
        304: {"description": "The client has it."},
    }
    return found
