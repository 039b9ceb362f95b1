"""The page /docs: what /openapi.json says, for people. Plain HTML, made once; nothing is loaded from elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI, Request, Response

from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.service import Service

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #bbb}h3{margin:1.6rem 0 .2rem;font-size:1rem}"
    "code{font:.92em ui-monospace,monospace;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd}"
    "pre{white-space:pre-wrap}"
)
_ALLOWED = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
STYLE_SOURCE = f"'sha256-{_ALLOWED}'"
"""What the policy of content must allow, so that the page has its style."""


def add(app: FastAPI, service: Service) -> None:
    """Add the address."""
    made: list[Body] = []

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        if not made:  # not before all parts are there
            made.append(Body(page(app.openapi(), service.settings.root_path).encode(), "text/html; charset=utf-8"))
        return answers.answer(request, made[0], keep=answers.HOURLY)


def page(openapi: dict[str, Any], root: str) -> str:
    """The page of a description."""
    groups: dict[str, list[str]] = {}
    for path, operations in openapi["paths"].items():
        for operation in operations.values():
            groups.setdefault(", ".join(operation.get("tags", ["other"])), []).append("".join(_told(path, operation)))
    about = openapi["info"]
    parts = [f"<h2>{escape(name)}</h2>{''.join(told)}" for name, told in groups.items()]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(about["title"])}: addresses</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<main><h1>{escape(about['title'])}: addresses</h1><p>{escape(about.get('summary', ''))}</p>"
        f'<p>For programs: <a href="{escape(root)}/openapi.json">openapi.json</a>.</p>'
        f"{''.join(parts)}<h2>Limits</h2><pre>{escape(about.get('description', ''))}</pre></main></html>"
    )


def _told(path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h3><code>{escape(path)}</code></h3><p>{escape(operation.get('summary', ''))}."
    yield f" {escape(operation.get('description', ''))}</p>"
    if operation.get("parameters"):
        rows = (
            f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(_values(one['schema']))}</td>"
            f"<td>{escape(one.get('description', ''))}</td></tr>"
            for one in operation["parameters"]
        )
        yield f"<table><tr><th>parameter</th><th>values</th><th>meaning</th></tr>{''.join(rows)}</table>"


def _values(schema: dict[str, Any]) -> str:
    """What a parameter may be."""
    for one in [schema, *schema.get("anyOf", [])]:
        if "enum" in one:
            return ", ".join(map(str, one["enum"]))
    kind = next((one["type"] for one in [schema, *schema.get("anyOf", [])] if "type" in one), "")
    low, high = schema.get("minimum"), schema.get("maximum")
    return kind + (f", {low:g} to {high:g}" if low is not None and high is not None else "")
