"""Run the server until it is asked to stop.

>>> serve(read_settings({"folder": "live"}))  # doctest: +SKIP
"""

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from echocast.errors import DataError, MissingDependency
from echocast.operations.logs import EventLog, warnings_as_events
from echocast.server import memory
from echocast.server.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SETTINGS = "ECHOCAST_SERVER_SETTINGS"
"""Hands the settings to worker processes."""
_BACKLOG = 2048
_KEEP_ALIVE_S = 30
_GRACEFUL_S = 5


def serve(settings: Settings) -> None:
    """Serve a folder; returns when SIGTERM or SIGINT asked to stop.

    Raises:
        DataError: there is no such folder, an address cannot be used, or the file of tokens is wrong.
        MissingDependency: the extra ``operations`` is not installed.
    """
    if not settings.folder.is_dir():
        raise DataError(f"{settings.folder}: there is no such folder; give the one of echocast watch --out")
    try:
        import fastapi as fastapi  # both are of the extra `operations`
        import uvicorn
    except ImportError as bad:
        raise MissingDependency(bad.name or "fastapi", "operations") from bad
    memory.settle()
    events = EventLog(
        sys.stderr, as_json=settings.log == "json" or (settings.log == "auto" and not sys.stderr.isatty())
    )
    opened = _listening(settings.bind)
    with opened, warnings_as_events(events, time.time), _asked_to_stop():
        events.event(time.time(), "started", folder=str(settings.folder), address=_url(opened))
        if settings.workers == 1:
            _alone(uvicorn, settings, opened)
        else:
            _several(uvicorn, settings, opened)
        events.event(time.time(), "stopped")


def from_environment() -> object:
    """The application of a worker process."""
    memory.settle()
    from echocast.server.app import create_app

    return create_app(Settings(**json.loads(os.environ[_SETTINGS])))


def _alone(uvicorn: ModuleType, settings: Settings, opened: socket.socket) -> None:
    from echocast.server.app import create_app

    guard = create_app(settings)
    _metrics(settings, guard.service.metrics.registry)
    uvicorn.Server(uvicorn.Config(guard, **_OPTIONS)).run(sockets=[opened])


def _several(uvicorn: ModuleType, settings: Settings, opened: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="echocast-metrics-") as folder:
        # Counters of all workers lie in files here; prometheus_client asks for the name in the environment.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ[_SETTINGS] = settings.model_dump_json()
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        _metrics(settings, registry)
        host, port = opened.getsockname()[:2]
        opened.close()  # uvicorn opens it again, for all workers
        name = f"{__name__}:from_environment"
        uvicorn.run(name, factory=True, host=host, port=port, workers=settings.workers, **_OPTIONS)


_OPTIONS: dict[str, Any] = {
    "lifespan": "on",
    "server_header": False,
    "proxy_headers": False,
    "access_log": False,
    "log_config": None,
    "backlog": _BACKLOG,
    "timeout_keep_alive": _KEEP_ALIVE_S,
    "timeout_graceful_shutdown": _GRACEFUL_S,
}


def _metrics(settings: Settings, registry: "CollectorRegistry") -> None:
    """Answer Prometheus at an address of its own, in a thread."""
    if settings.metrics_bind == "off":
        return
    from prometheus_client import start_http_server

    host, port = _host_and_port(settings.metrics_bind)
    try:
        start_http_server(port, host, registry)
    except OSError as bad:
        raise DataError(
            f"--metrics-bind {settings.metrics_bind}: cannot be used ({bad.strerror}); give another address, or off"
        ) from bad


def _listening(address: str) -> socket.socket:
    """A socket that listens; raises `DataError`."""
    host, port = _host_and_port(address)
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.set_inheritable(True)
    except (OSError, OverflowError) as bad:
        opened.close()
        raise DataError(f"--bind {address}: cannot be used ({bad}); is another program there?") from bad
    return opened


def _url(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """SIGTERM ends the server in order; raised once more by uvicorn behind it, it is no error."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
