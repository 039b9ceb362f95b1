"""How soon the map shows something: from opening the page to the first radar picture and to the basemap.

A real server in a process of its own, a real Chromium on the same processors, and nothing in the browser's cache. The
forecast and two hours of observed frames are made of synthetic storms on a national grid.

>>> Opening(900.0, 1200.0, 400.0, 30).row("a server that runs", [Opening(700.0, 1000.0, 300.0, 30)])
'| a server that runs | 0.70 (0.70-0.90) | 1.00 (1.00-1.20) | 0.30 (0.30-0.40) | 30 |'
"""

import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import serve
from echocast import fields
from echocast._version import __version__
from echocast.errors import MissingDependency
from echocast.operations.frames import FrameStore
from echocast.operations.grid import Grid
from echocast.operations.layout import Layout
from echocast.operations.publishing import Publisher

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_STEP_S = 300
_PATIENCE_MS = 120_000
_SEEN = "() => ['first-picture', 'basemap'].map((name) => performance.getEntriesByName(name)[0]?.startTime ?? null)"
_ASKED = "() => performance.getEntriesByType('resource').length"


@dataclass(frozen=True)
class Opening:
    """What one opening of the page took.

    Args:
        picture: ms from the start of the navigation until the first radar picture was drawn.
        basemap: ms until the basemap was drawn.
        processor: ms of processor time of the page's process by then, which depends less on what else runs.
        requests: that the page had made by then.
    """

    picture: float
    basemap: float
    processor: float
    requests: int

    def row(self, name: str, others: "Sequence[Opening]") -> str:
        """A row of the table, with other openings of the same kind."""
        every = [self, *others]
        kinds = zip(*((one.picture, one.basemap, one.processor) for one in every), strict=True)
        return f"| {name} | {' | '.join(map(_told, kinds))} | {max(one.requests for one in every)} |"


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (all benchmarks take it)
    """Measure, and give the table as Markdown."""
    size = serve.Size(rows=120, columns=90, leads=3) if quick else serve.Size()
    frames = 3 if quick else 25
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "live"
        publish(root, size, frames)
        with chromium() as browser:
            fresh = []
            for _ in range(rounds):
                with serve.server(root) as (_, port):
                    fresh.append(opening(browser, f"http://127.0.0.1:{port}"))
            with serve.server(root) as (_, port):
                opening(browser, f"http://127.0.0.1:{port}")
                running = [opening(browser, f"http://127.0.0.1:{port}") for _ in range(rounds)]
    rows = [
        fresh[0].row("a server that has just started", fresh[1:]),
        running[0].row("a server that was asked before", running[1:]),
    ]
    return _report(size, frames, rounds, rows)


def publish(root: Path, size: serve.Size, frames: int) -> None:
    """Write a forecast, and so many observed frames before it."""
    serve.publish(root, size)
    layout, grid = Layout(root), serve.grid_of(size)
    now = time.time() // _STEP_S * _STEP_S
    store, made = FrameStore(layout), serve.members_of(size)[0]
    y, x = (axis.coordinate(np.arange(axis.size) + 0.5) for axis in (grid.y, grid.x))
    for number in range(frames):
        values = np.roll(made[number % size.leads].values, number, axis=1)[None].astype(np.float32)
        times = np.array([np.datetime64(int(now) - _STEP_S * number, "s")], "datetime64[ns]")
        one = fields.make(values, time=times, y=y, x=x, crs=_wkt(grid))
        store.add(one, source=f"{number}.h5", arrived=now, late=False)
    Publisher(layout, now).write_index(now=now, frames=store.all(), step=_STEP_S, grid=grid.as_dict())


def _wkt(grid: Grid) -> str:
    assert grid.crs_wkt is not None  # the grid of the benchmark lies on Earth
    return grid.crs_wkt


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A Chromium without a window: the one of the system, else that of playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as bad:
        raise MissingDependency("playwright", "test") from bad
    of_system = Path("/usr/bin/chromium")
    with sync_playwright() as playwright:
        path = str(of_system) if of_system.exists() else None
        browser = playwright.chromium.launch(executable_path=path, args=list(_CHROMIUM))
        yield browser
        browser.close()


def opening(browser: "Browser", address: str) -> Opening:
    """Open the page with nothing in the cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    tools = context.new_cdp_session(page)
    tools.send("Performance.enable")
    page.goto(address, wait_until="commit", timeout=_PATIENCE_MS)
    end = time.monotonic() + _PATIENCE_MS / 1000
    while None in (seen := page.evaluate(_SEEN)):
        if time.monotonic() > end:
            raise RuntimeError(f"the page shows nothing: {seen}")
        page.wait_for_timeout(50)
    asked = page.evaluate(_ASKED)
    measured = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    context.close()
    picture, basemap = seen
    return Opening(picture, basemap, 1000 * measured["ProcessTime"], asked)


def _told(times: Sequence[float]) -> str:
    """Median and range in seconds."""
    return f"{median_low(times) / 1000:.2f} ({min(times) / 1000:.2f}-{max(times) / 1000:.2f})"


def _report(size: serve.Size, frames: int, rounds: int, rows: Sequence[str]) -> str:
    lines = [
        "# The map: from opening the page to the first picture",
        "",
        f"echocast {__version__}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors"
        f" with a load of {os.getloadavg()[0]:.0f}; server and Chromium without a GPU on the same processors, nothing"
        f" in the browser's cache, a window of 1280 x 800; {size.rows} x {size.columns} cells, {frames} observed"
        f" frames, {size.leads} leads. Seconds from the start, median (lowest to highest) of {rounds}."
        " `python -m benchmarks page` makes this table.",
        "",
        "| opened from | first radar picture drawn | basemap drawn | processor time of the page | requests till then |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    return "\n".join(lines)
