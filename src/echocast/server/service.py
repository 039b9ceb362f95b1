"""What requests share: the newest snapshot, the settings, room for heavy work, and counters."""

import asyncio
import html
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from starlette.requests import Request

from echocast.errors import EchocastError
from echocast.server import point_json
from echocast.server import snapshot as snapshots
from echocast.server.asgi import Scope
from echocast.server.metrics import Metrics
from echocast.server.problems import Problem
from echocast.server.settings import Settings
from echocast.server.snapshot import Snapshot
from echocast.server.tiles.renderer import Renderer

log = logging.getLogger(__name__)

R = TypeVar("R")
FastAnswer = tuple[int, Iterable[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""
Fast = Callable[[str, Scope], Awaitable[FastAnswer | None]]
"""Answers an address (what follows its prefix, and the request) without FastAPI; None leaves it to FastAPI."""

_DEFAULT_STEP_S = 300.0
_DRAWINGS_WAITING = 1000
"""Pictures that may wait to be drawn; each takes about a millisecond."""


class Service:
    """What requests share.

    Args:
        settings: what the server was told.
        clock: the time in seconds since 1970.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings, self.clock = settings, clock
        self.clock_speed = 1.0  # a demonstration's clock runs faster than life
        self.snapshot = Snapshot()
        self.trouble = ""
        self.metrics = Metrics()
        self.renderer = Renderer(settings.cache, self.metrics)
        self.drawing = HeavyWork(os.cpu_count() or 1, _DRAWINGS_WAITING, settings.limits.seconds, self.metrics)
        self.heavy = HeavyWork(os.cpu_count() or 1, settings.limits.waiting, settings.limits.seconds, self.metrics)
        self.fast: list[tuple[str, Fast]] = []
        self.ahead: list[Callable[[Snapshot], None]] = []  # what is made of a new snapshot before anyone asks for it
        self._watching: asyncio.Task[None] | None = None

    def refresh(self) -> bool:
        """Look at index.json; whether there is a new snapshot. What is wrong with it is told in `trouble`."""
        try:
            found = snapshots.load(self.settings.folder, self.snapshot)
        except (EchocastError, ValueError) as bad:
            if str(bad) != self.trouble:
                log.warning("%s", bad)
            self.trouble = str(bad)
            return False
        self.trouble = ""
        if found is self.snapshot:
            return False
        self._read_ahead(found)
        self.snapshot = found
        if found.newest is not None:
            self.metrics.served_issue.set(found.newest.seconds)
        return True

    def _read_ahead(self, found: Snapshot) -> None:
        """Read what nearly every request needs, so that none has to wait for it."""
        with suppress(EchocastError):  # requests will tell
            if found.newest is not None and found.newest.grid is not None:
                found.newest.grid.cell(0.0, 0.0)
            if found.newest is not None and found.newest.point_file is not None:
                point_json.prepare(found.newest.point_file, found.newest.seconds)
            if found.newest_frame is not None and found.newest_frame.grid is not None:
                found.newest_frame.values()

    def make_ahead(self) -> None:
        """Make what pages ask for first; what cannot be made is told to those who ask."""
        for make in self.ahead:
            with suppress(EchocastError, Problem):
                make(self.snapshot)

    async def start(self) -> None:
        """Begin to look for a new index."""
        self.refresh()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End it."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self.heavy.close()
        self.drawing.close()

    def host(self, request: Request) -> str:
        """What full addresses begin with: what was told, or what the request was sent to."""
        base = self.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
        return base + self.settings.root_path

    @property
    def attribution(self) -> str:
        """Whose data are shown, as text that is safe in HTML."""
        return html.escape(self.settings.attribution)

    @property
    def age_s(self) -> float | None:
        """Seconds since the time of the newest issue; None if there is none."""
        newest = self.snapshot.newest
        return None if newest is None else self.clock() - newest.seconds

    @property
    def state(self) -> str:
        """``none`` without an issue, ``stale`` if the newest is older than allowed, else ``ok``."""
        age = self.age_s
        return "none" if age is None else "stale" if age > self.settings.stale else "ok"

    @property
    def expected_next(self) -> float | None:
        """When the next issue is due, in seconds since 1970: a step after the newest came, or now if that is past."""
        newest = self.snapshot.newest
        if newest is None:
            return None
        return max(self.snapshot.generated + (self.snapshot.step_s or _DEFAULT_STEP_S), self.clock())

    async def _watch(self) -> None:
        """Look every few seconds; a change in the folder is only a hint to look at once."""
        hints = _Hints(self.settings)
        try:
            await asyncio.to_thread(self.make_ahead)
            while True:
                await hints.wait(self.settings.poll)
                if await asyncio.to_thread(self.refresh):
                    await asyncio.to_thread(self.make_ahead)
        finally:
            hints.stop()


class _Hints:
    """Changes of the folder, where the system tells them."""

    def __init__(self, settings: Settings) -> None:
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._listen(str(settings.folder)))

    async def wait(self, seconds: float) -> None:
        """Until something changes, at most so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()

    def stop(self) -> None:
        """Listen no longer."""
        self._stop.set()
        self._task.cancel()

    async def _listen(self, folder: str) -> None:
        try:
            from watchfiles import awatch

            async for changes in awatch(folder, stop_event=self._stop, recursive=False, step=50):
                if any(path.endswith("index.json") for _, path in changes):
                    self._changed.set()
        except (ImportError, OSError, RuntimeError) as bad:
            log.info("changes of %s are not told by the system (%s); it is looked at regularly", folder, bad)


class HeavyWork:
    """Requests that need much of a processor: a few at once, a few waiting, others are refused.

    Args:
        at_once: threads.
        waiting: requests that may wait for one.
        seconds: the longest a request takes, waiting included.
        metrics: where it is counted.
    """

    def __init__(self, at_once: int, waiting: int, seconds: float, metrics: Metrics) -> None:
        self._most, self._seconds, self._metrics = at_once + waiting, seconds, metrics
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="heavy")
        self._held = 0

    async def run(self, work: Callable[..., R], *given: object) -> R:
        """What `work` returns, made in a thread; raises `Problem` 503 if too many wait, or it takes too long."""
        if self._held >= self._most:
            self._metrics.rejected.labels("busy").inc()
            raise Problem(503, "too many requests that need much computing wait; try again", retry_after=5)
        self._held += 1
        self._metrics.heavy.set(self._held)
        task = asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        task.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._seconds)
        except TimeoutError as bad:
            task.cancel()
            self._metrics.rejected.labels("time").inc()
            raise Problem(503, f"this took longer than {self._seconds:g} s; ask for less", retry_after=30) from bad

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, task: "asyncio.Future[R]") -> None:
        self._held -= 1
        self._metrics.heavy.set(self._held)
        if not task.cancelled():
            task.exception()  # told already, or nobody waits any more
