"""What OpenAPI says of answers that are not JSON models: FastAPI would call pictures JSON."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from echocast.server.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
_PROBLEMS = {
    400: "The request is wrong; the detail says what.",
    404: "There is no such thing.",
    503: "Too busy, or what was published cannot be read at the moment.",
}


def of(*media_types: str, description: str = "What was asked for.", **more: str) -> Responses:
    """The answers of an address: these kinds, or a problem.

    Args:
        media_types: of the content.
        description: of the answer 200.
        more: other statuses and what they mean, as ``s416="..."``.
    """
    content = {kind: {"schema": _schema(kind)} for kind in media_types}
    found: Responses = {
        200: {"description": description, "content": content},
        304: {"description": "The client has it."},
    }
    problems = _PROBLEMS | {int(name.removeprefix("s")): text for name, text in more.items()}
    return found | {status: problem(text) for status, text in problems.items()}


def problem(text: str) -> dict[str, Any]:
    """An answer that is an error."""
    return {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


def _schema(kind: str) -> dict[str, Any]:
    if kind.endswith("json"):
        return {"type": "object"}
    return (
        {"type": "string"}
        if kind.startswith("text/") or kind.endswith("xml")
        else {"type": "string", "format": "binary"}
    )


PNG = of("image/png", description="A picture.")


def describe(app: FastAPI) -> None:
    """Let /openapi.json say what the server really answers: problems, and no 422."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                servers=app.servers,
            )
            for operations in made["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                made.get("components", {}).get("schemas", {}).pop(name, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
