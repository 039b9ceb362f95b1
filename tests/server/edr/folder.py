"""A folder as `echocast watch` publishes it, with a small issue, and servers of it on loopback."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from tests.server.edr.issues import ISSUED, SmallIssue

from echocast.operations.layer_file import write_layers
from echocast.operations.stamps import iso
from echocast.server.app import create_app
from echocast.server.service import Service
from echocast.server.settings import Settings


def publish(root: Path) -> SmallIssue:
    """Write a folder with one issue."""
    found = SmallIssue(root)
    folder = root / "issues" / "2026" / "11" / "28" / found.id
    folder.mkdir(parents=True)
    issue = SmallIssue(folder)
    points, layers = issue.about_points, write_layers(folder / "layers.bin", issue.layers)
    (folder / "forecast.nc").write_bytes(b"CDF\x01" + bytes(2000))
    files = {path.name: _about(path) for path in folder.iterdir()}
    meta = {"version": "1.0", "id": issue.id, "time": iso(ISSUED), "grid": issue.grid.as_dict(), "files": files}
    content = json.dumps(meta | {"point_file": points, "layer_file": layers}).encode()
    (folder / "meta.json").write_bytes(content)
    entry = {
        "id": issue.id,
        "time": iso(ISSUED),
        "revision": 0,
        "published": iso(ISSUED + 60),
        "expires": iso(ISSUED + 900),
        "leads": [5.0, 10.0, 15.0],
        "layers": list(issue.layers),
        "degraded": False,
        "path": folder.relative_to(root).as_posix(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content) + sum(about["bytes"] for about in files.values()),
    }
    index = {"version": "1.0", "generated": iso(ISSUED + 60), "grid": issue.grid.as_dict(), "step": 300.0}
    (root / "index.json").write_text(json.dumps(index | {"issues": [entry], "frames": []}))
    return issue


def _about(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def service(root: Path, **more: Any) -> Service:
    """What requests share, with the clock a minute after the issue."""
    made = Service(Settings(folder=root, **more), clock=lambda: ISSUED + 60)
    made.refresh()
    return made


@contextmanager
def served(root: Path, **more: Any) -> Iterator[int]:
    """A server on loopback; its port."""
    own = service(root, **more)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(own.settings, own), log_level="warning", server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
