"""The map and other static files: read into memory at the start, so that no path of a request reaches the disk.

They lie in ``server/static/``. ``index.html`` is the page at ``/``, and ``sw.js`` its service worker at ``/sw.js``. In
both, ``__STATIC__`` becomes ``/static/VERSION``, where files may be kept for ever; VERSION changes with any of them.
"""

import hashlib
import mimetypes
from pathlib import Path

from fastapi import FastAPI, Request, Response

from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.problems import Problem
from echocast.server.service import Service

FOLDER = Path(__file__).parent / "static"
_REVALIDATE = "no-cache"
_AT_ROOT = {
    "/": "index.html",
    "/sw.js": "sw.js",
    "/favicon.ico": "favicon.ico",
    "/manifest.webmanifest": "manifest.webmanifest",
}
_NO_MAP = b"<!doctype html><title>echocast</title><p>No map here; see <a href='openapi.json'>openapi.json</a>."


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    files = _read(FOLDER)
    version = hashlib.blake2b(b"".join(name.encode() + content for name, content in files.items()), digest_size=8)
    base = f"{service.settings.root_path}/static/{version.hexdigest()}"
    at_root = {path: _body(name, files[name], base) for path, name in _AT_ROOT.items() if name in files}
    at_root.setdefault("/", Body(_NO_MAP, "text/html; charset=utf-8"))
    bodies = {name: _body(name, content, "") for name, content in files.items()}

    for path, body in at_root.items():
        _add_page(app, path, body)

    @app.get("/static/{_version}/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        if name not in bodies:
            raise Problem(404, "there is no such file")
        keep = answers.FOREVER if request.url.path.startswith(base) else _REVALIDATE
        return answers.answer(request, bodies[name], keep=keep)


def _add_page(app: FastAPI, path: str, body: Body) -> None:
    @app.get(path, include_in_schema=False)
    async def page(request: Request) -> Response:
        return answers.answer(request, body, keep=_REVALIDATE)


def _read(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their names there, in order; none if there is no such folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _body(name: str, content: bytes, base: str) -> Body:
    kind = _KINDS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if base:
        content = content.replace(b"__STATIC__", base.encode())
    return Body(content, kind)


_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".ico": "image/x-icon",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
"""The kinds of files; not those of the machine, which may lack them."""
