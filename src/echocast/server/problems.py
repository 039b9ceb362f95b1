"""Errors as the reader sees them: ``application/problem+json`` (RFC 9457), never a trace."""

import json
from http import HTTPStatus

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
UNREADABLE = "what was published cannot be read at the moment; try again"
BROKEN = "this server made an error; it is told in its log"


class Problem(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP.
        detail: what is wrong and what to do, in a sentence.
        retry_after: seconds after which trying again may help.
    """

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after

    def __reduce__(self) -> tuple[type["Problem"], tuple[int, str]]:
        """Made again from its two parts."""
        return type(self), (self.status, self.detail)

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside the content."""
        found = {"cache-control": "no-store"}
        if self.retry_after is not None:
            found["retry-after"] = str(self.retry_after)
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        if self.status == 405:
            found["allow"] = "GET, HEAD, OPTIONS"
        return found

    def content(self) -> bytes:
        """The body of the answer."""
        about = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        return json.dumps(about | {"detail": self.detail}, ensure_ascii=False).encode()

    def response(self) -> Response:
        """The answer."""
        return Response(self.content(), self.status, self.headers, MEDIA_TYPE)
