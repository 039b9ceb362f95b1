"""How many tiles and points a second the server gives: drawn in a process, and over HTTP from another.

The forecast is made of synthetic storms on a national grid, with the products of a small ensemble. Rates are told for
each second of processor time of the server, since a busy machine makes the clock lie; the clock's are beside them. The
yardsticks draw the same field with rasterio and with rio-tiler (`drawing`).

>>> quantile([0.3, 0.1, 0.2], 0.5)
0.2
"""

import asyncio
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.operations import issue_layers
from echocast.operations.grid import Axis, Grid
from echocast.operations.layer_file import Layer, write_layers
from echocast.operations.layout import Layout
from echocast.operations.point_file import write_points
from echocast.operations.publishing import Publisher
from echocast.operations.stamps import iso, name_stamp
from echocast.products import ensemble
from echocast.server.snapshot import Snapshot, load
from echocast.server.tiles import mercator
from echocast.synthetic import storms

_MEMBERS = 5
_SIDE = 256
"""Cells along a side of the storms, which are repeated over the grid."""
_ZOOMS = (6, 7, 8)
_BESIDE = 20
"""Members of the forecast that is computed beside the server."""
KEPT = "tiles that are kept"


@dataclass(frozen=True)
class Size:
    """How large all is."""

    rows: int = 1226
    columns: int = 760
    leads: int = 18
    seconds: float = 8.0


@dataclass(frozen=True)
class Load:
    """What a load gave."""

    name: str
    connections: int
    requests: int
    seconds: float
    cpu_s: float
    waits: list[float]

    def row(self) -> str:
        """A row of the table."""
        rate, each = self.requests / self.seconds, self.requests / max(self.cpu_s, 0.01)
        p50, p99 = (1000 * quantile(self.waits, share) for share in (0.5, 0.99))
        return f"| {self.name} | {self.connections} | {each:.0f} | {rate:.0f} | {p50:.1f} / {p99:.1f} |"


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (all benchmarks take it)
    """Measure, and give the tables as Markdown."""
    from benchmarks.drawing import drawing

    size = Size(rows=120, columns=90, leads=3, seconds=0.5) if quick else Size()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "live"
        written = publish(root, size)
        snapshot = load(root, Snapshot())
        drawn = drawing(snapshot, Path(folder), size, rounds)
        loads, resident = over_http(root, snapshot, size)
    return _report(size, written, drawn, loads, resident)


def grid_of(size: Size) -> Grid:
    """A national grid of 1 km in a transverse Mercator projection."""
    return Grid("EPSG:3067", Axis(-1.1e5, 1000, size.columns), Axis(7.78e6, -1000, size.rows))


