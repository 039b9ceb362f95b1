"""Is the server alive, and has it a forecast worth showing?"""

import json

from fastapi import FastAPI, Response

from echocast.server import answers
from echocast.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get("/healthz", tags=["service"], summary="Whether the server runs", response_class=Response)
    async def alive() -> Response:
        return Response(b'{"status":"ok"}', 200, {"cache-control": answers.NEVER}, "application/json")

    @app.get(
        "/readyz",
        tags=["service"],
        summary="Whether there is a forecast that is not stale",
        response_class=Response,
        responses={503: {"description": "No forecast, or one that is too old."}},
    )
    async def ready() -> Response:
        content, status = readiness(service)
        headers = {"cache-control": answers.NEVER}
        if status != 200:
            headers["retry-after"] = "10"
        return Response(json.dumps(content).encode(), status, headers, "application/json")


def readiness(service: Service) -> tuple[dict[str, object], int]:
    """What /readyz says, and its status."""
    newest, age = service.snapshot.newest, service.age_s
    state = service.state
    reason = {
        "ok": None,
        "none": "there is no forecast yet",
        "stale": f"the newest forecast is older than {service.settings.stale:g} s",
    }[state]
    if service.trouble:
        reason = f"index.json cannot be used{'; ' + reason if reason else ''}"
    content: dict[str, object] = {
        "state": state,
        "issue": None if newest is None else newest.id,
        "age_s": None if age is None else round(age, 1),
        "reason": reason,
    }
    return content, 200 if state == "ok" else 503
