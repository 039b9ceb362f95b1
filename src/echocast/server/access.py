"""Who may ask, how often, and from which pages."""

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from echocast.errors import DataError
from echocast.server.asgi import Scope
from echocast.server.problems import Problem

_CLIENTS = 10_000
"""So many clients' rates are remembered."""
_BURST_S = 2.0
"""Requests of so many seconds may come at once."""


class Tokens:
    """Bearer tokens, known by their SHA-256: one hexadecimal number a line, ``#`` begins a comment.

    Raises:
        DataError: the file cannot be read, holds no token, or what is none.
    """

    def __init__(self, path: Path) -> None:
        try:
            lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as bad:
            raise DataError(f"--token-file {path}: cannot be read ({bad})") from bad
        self._digests = [line.lower() for line in lines if line]
        wrong = [line for line in self._digests if not re.fullmatch(r"[0-9a-f]{64}", line)]
        if wrong or not self._digests:
            raise DataError(f"--token-file {path}: needs the SHA-256 of a token on each line; make one with: sha256sum")

    def check(self, authorization: bytes) -> None:
        """Raise `Problem` 401 unless the header carries one of the tokens; takes the same time for all."""
        kind, _, token = authorization.partition(b" ")
        digest = hashlib.sha256(token.strip()).hexdigest()
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        if kind.lower() != b"bearer" or not any(known):
            raise Problem(401, "a token is needed: Authorization: Bearer TOKEN")


class Rates:
    """How many requests a second each client may make; those of two seconds may come at once.

    Args:
        rate: requests a second.
        clock: seconds that never go back.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        if rate <= 0:
            raise DataError("--rate 0/s: nobody could ask anything; give a positive number")
        self._rate, self._most, self._clock = rate, max(1.0, rate * _BURST_S), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take one request of a client; 0, or seconds until it may ask again."""
        now = self._clock()
        left, since = self._left.pop(client, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        may = left >= 1
        self._left[client] = (left - 1 if may else left, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if may else (1 - left) / self._rate


class Clients:
    """Who asks: the peer, or what a proxy that is trusted says.

    Args:
        proxies: addresses and networks, as ``127.0.0.1`` or ``10.0.0.0/8``.

    Raises:
        DataError: one of them is none.
    """

    def __init__(self, proxies: Iterable[str]) -> None:
        try:
            self._proxies: list[IPv4Network | IPv6Network] = [ip_network(one, strict=False) for one in proxies]
        except ValueError as bad:
            raise DataError(f"--proxies: {bad}; give addresses or networks, as 127.0.0.1 or 10.0.0.0/8") from bad

    def of(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """The address of who asks: the last one in X-Forwarded-For that is no proxy of ours."""
        found = str((scope.get("client") or ("unknown",))[0])
        told = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        while told and self._is_proxy(found):
            found = told.pop().strip() or found
        return found

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self._proxies)
        except ValueError:
            return False


class Cors:
    """From which pages browsers may ask; never with cookies.

    Args:
        origins: as ``https://map.example.org``, or ``*`` for all.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = {origin.rstrip("/").encode() for origin in origins if origin}
        self.preflight: list[tuple[bytes, bytes]] = [
            (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
            (b"access-control-allow-headers", b"Authorization, If-None-Match, Range"),
            (b"access-control-max-age", b"86400"),
            (b"allow", b"GET, HEAD, OPTIONS"),
        ]

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What an answer says of it."""
        if b"*" in self._origins:
            return [(b"access-control-allow-origin", b"*"), _EXPOSED]
        if not self._origins:
            return []
        origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
        allowed = [(b"access-control-allow-origin", origin), _EXPOSED] if origin in self._origins else []
        return [*allowed, (b"vary", b"Origin")]


_EXPOSED = (b"access-control-expose-headers", b"ETag, Retry-After, Content-Disposition")
