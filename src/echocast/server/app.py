"""The application: its parts put together, and the guard in front of them.

A part is a module with ``add(app, service)``, named in `PARTS`; one that is not there is left out. Tiles and pictures
are answered before FastAPI, which they would spend most of their time in; `routes.tiles` documents them.

>>> create_app(read_settings({"folder": "live"}))  # doctest: +SKIP
"""

import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from echocast._version import __version__
from echocast.errors import DataError
from echocast.server import documents
from echocast.server.guard import Guard
from echocast.server.problems import BROKEN, UNREADABLE, Problem
from echocast.server.service import Service
from echocast.server.settings import Settings

PARTS = (
    "routes.health",
    "routes.basemap",
    "routes.index",
    "routes.tiles",
    "routes.overview",
    "routes.tilejson",
    "routes.legend",
    "routes.point",
    "routes.files",
    "routes.rainviewer",
    "edr",
    "docs",
    "alerts_routes",
    "pages",
)
"""The modules of the interface, below this package, in the order in which their addresses are looked at."""


def create_app(settings: Settings, service: Service | None = None) -> Guard:
    """The ASGI application that serves a folder.

    Args:
        settings: what the server was told.
        service: what requests share; made of the settings if None.
    """
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title=settings.name,
        version=__version__,
        summary="Forecasts of rain for the next hours, as maps, series and files.",
        description=_limits(settings),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(DataError, _of_data)
    app.add_exception_handler(Exception, _of_any)
    for name in PARTS:
        if importlib.util.find_spec(f"echocast.server.{name}") is not None:
            importlib.import_module(f"echocast.server.{name}").add(app, service)
    documents.describe(app)
    return Guard(app, service)


def _limits(settings: Settings) -> str:
    lines = [f"- `{name}`: {value:g}" for name, value in settings.limits.model_dump().items()]
    return "What a request may ask for at most:\n\n" + "\n".join(lines)


async def _of_problem(_: Request, bad: Exception) -> Response:
    assert isinstance(bad, Problem)  # registered for it alone
    return bad.response()


async def _of_http(request: Request, bad: Exception) -> Response:
    assert isinstance(bad, HTTPException)  # registered for it alone
    detail = f"there is nothing at {request.url.path}" if bad.status_code == 404 else str(bad.detail)
    return Problem(bad.status_code, detail).response()


async def _of_validation(_: Request, bad: Exception) -> Response:
    assert isinstance(bad, RequestValidationError)  # registered for it alone
    said = [f"{one['loc'][-1]}: {one['msg'][:1].lower()}{one['msg'][1:]}" for one in bad.errors()]
    return Problem(400, "; ".join(said)).response()


async def _of_data(_: Request, __: Exception) -> Response:
    """A file that is gone or damaged: nothing of the folder's names is told."""
    return Problem(503, UNREADABLE, retry_after=10).response()


async def _of_any(_: Request, __: Exception) -> Response:
    """A bug: the guard logs it."""
    return Problem(500, BROKEN).response()
