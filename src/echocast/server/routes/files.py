"""The NetCDF files, as they were written: whole, in parts (one range), or their length alone."""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import FastAPI, Path, Request, Response
from starlette.responses import RedirectResponse, StreamingResponse

from echocast.errors import UnreadableFile
from echocast.server import answers, documents
from echocast.server.problems import Problem
from echocast.server.service import Service

_PIECE = 1 << 16
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)
NETCDF = "application/x-netcdf"


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""

    @app.get(
        "/v1/files/latest.nc",
        tags=["files"],
        summary="The NetCDF file of the newest forecast",
        status_code=302,
        responses={302: {"description": "Where it is."}, 404: documents.problem("There is no forecast yet.")},
        response_class=Response,
    )
    async def latest() -> Response:
        newest = service.snapshot.newest
        if newest is None:
            raise Problem(404, "there is no forecast yet")
        where = f"{service.settings.root_path}/v1/files/{newest.id}.nc"
        return RedirectResponse(where, 302, {"cache-control": answers.NEVER})

    @app.get(
        "/v1/files/{id}.nc",
        tags=["files"],
        summary="The NetCDF file of a forecast",
        responses=documents.of(NETCDF, s416="The range is not within the file.")
        | {206: {"description": "The range that was asked for.", "content": {NETCDF: {}}}},
        response_class=Response,
    )
    async def file(
        request: Request,
        id: Annotated[str, Path(description="Of an issue.")],  # noqa: A002
    ) -> Response:
        """One range of bytes may be asked for; several are answered with the whole file."""
        issue = service.snapshot.issues.get(id)
        if issue is None:
            raise Problem(404, "there is no issue of this id, or no more; ask for /v1/index.json again")
        path, sha256, size = issue.netcdf
        etag = f'"{sha256}"'
        headers = {
            "etag": etag,
            "cache-control": answers.FOREVER,
            "accept-ranges": "bytes",
            "content-disposition": f'attachment; filename="{path.name}"',
        }
        if answers.matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        begin, end = _part(request, etag, size)
        headers["content-length"] = str(end - begin)
        if (begin, end) != (0, size):
            headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        pieces = _pieces(path, begin, end)
        return StreamingResponse(pieces, 206 if "content-range" in headers else 200, headers, NETCDF)


def _part(request: Request, etag: str, size: int) -> tuple[int, int]:
    """The part of a file that is asked for; raises `Problem` 416 where it is not within it (RFC 9110, 14)."""
    asked = request.headers.get("range")
    if asked is None or request.headers.get("if-range", etag) != etag:
        return 0, size
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return 0, size  # several ranges, or another unit: the whole file is a right answer to them
    first, last = match.groups()
    begin, end = (int(first), int(last) + 1 if last else size) if first else (max(0, size - int(last)), size)
    if begin >= min(end, size):
        raise Problem(416, f"the file has {size} bytes; {asked} is not within it")
    return begin, min(end, size)


def _pieces(path: FilePath, begin: int, end: int) -> Iterator[bytes]:
    """The bytes of a part of a file; the file is opened now, so that a missing one is told by the status.

    Raises:
        UnreadableFile: it is gone.
    """
    try:
        file = path.open("rb")
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad.strerror})") from bad

    def read() -> Iterator[bytes]:
        with file:
            file.seek(begin)
            left = end - begin
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    return read()
