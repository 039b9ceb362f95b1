"""What `echocast demo --live` does: a simulated radar, the watch, the server and a browser, on one fast clock.

The radar and the server run in threads, the watch in the main one, which hears Ctrl-C; it computes in a process of its
own, as always. All of them live by one simulated clock.
"""

import logging
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echocast.cli import output
from echocast.errors import DataError

if TYPE_CHECKING:
    from echocast.operations.clocks import FastClock

SPEED = 60
"""Simulated seconds in a second."""
_PATIENCE = {"deadline": "4h", "read_timeout": "30min", "patience": "1h", "stale": "2h"}
"""Times that are the machine's, not the radar's: as long as they would be without the fast clock."""


def run(*, seed: int, members: int, port: int, browser: bool) -> int:
    """Run until Ctrl-C; the exit status.

    Raises:
        DataError: the port is taken, or the folder for the files cannot be made.
    """
    from echocast.operations.clocks import FastClock

    clock = FastClock(time.time(), SPEED)
    with tempfile.TemporaryDirectory(prefix="echocast-live-", ignore_cleanup_errors=True) as root:
        radar_files, published = Path(root) / "radar", Path(root) / "live"
        radar_files.mkdir()
        published.mkdir()
        with _served(published, clock, port) as address:
            _tell(address, radar_files)
            if browser:
                webbrowser.open(address)
            return _watch(radar_files, published, clock, (seed, members))


def _tell(address: str, radar_files: Path) -> None:
    output.say(
        f"The map is at {address}\n"
        f"A simulated radar drops a file every {300 / SPEED:g} s into {radar_files}; each is forecast and shown. The\n"
        f"clock runs {SPEED} times as fast as yours, and the storm is not real. The first forecast takes about half a\n"
        "minute. Ctrl-C ends everything and removes the files."
    )


def _watch(source: Path, out: Path, clock: "FastClock", drawn: tuple[int, int]) -> int:
    """Watch a simulated radar (`drawn`: its seed, and how many members) until asked to stop; 0 after Ctrl-C."""
    from echocast.io.reading import ReadOptions
    from echocast.operations import watching
    from echocast.operations.settings import read_settings
    from echocast.operations.simulated_radar import SimulatedRadar

    seed, members = drawn
    given = {"sources": [str(source)], "out": out, "members": members, "catch_up": "0s", "log": "text"}
    service = watching.Watch(read_settings(given | _PATIENCE), ReadOptions(), clock=clock)
    clock.machine_start = time.time()  # the simulated time begins when the model is loaded
    radar = SimulatedRadar(source, clock, seed=seed)
    with _thread("radar", radar.run):
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
def _served(folder: Path, clock: "FastClock", port: int) -> Iterator[str]:
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
    config = uvicorn.Config(create_app(settings, service), log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)

    def serve(stop: threading.Event) -> None:
        def ender() -> None:
            stop.wait()
            server.should_exit = True

        threading.Thread(target=ender, daemon=True).start()
        server.run(sockets=[listener])

    with _thread("server", serve):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
