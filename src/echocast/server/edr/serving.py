"""What lies between a query and HTTP: the issue as queries see it, and answers that hold little memory.

A large answer is sent part by part, as fast as the client takes it. All of them together may hold
`Held.most` bytes, and a client that takes too long is left, so that slow clients cannot fill the memory.
"""

import asyncio
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from echocast.operations.grid import Grid
from echocast.operations.point_file import PointFile
from echocast.server import snapshot
from echocast.server.edr.parameters import Parameter, parameters_of
from echocast.server.memory import Trimmer
from echocast.server.problems import Problem

SMALL = 65_536
"""Answers up to so many bytes are not counted."""
_PART = 2**20
"""Bytes of a part of a large answer: such are given back to the system when they are free."""
_SLOWEST = 100_000
"""Bytes a second that a client must take on average."""


@dataclass(frozen=True)
class ServedIssue:
    """A published issue that lies on Earth and has series."""

    id: str
    issued: float
    grid: Grid
    parameters: Mapping[str, Parameter]
    values: PointFile


def served(issue: snapshot.Issue | None) -> ServedIssue | None:
    """An issue as queries see it; None if it cannot be asked. Raises `UnreadableFile`."""
    if issue is None or issue.grid is None or issue.point_file is None:
        return None
    return ServedIssue(issue.id, issue.seconds, issue.grid, parameters_of(issue.point_file.variables), issue.point_file)


class Held:
    """Room for answers that are being made or sent.

    Args:
        most: bytes of all of them.
    """

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0
        self.trimmer = Trimmer()

    def take(self, size: int) -> int:
        """Take room for an answer; what was taken, to be given back. Raises `Problem` 503 if there is none."""
        if size <= SMALL:
            return 0
        if self.now and self.now + size > self.most:
            raise Problem(503, "too many large answers are on their way to clients; try again", retry_after=5)
        self.now += size
        return size

    def give_back(self, size: int) -> None:
        """Give room back."""
        self.now -= size


class Sent(Response):
    """An answer in parts, each released when the client has taken it.

    Args:
        parts: the body; emptied.
        headers: of the answer.
        media_type: of the answer.
        held: where its room was taken.
        taken: how much.
        seconds: how long the client may take, beside a time that grows with the size.
    """

    def __init__(
        self, parts: list[bytes], headers: dict[str, str], media_type: str, held: Held, taken: int, seconds: float
    ) -> None:
        size = sum(map(len, parts))
        super().__init__(None, 200, headers | {"content-length": str(size)}, media_type)
        self.parts, self._held, self._taken = parts, held, taken
        self._seconds = seconds + size / _SLOWEST

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a client that takes too long is left."""
        try:
            async with asyncio.timeout(self._seconds):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                self.parts.reverse()
                while self.parts:
                    await send({"type": "http.response.body", "body": self.parts.pop(), "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            self.parts.clear()
            self._held.give_back(self._taken)
            if self._taken and self._held.trimmer.is_due():
                asyncio.get_running_loop().run_in_executor(None, self._held.trimmer.trim)


def gathered(parts: list[bytes], *, zipped: bool) -> list[bytes]:
    """Parts of about a megabyte, gzipped or as they are; `parts` is emptied."""
    return list(_joined(_gzip(_taken(parts)) if zipped else _taken(parts)))


def _taken(parts: list[bytes]) -> Iterator[bytes]:
    parts.reverse()
    while parts:
        yield parts.pop()


def _gzip(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    waiting, size = [], 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= _PART:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
