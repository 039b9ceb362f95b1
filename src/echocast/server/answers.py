"""Answers that caches can keep: ETag, 304, gzip made once, and how long each kind stays fresh.

What has an id never changes and may be kept for a year. What changes is fresh for ten seconds, and says when the next
forecast is due. The gzipped form has an ETag of its own (RFC 9110, 8.8.3), since it is other bytes.
"""

import gzip
import hashlib
from email.utils import formatdate
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

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


def answer(request: Request, body: Body, *, keep: str = FOREVER, expires: float | None = None) -> Response:
    """The answer to a request: the body, plain or gzipped, or 304 if the client has it.

    Args:
        request: its headers say what the client has and takes.
        body: what is asked for.
        keep: how long caches may keep it.
        expires: when it will have changed, in seconds since 1970.
    """
    zipped = body.can_be_gzipped and accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = body.gzip_etag if zipped else body.etag
    headers = {"etag": etag, "cache-control": keep}
    if body.can_be_gzipped:
        headers["vary"] = "Accept-Encoding"
    if expires is not None:
        headers["expires"] = formatdate(expires, usegmt=True)
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["content-encoding"] = "gzip"
    return Response(body.gzipped if zipped else body.content, 200, headers, body.media_type)


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
