"""Requests that mean no good, over real sockets: each is refused, and others go on."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tests.server.edr.folder import publish, served
from tests.server.edr.issues import SmallIssue

HERE = "/edr/collections/nowcast"


def raw(port: int, request: bytes, seconds: float = 30) -> bytes:
    """What comes back for these bytes; what can be read until the server closes, or a whole answer is there."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as link:
        link.sendall(request)
        found = b""
        while part := link.recv(65_536):
            found += part
        return found


def get(port: int, target: str, headers: str = "") -> bytes:
    return raw(port, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("live")
    publish(root)
    with served(root) as found:
        yield found


ID = SmallIssue(Path()).id


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/../../etc/passwd", (404,)),
        ("/%2e%2e/%2e%2e/etc/passwd", (404,)),
        ("/static/..%2f..%2fetc/passwd", (404,)),
        (f"{HERE}/instances/..%2f..%2f..%2fetc%2fpasswd/position?coords=POINT(1%202)", (404,)),
        (f"{HERE}/instances/{ID}%00/position?coords=POINT(1%202)", (404,)),
        (f"/v1/files/..%2f{ID}.nc", (400, 404)),
        (f"/v1/tiles/{ID}/%2e%2e/5/1/1/1.png", (400, 404)),
        (f"/v1/tiles/{ID}/rate/5/99999999999999999999/1/1.png", (400, 404)),
        ("/v1/point?lat=1e308&lon=1e308", (400,)),
        ("/v1/point?lat=nan&lon=inf", (400,)),
        (f"{HERE}/position?coords=POINT(1e308%201e308)", (400,)),
        (f"{HERE}/position?coords=POINT(1e309%201)", (400,)),
        (f"{HERE}/position?coords=POINT(1%202)%00", (400,)),
        (f"{HERE}/position?coords=%ff%fe", (400,)),
        (f"{HERE}/area?coords=POLYGON({'(' * 5000}", (400,)),
        (f"{HERE}/area?coords=POLYGON(({'1%201,' * 1200}1%201))", (400, 413)),
        (f"{HERE}/cube?bbox=-1e308,-1e308,1e308,1e308", (400,)),
        (f"{HERE}/cube?bbox=-180,-90,180,90&parameter-name={'rainfall_rate,' * 500}x", (400,)),
        (f"{HERE}/cube?bbox=1,2,3,4&datetime={'2026-11-28T05:10Z,' * 400}x", (400, 413)),
        ("/" + "a" * 20_000, (414, 400)),
        ("/" + "a" * 1_000_000, (414, 400)),
    ],
)
def test_each_is_refused(port: int, target: str, allowed: tuple[int, ...]) -> None:
    answer = get(port, target)
    assert status(answer) in allowed, answer[:300]
    assert b"Traceback" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n",
        b"TRACE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /edr/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 30_000 + b"\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_sound_request_is_refused(port: int, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(request_)
        link.shutdown(socket.SHUT_WR)
        answer = link.recv(65_536)
    assert answer == b"" or 400 <= status(answer) < 500, answer[:200]
    assert status(get(port, "/healthz")) == 200


def test_lists_of_ranges_are_cheap(port: int) -> None:
    ranges = ",".join(f"{number}-{number + 1}" for number in range(1500))
    began = time.process_time()
    answer = get(port, f"/v1/files/{ID}.nc", f"Range: bytes={ranges}\r\n")
    assert status(answer) in (200, 400, 416)
    assert time.process_time() - began < 2


def test_a_host_that_is_no_address_is_not_repeated(port: int) -> None:
    request = b"GET /edr/ HTTP/1.1\r\nHost: evil.example/<script>\r\nConnection: close\r\n\r\n"
    answer = raw(port, request)
    assert status(answer) == 400 or b"evil" not in answer


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow  # a national grid, 200 clients and half a minute
def test_slow_and_greedy_clients_neither_delay_others_nor_fill_the_memory(tmp_path: Path) -> None:
    from tests.server.edr.large import publish_large, server_process

    publish_large(tmp_path)
    with server_process(tmp_path) as (port, pid), ExitStack() as links:
        greedy = f"{HERE}/cube?bbox=-180,-90,180,90&parameter-name=rainfall_rate&datetime=2026-11-28T05:10Z&f="
        get(port, greedy + "NetCDF")  # what is made once, such as the boxes of blocks, is no growth
        get(port, f"{HERE}/position?coords=POINT(25%2062)")
        before = memory_mb(pid)
        assert status(get(port, f"{HERE}/cube?bbox=-180,-90,180,90")) == 413
        for number in range(200):
            link = links.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            form = ("NetCDF", "CoverageJSON")[number % 2]
            text = f"GET {greedy}{form} HTTP/1.1\r\nHost: x\r\n" + ("\r\n" if number % 4 else "")
            link.sendall(text.encode())  # each fourth never ends its request; none reads
        took, growth = _others(port, pid, before, seconds=20)
        assert growth < 50
        assert np.quantile(took, 0.99) < 250


def _others(port: int, pid: int, before: float, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of well-behaved requests, and the largest growth of the server meanwhile."""
    took: list[float] = []
    growth = 0.0
    stop = time.monotonic() + seconds

    def ask() -> None:
        while time.monotonic() < stop:
            began = time.perf_counter()
            answer = get(port, f"{HERE}/position?coords=POINT(25%2062)&parameter-name=rainfall_rate")
            assert status(answer) in (200, 503)
            took.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        growth = max(growth, memory_mb(pid) - before)
        time.sleep(0.1)
    return took, growth
