"""Connections to web addresses of the rules' file that cannot be turned against the network that the service is in.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address. So a name
that first points outside and then inside gains nothing. Redirects are not followed.
"""

import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

LIMIT_S = 5.0
"""For the whole exchange."""
MOST_BYTES = 65_536
"""That are read of an answer."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(OSError):
    """An address that must not be connected to, or an exchange that failed."""


def refusal(address: Address, *, private: bool, loopback: bool) -> str:
    """Why an address must not be connected to; empty if it may be.

    Args:
        address: of a machine.
        private: whether private networks and this machine are allowed.
        loopback: whether this machine is allowed.
    """
    inner = _inner(address)
    if inner.is_loopback:
        return "" if private or loopback else "is this machine"
    if inner.is_link_local:
        return "is link-local, where clouds keep their credentials"
    if inner.is_multicast or inner.is_unspecified or inner.is_reserved:
        return "is no address of one machine"
    if not inner.is_global:
        return "" if private else "is in a private network; private = true allows it"
    return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def resolved(host: str, port: int, *, private: bool, loopback: bool) -> str:
    """The address of a host; all that it has must be allowed.

    Raises:
        Refused: there is no such host, or one of its addresses is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as bad:
        raise Refused(f"{host}: there is no such host ({bad})") from bad
    addresses = [str(one[4][0]) for one in found]
    for text in addresses:
        why = refusal(ipaddress.ip_address(text.partition("%")[0]), private=private, loopback=loopback)
        if why:
            raise Refused(f"{host}: its address {text} {why}")
    return addresses[0]


class _Line:
    """A connection to one address, which ends for good when its time is over."""

    def __init__(self, address: str, port: int, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s
        self.socket = socket.create_connection((address, port), timeout=limit_s)
        # TLS takes the socket over; this second handle ends the connection whoever holds it.
        self._handle = socket.socket(fileno=os.dup(self.socket.fileno()))
        self.is_late = False
        self._timer = threading.Timer(max(0.0, self._end - time.monotonic()), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.is_late = True
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()
        self._handle.close()


class _Plain(HTTPConnection):
    line: _Line

    def _new_conn(self) -> socket.socket:
        return self.line.socket


class _Secure(HTTPSConnection):
    line: _Line

    def _new_conn(self) -> socket.socket:
        return self.line.socket


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool = False,
    insecure: bool = False,
    ca_file: Path | None = None,
    limit_s: float = LIMIT_S,
) -> tuple[int, str | None]:
    """Send a body to an address; the status of the answer and its Retry-After.

    Args:
        url: http or https.
        body: what is sent.
        headers: beside Host and Content-Length.
        private: whether private networks and this machine are allowed.
        insecure: whether http to this machine is allowed.
        ca_file: certificates that are trusted, in place of the system's.
        limit_s: for the whole exchange.

    Raises:
        Refused: the address is not allowed, does not answer in time, or its certificate is not trusted.
    """
    parts = urlsplit(url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    address = resolved(host, port, private=private, loopback=insecure and not is_secure)
    if not is_secure and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        raise Refused(f"{host}: http goes to this machine only; use https")
    with _exchange(host, address, port, limit_s) as line:
        connection = _connection(host, port, line, limit_s, ca_file if is_secure else None, is_secure=is_secure)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", target, body=body, headers=dict(headers), preload_content=False)
            answer = connection.getresponse()
            if line.is_late:  # cut off among the headers, which http.client takes for their end
                raise TimeoutError
            with suppress(HTTPError, OSError):
                answer.read(MOST_BYTES)  # so that the other side is not cut off; what it says does not matter
            return answer.status, answer.headers.get("Retry-After")
        finally:
            connection.close()


@contextmanager
def _exchange(host: str, address: str, port: int, limit_s: float) -> Iterator[_Line]:
    """A connection for the block; whatever goes wrong in it is `Refused`."""
    line = None
    try:
        line = _Line(address, port, limit_s)
        yield line
    except Refused:
        raise
    except Exception as bad:  # urllib3 and http.client raise of many kinds; each is a failed attempt
        late = (line is not None and line.is_late) or isinstance(bad, TimeoutError)
        why = f"did not answer within {limit_s:g} s" if late else str(bad) or type(bad).__name__
        raise Refused(f"{host}: {why}") from bad
    finally:
        if line is not None:
            line.close()


def _connection(
    host: str, port: int, line: _Line, limit_s: float, ca_file: Path | None, *, is_secure: bool
) -> _Plain | _Secure:
    if is_secure:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        secure = _Secure(host, port, timeout=limit_s, ssl_context=context)
        secure.line = line
        return secure
    plain = _Plain(host, port, timeout=limit_s)
    plain.line = line
    return plain
