"""A folder with a forecast on a national grid, and a server of it as a process of its own."""

import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyproj

from echocast.operations.grid import Axis, Grid
from echocast.operations.layer_file import Layer
from echocast.operations.point_file import write_points
from echocast.operations.stamps import iso

ISSUED = 1_795_842_300.0


def publish_large(root: Path) -> None:
    """Write a folder with one issue of 1226 x 760 cells and 18 leads, without maps."""
    grid = Grid(pyproj.CRS.from_epsg(3067).to_wkt(), Axis(50_000.0, 1000.0, 760), Axis(7_800_000.0, -1000.0, 1226))
    rng = np.random.default_rng(0)
    wet = rng.random((18, 1226, 760), np.float32) < 0.25
    rate = np.where(wet, rng.gamma(1, 3, wet.shape), 0).astype(np.float32)
    name = "20261128T050500Z-0a0b0c0d"
    folder = root / "issues" / "2026" / "11" / "28" / name
    folder.mkdir(parents=True)
    layer = Layer(rate, tuple(5.0 * number for number in range(1, 19)), "rate", "rain rate")
    meta = {"version": "1.0", "id": name, "time": iso(ISSUED), "grid": grid.as_dict(), "files": {}}
    content = json.dumps(meta | {"point_file": write_points(folder / "points.bin", {"rate": layer})}).encode()
    (folder / "meta.json").write_bytes(content)
    entry = {"id": name, "time": iso(ISSUED), "revision": 0, "published": iso(ISSUED), "expires": iso(ISSUED + 5400)}
    entry |= {"leads": list(layer.leads), "layers": [], "degraded": False, "path": folder.relative_to(root).as_posix()}
    entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    index = {"version": "1.0", "generated": iso(ISSUED), "grid": grid.as_dict(), "step": 300.0, "frames": []}
    (root / "index.json").write_text(json.dumps(index | {"issues": [entry]}))


@contextmanager
def server_process(root: Path) -> Iterator[tuple[int, int]]:
    """A server on loopback: its port and its process."""
    line = [sys.executable, "-m", "echocast", "serve", str(root), "--bind", "127.0.0.1:0", "--metrics-bind", "off"]
    with subprocess.Popen([*line, "--log", "json"], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = int(json.loads(process.stderr.readline())["address"].rstrip("/").rpartition(":")[2])
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(20)