def members_of(size: Size) -> xr.DataArray:
    """An ensemble (member, lead, y, x) of storms that drift apart."""
    field = storms.generate(frames=size.leads, size=_SIDE, grid_km=1.0, seed=0)
    lead = np.arange(1, size.leads + 1) * np.timedelta64(5, "m").astype("timedelta64[ns]")
    drift = np.random.default_rng(0).integers(-3, 4, (_MEMBERS, 2))
    times = (1, -(-size.rows // _SIDE), -(-size.columns // _SIDE))
    rates = np.tile(np.maximum(field.values - 1, 0), times)[:, : size.rows, : size.columns]
    made = np.stack([[np.roll(r, tuple(n * d), (0, 1)) for n, r in enumerate(rates)] for d in drift])
    return xr.DataArray(made, dims=("member", "lead", "y", "x"), coords={"lead": lead}, name=fields.NAME)


def publish(root: Path, size: Size) -> dict[str, float]:
    """Write an issue and its index; the seconds of processor time and the bytes of both files."""
    root.mkdir()
    made = members_of(size)
    products = ensemble.products(made)
    layers = issue_layers.layers_of(made, products) | {}
    publisher, now = Publisher(Layout(root), time.time()), time.time() // 300 * 300
    work = publisher.work_folder()
    told: dict[str, float] = {}
    about: dict[str, dict[str, object]] = {}
    both: Sequence[tuple[str, Callable[[Path, dict[str, Layer]], dict[str, object]]]]
    both = (("layers.bin", write_layers), ("points.bin", write_points))
    for name, write in both:
        began = time.process_time()
        about[name] = write(work / name, layers)
        told |= {f"{name} s": time.process_time() - began, f"{name} MB": (work / name).stat().st_size / 1e6}
    leads = [5.0 * number for number in range(1, size.leads + 1)]
    grid = grid_of(size).as_dict()
    (work / "forecast.nc").write_bytes(b"no forecast")
    meta = {
        "time": iso(now),
        "revision": 0,
        "published": iso(now),
        "expires": iso(now + 60 * leads[-1]),
        "leads": leads,
    }
    meta |= {"layers": list(layers), "degraded": False, "grid": grid, "frames": []}
    meta |= {"layer_file": about["layers.bin"], "point_file": about["points.bin"]}
    publisher.publish(work, f"{name_stamp(int(now) * 10**9)}-00000000", meta)
    publisher.write_index(now=now, frames=[], step=300.0, grid=grid)
    return told


def tiles_of(grid: Grid, zooms: Iterable[int] = _ZOOMS) -> list[tuple[int, int, int]]:
    """The tiles that show some of a grid."""
    bounds = grid.bounds
    assert bounds is not None  # the grid above lies on Earth
    west, south, east, north = bounds
    (left, bottom), (right, top) = mercator.mercator(west, south), mercator.mercator(east, north)
    found = []
    for zoom in zooms:
        side = 2 * mercator.HALF / 2**zoom
        columns = range(int((left + mercator.HALF) // side), int((right + mercator.HALF) // side) + 1)
        rows = range(int((mercator.HALF - top) // side), int((mercator.HALF - bottom) // side) + 1)
        found += [(zoom, x, y) for x in columns for y in rows]
    return found


@contextmanager
def server(root: Path) -> Iterator[tuple[int, int]]:
    """A server of a folder in a process of its own: its process and its port, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [
        sys.executable,
        "-m",
        "echocast",
        "serve",
        str(root),
        "--bind",
        f"127.0.0.1:{port}",
        "--metrics-bind",
        "off",
    ]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(20)


def over_http(root: Path, snapshot: Snapshot, size: Size) -> tuple[list[Load], float]:
    """The loads over HTTP, and the largest memory of the server in MiB."""
    with server(root) as (pid, port):
        rng = random.Random(0)
        seen, unseen, points = _paths(snapshot, rng)
        asyncio.run(_ask(port, 4, seen, size.seconds * 10, len(seen)))  # so that they are kept
        loads = [
            _loaded(KEPT, pid, port, 32, seen, size.seconds),
            _loaded("tiles never seen", pid, port, 16, unseen, size.seconds, once=True),
            _loaded("points as JSON", pid, port, 16, points, size.seconds),
        ]
        with computing(size):
            name = f"{KEPT}, while {_BESIDE} members are computed"
            loads.append(_loaded(name, pid, port, 32, seen, 2 * size.seconds))
        return loads, _memory(pid)


@contextmanager
def computing(size: Size) -> Iterator[None]:
    """Forecasts of an ensemble one after the other, as the compute process of `echocast watch` makes them."""
    task = f"Task('lagrangian', {size.rows}, {size.columns}, leads={size.leads}, members={_BESIDE})"
    script = f"from benchmarks.nowcast import Task, candidate\nwork = candidate({task})\nwork()\nprint(flush=True)\n"
    line = ["nice", "-n", "5", sys.executable, "-c", script + "while True:\n    work()\n"]
    environment = os.environ | {"MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"\n":
                raise RuntimeError("the forecasts beside the server failed")
            yield
        finally:
            process.kill()


def _paths(snapshot: Snapshot, rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    issue = snapshot.newest
    assert issue is not None  # published above
    assert issue.grid is not None  # it lies on Earth
    assert issue.grid.bounds is not None  # all of it
    tiles = tiles_of(issue.grid)
    at = [f"/v1/tiles/{issue.id}/{{}}/{{:g}}/{z}/{x}/{y}.png" for z, x, y in tiles]
    seen = [path.format("rate", lead) for lead in issue.leads for path in at][:2000]
    others = [name for name in ("rate.mean", "rate.p90", "prob.rate.1", "rate.p10") if name in issue.layers]
    unseen = [path.format(name, lead) for name in others for lead in issue.leads for path in at]
    rng.shuffle(seen)
    west, south, east, north = issue.grid.bounds
    points = [f"/v1/point?lat={rng.uniform(south, north):.4f}&lon={rng.uniform(west, east):.4f}" for _ in range(5000)]
    return seen, unseen, points


def _loaded(
    name: str, pid: int, port: int, connections: int, paths: Sequence[str], seconds: float, *, once: bool = False
) -> Load:
    before, began = _cpu(pid), time.perf_counter()
    waits = asyncio.run(_ask(port, connections, paths, seconds, len(paths) if once else None))
    return Load(name, connections, len(waits), time.perf_counter() - began, _cpu(pid) - before, waits)


async def _ask(port: int, connections: int, paths: Sequence[str], seconds: float, most: int | None) -> list[float]:
    """Ask for paths in turn on so many connections; the seconds that each answer took."""
    waits: list[float] = []
    until, numbers = time.perf_counter() + seconds, iter(range(most if most is not None else 10**9))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            began = time.perf_counter()
            if began > until:
                break
            writer.write(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{paths[number % len(paths)]}: {head[:200]!r}")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            waits.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return waits


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("the server did not start within two minutes")


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def quantile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _report(
    size: Size, written: dict[str, float], drawn: dict[str, float], loads: Sequence[Load], resident: float
) -> str:
    slowest, kept = min(drawn.values()), next(one for one in loads if one.name == KEPT)
    drawn = drawn | {"echocast over HTTP, tiles that are kept": kept.requests / max(kept.cpu_s, 0.01)}
    lines = [
        "# Serving: tiles and points a second",
        "",
        f"echocast {__version__}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors"
        f" with a load of {os.getloadavg()[0]:.0f};"
        f" {size.rows} x {size.columns} cells of 1 km in EPSG:3067, {size.leads} leads, layers of an ensemble; tiles of"
        f" 256 pixels at zooms {_ZOOMS[0]} to {_ZOOMS[-1]}. `python -m benchmarks serve` makes these tables, with"
        " `--rio-tiler PYTHON` where rio-tiler is installed for another interpreter.",
        "",
        "## Drawing tiles, in one process",
        "",
        "| way | tiles a second of processor time | of the slowest way |",
        "|---|---:|---:|",
        *(f"| {name} | {rate:.0f} | {rate / slowest:.1f} |" for name, rate in drawn.items()),
        "",
        "## Over HTTP, one worker, client and server on the same processors",
        "",
        "| load | connections | answers a second of the server's processor time | a second | p50 / p99 in ms |",
        "|---|---:|---:|---:|---:|",
        *(one.row() for one in loads),
        "",
        f"Most memory of the server: {resident:.0f} MiB. An issue of {_MEMBERS} members: layers.bin"
        f" {written['layers.bin MB']:.1f} MB in {written['layers.bin s']:.1f} s of processor time, points.bin"
        f" {written['points.bin MB']:.1f} MB in {written['points.bin s']:.1f} s.",
        "",
    ]
    return "\n".join(lines)
