"""What `echocast demo --live` does: a simulated radar, the watch, the server and a browser, on one fast clock.

The radar and the server run in threads, the watch in the main one, which hears Ctrl-C; it computes in a process of its
own, as always. All of them live by one simulated clock.
"""

import logging
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echocast.cli import output
from echocast.errors import DataError

SPEED = 60
"""Simulated seconds in a second."""
_PATIENCE = {"deadline": "4h", "read_timeout": "30min", "patience": "1h", "stale": "2h"}
"""Times that are the machine's, not the radar's: as long as they would be without the fast clock."""


def run(*, seed: int, members: int, port: int, browser: bool) -> int:
    """Run until Ctrl-C; the exit status.

    Raises:
        DataError: the port is taken, or the folder for the files cannot be made.
    """
    import time

    from echocast.operations.clocks import FastClock
    from echocast.operations.simulated_radar import SimulatedRadar

    clock = FastClock(time.time(), SPEED)
    with tempfile.TemporaryDirectory(prefix="echocast-live-", ignore_cleanup_errors=True) as root:
        radar_files, published = Path(root) / "radar", Path(root) / "live"
        radar_files.mkdir()
        published.mkdir()
        radar = SimulatedRadar(radar_files, clock, seed=seed)
        with _thread("radar", radar.run), _served(published, clock, port) as address:
            _tell(address, radar_files)
            if browser:
                webbrowser.open(address)
            return _watch(radar_files, published, clock, members)


def _tell(address: str, radar_files: Path) -> None:
    output.say(
        f"The map is at {address}\n"
        f"A simulated radar drops a file every {300 / SPEED:g} s into {radar_files}; each is forecast and shown. The\n"
        f"clock runs {SPEED} times as fast as yours, and the storm is not real. The first forecast takes about half a\n"
        "minute. Ctrl-C ends everything and removes the files."
    )


def _watch(source: Path, out: Path, clock: Any, members: int) -> int:
    """Watch until asked to stop; its exit status, 0 after Ctrl-C, which is how this ends."""
    from echocast.io.reading import ReadOptions
    from echocast.operations import watching
    from echocast.operations.settings import read_settings

    given = {"sources": [str(source)], "out": out, "members": members, "catch_up": "0s", "log": "text"}
    service = watching.Watch(read_settings(given | _PATIENCE), ReadOptions(), clock=clock)
    status = service.run()
    return 0 if status == watching.INTERRUPTED else status


@contextmanager
def _thread(name: str, work: Any) -> Iterator[None]:
    """Within the block `work` runs beside, until it is told to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def _served(folder: Path, clock: Any, port: int) -> Iterator[str]:
    """Within the block a server on loopback shows a folder; its address."""
    import socket

    import uvicorn

    from echocast.server.app import create_app
    from echocast.server.service import Service
    from echocast.server.settings import read_settings

    settings = read_settings({"folder": folder, "name": "Demonstration", "stale": _PATIENCE["stale"], "poll": "0.5s"})
    service = Service(settings, clock.now)
    service.clock_speed = float(SPEED)
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as bad:
        listener.close()
        raise DataError(f"--port {port}: cannot be used ({bad.strerror}); give another one, or 0 for any") from bad
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = uvicorn.Server(uvicorn.Config(create_app(settings, service), log_level="warning", access_log=False))

    def serve(stop: threading.Event) -> None:
        def ender() -> None:
            stop.wait()
            server.should_exit = True

        threading.Thread(target=ender, daemon=True).start()
        server.run(sockets=[listener])

    with _thread("server", serve):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
