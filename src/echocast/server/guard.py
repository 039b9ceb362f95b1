"""What stands before the application: limits of a request, tokens, rates, CORS, headers of security, counters.

Plain ASGI. What `service.fast` names is answered here, everything else by FastAPI.
"""

import logging
import math
import time
from collections.abc import Iterable

from fastapi import FastAPI

from echocast.errors import DataError
from echocast.server.access import Clients, Cors, Rates, Tokens
from echocast.server.asgi import METHODS, Message, Receive, Scope, Send
from echocast.server.problems import BROKEN, MEDIA_TYPE, UNREADABLE, Problem
from echocast.server.service import Service

log = logging.getLogger(__name__)

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'"
)
SECURITY = (
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
"""Headers of every answer."""
_OPEN = ("/healthz", "/readyz")
"""Addresses that need no token and have no rate."""


class Guard:
    """The application with everything in front of it.

    Args:
        app: FastAPI, which answers what `service.fast` does not.
        service: what requests share.

    Raises:
        DataError: the file of tokens cannot be read, or holds what is none.
    """

    def __init__(self, app: FastAPI, service: Service) -> None:
        self.app, self.service = app, service
        settings = service.settings
        self._limits = settings.limits
        self._tokens = None if settings.token_file is None else Tokens(settings.token_file)
        self._rates = None if settings.rate is None else Rates(float(settings.rate.removesuffix("/s")))
        self._clients = Clients(settings.proxies)
        self._cors = Cors(settings.cors)
        self._root = settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            # As a server does that is told of the path: FastAPI takes it off, and names it in /openapi.json.
            scope = dict(scope, root_path=self._root) if self._root else scope
            await self._answer(scope, receive, Sender(self, scope, send))
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: "Sender") -> None:
        try:
            self._check(scope)
            if scope["method"] == "OPTIONS":
                await send.whole(204, self._cors.preflight, b"")
                return
            path = self._path(scope)
            for prefix, fast in self.service.fast:
                if path.startswith(prefix) and (found := await fast(path[len(prefix) :], scope)) is not None:
                    send.route = prefix
                    await send.whole(*found)
                    return
            await self.app(dict(scope, method="GET") if scope["method"] == "HEAD" else scope, receive, send)
        except Problem as bad:
            await send.problem(bad)
        except DataError:
            await send.problem(Problem(503, UNREADABLE, retry_after=10))
        except Exception:
            log.exception("%s %s: failed", scope["method"], scope["path"])
            if not send.started:
                await send.problem(Problem(500, BROKEN))
        finally:
            send.count(scope)

    def _check(self, scope: Scope) -> None:
        """Raise `Problem` for a request that is not to be answered."""
        limits, size = self._limits, len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if size > limits.url_bytes:
            raise self._refusal("url", 414, f"the address has {size} bytes, the most is {limits.url_bytes}")
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > limits.header_bytes:
            raise self._refusal("headers", 431, f"the headers have {size} bytes, the most is {limits.header_bytes}")
        if scope["method"] not in METHODS:
            raise self._refusal("method", 405, f"{scope['method'][:20]} is not answered here; use GET or HEAD")
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limits.body_bytes:
            raise self._refusal("body", 413, f"a body may have {limits.body_bytes} bytes, and none is needed")
        if self._path(scope) in _OPEN:
            return
        if self._rates is not None and (wait := self._rates.wait(self._clients.of(scope, headers))) > 0:
            bad = self._refusal("rate", 429, "too many requests; ask less often")
            bad.retry_after = math.ceil(wait)
            raise bad
        if self._tokens is not None and scope["method"] != "OPTIONS":  # a preflight cannot carry a token
            self._tokens.check(headers.get(b"authorization", b""))

    def _path(self, scope: Scope) -> str:
        """The address below the path under which a proxy shows the server, whether the proxy hands that on or not."""
        path: str = scope["path"]
        return path.removeprefix(self._root) if path.startswith(f"{self._root}/") else path

    def _refusal(self, reason: str, status: int, detail: str) -> Problem:
        self.service.metrics.rejected.labels(reason).inc()
        return Problem(status, detail)

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What every answer says."""
        return [*SECURITY, *self._cors.headers(scope)]

    @property
    def keeps_private(self) -> bool:
        """Whether answers are for those alone who have a token: caches that many share must not keep them."""
        return self._tokens is not None


class Sender:
    """Sends an answer: adds headers, leaves out what HEAD does not have, and counts.

    Args:
        guard: whose headers are added.
        scope: the request.
        send: of ASGI.
    """

    def __init__(self, guard: Guard, scope: Scope, send: Send) -> None:
        self._guard, self._scope, self._send = guard, scope, send
        self._began = time.perf_counter()
        self._is_head = scope["method"] == "HEAD"
        self.started = False
        self.status = 0
        self.route = ""

    async def __call__(self, message: Message) -> None:
        """Send a message of ASGI."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            own = list(message.get("headers", ()))
            given = {name for name, _ in own}  # a page may have a policy of its own
            headers = own + [
                one for one in self._guard.headers(self._scope) if one[0] not in given or one[0] == b"vary"
            ]
            if self._guard.keeps_private:
                headers = [(n, v.replace(b"public", b"private") if n == b"cache-control" else v) for n, v in headers]
            message = {"type": message["type"], "status": message["status"], "headers": _one_vary(headers)}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Send an answer that is there."""
        own = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
        await self({"type": "http.response.start", "status": status, "headers": [*headers, *own]})
        await self({"type": "http.response.body", "body": body})

    async def problem(self, bad: Problem) -> None:
        """Send an error."""
        headers = [(name.encode(), value.encode()) for name, value in bad.headers.items()]
        await self.whole(bad.status, [(b"content-type", MEDIA_TYPE.encode()), *headers], bad.content())

    def count(self, scope: Scope) -> None:
        """Count the request; addresses that do not exist are one route."""
        route = self.route or getattr(scope.get("route"), "path", "") or "other"
        metrics, method = self._guard.service.metrics, scope["method"] if scope["method"] in METHODS else "other"
        metrics.requests.labels(route, method, str(self.status)).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - self._began)


def _one_vary(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Several Vary headers as one: some caches look at the first alone."""
    found = [value for name, value in headers if name == b"vary"]
    if len(found) < 2:
        return headers
    return [one for one in headers if one[0] != b"vary"] + [(b"vary", b", ".join(found))]
