"""Answers that caches can keep: ETag, 304, gzip made once, and how long each kind stays fresh.

What has an id never changes and may be kept for a year. What changes is fresh for ten seconds, and says when the next
forecast is due. The gzipped form has an ETag of its own (RFC 9110, 8.8.3), since it is other bytes.
"""

import gzip
import hashlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import cached_property, lru_cache
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from echocast.server.asgi import Scope

FOREVER = "public, max-age=31536000, immutable"
HOURLY = "public, max-age=3600"
BRIEFLY = "public, max-age=10, stale-while-revalidate=30"
NEVER = "no-store"

_LEAST_GZIPPED = 512
_TEXT = ("application/json", "application/geo+json", "text/", "image/svg+xml", "application/vnd", "application/prs")


class Body:
    """What an address holds, and its forms.

    Args:
        content: its bytes.
        media_type: what they are.
        tag: what its ETag is made of; of its bytes if None.
        weak: whether other bytes may mean the same, as where the age of a forecast is told.
    """

    def __init__(self, content: bytes, media_type: str, *, tag: str | None = None, weak: bool = False) -> None:
        self.content, self.media_type = content, media_type
        self._tag = hashlib.blake2b(content, digest_size=12).hexdigest() if tag is None else tag
        self._weak = "W/" if weak else ""

    @property
    def etag(self) -> str:
        """The ETag of the plain form."""
        return f'{self._weak}"{self._tag}"'

    @property
    def gzip_etag(self) -> str:
        """The ETag of the gzipped form."""
        return f'{self._weak}"{self._tag}-gz"'

    @cached_property
    def can_be_gzipped(self) -> bool:
        """Whether there is a gzipped form: text of some length."""
        return len(self.content) >= _LEAST_GZIPPED and self.media_type.startswith(_TEXT)

    @cached_property
    def gzipped(self) -> bytes:
        """The gzipped form, made once."""
        return gzip.compress(self.content, 6, mtime=0)


class Client(NamedTuple):
    """What a client has and takes: its If-None-Match and Accept-Encoding."""

    has: str | None
    takes: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Client":
        """Of a request that FastAPI has read."""
        return cls(headers.get("if-none-match"), headers.get("accept-encoding", ""))

    @classmethod
    def of_scope(cls, scope: Scope) -> "Client":
        """Of a request of ASGI; of a header that is given twice the first, as above."""
        found = dict(reversed(scope["headers"]))
        has = found.get(b"if-none-match")
        return cls(None if has is None else has.decode("latin-1"), found.get(b"accept-encoding", b"").decode("latin-1"))


class Answer(NamedTuple):
    """Status, headers and body: what goes to ASGI as it is."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def response(self) -> Response:
        """The same for FastAPI."""
        found = Response(self.body, self.status)
        length = [one for one in found.raw_headers if one[0] == b"content-length"]
        found.raw_headers = [*self.headers, *length]
        return found


def answer(request: Request, body: Body, *, keep: str = FOREVER, expires: float | None = None) -> Response:
    """The answer to a request; see `made`."""
    return made(Client.of(request.headers), body, keep=keep, expires=expires).response()


def made(client: Client, body: Body, *, keep: str = FOREVER, expires: float | None = None) -> Answer:
    """The answer to a client: the body, plain or gzipped, or 304 if the client has it.

    Args:
        client: what it has and takes.
        body: what is asked for.
        keep: how long caches may keep it.
        expires: when it will have changed, in seconds since 1970.
    """
    zipped = body.can_be_gzipped and accepts_gzip(client.takes)
    etag = body.gzip_etag if zipped else body.etag
    headers = [(b"etag", etag.encode("latin-1")), (b"cache-control", keep.encode())]
    if body.can_be_gzipped:
        headers.append((b"vary", b"Accept-Encoding"))
    if expires is not None:
        headers.append((b"expires", _date(int(expires))))
    if matches(client.has, etag):
        return Answer(304, headers, b"")
    headers.append((b"content-type", body.media_type.encode()))
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    return Answer(200, headers, body.gzipped if zipped else body.content)


@lru_cache(maxsize=64)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


def matches(given: str | None, etag: str) -> bool:
    """Whether an If-None-Match names an ETag: `*`, one or a list; weak ones match strong ones (RFC 9110, 13.1.2)."""
    if given is None:
        return False
    return given.strip() == "*" or etag.removeprefix("W/") in (
        one.strip().removeprefix("W/") for one in given.split(",")
    )


def accepts_gzip(given: str) -> bool:
    """Whether an Accept-Encoding takes gzip.

    >>> accepts_gzip("br, gzip;q=0.5"), accepts_gzip("gzip;q=0"), accepts_gzip("")
    (True, False, False)
    """
    for part in given.lower().split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
