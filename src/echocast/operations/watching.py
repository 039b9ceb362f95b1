"""The service: a loop that takes in frames, makes the issues that are due, and tells how it is.

>>> Watch(settings, options).run()  # doctest: +SKIP
0
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import filelock

from echocast.errors import DataError, EchocastError
from echocast.io.reading import ReadOptions
from echocast.operations import jobs, reloading, sources
from echocast.operations.alerts.extension import extension_of
from echocast.operations.clocks import Clock, FastClock, SystemClock
from echocast.operations.disk import disk_errors
from echocast.operations.extensions import Extensions
from echocast.operations.health import Health
from echocast.operations.intake import Intake
from echocast.operations.issuing import Issuing
from echocast.operations.layout import Layout
from echocast.operations.logs import EventLog, warnings_as_events
from echocast.operations.metrics import MetricsServer
from echocast.operations.notify import Notifier
from echocast.operations.rules import Due
from echocast.operations.settings import Settings, SettingsError
from echocast.operations.stamps import NS
from echocast.operations.status import StatusFile
from echocast.operations.waking import Waker
from echocast.operations.worker import Worker, WorkerProcess

LOCKED, NOTHING_ISSUED, INTERRUPTED = 75, 3, 130
"""Exit statuses beside 0 and 1."""
_STATUS_S = 5.0
_SLICE_S = 0.2


class Locked(DataError):
    """Another process watches into the same folder."""


class Stopped(BaseException):
    """The service was asked to stop."""


@dataclass
class Watch:
    """The service.

    Args:
        settings: what it was told.
        options: how files are read.
        log: where events are told; standard error if None.
        clock: the time; the machine's, or with a replay a fast one, if None.
        worker: reads and computes; a process of its own if None.
        reread: reads the configuration again, for SIGHUP; None: only what extensions read is read again.

    Raises:
        Locked: another process watches into the same folder.
        DataError: the folder cannot be written, or holds what another version wrote; the archive cannot be read.
        ModelError: there is no such model.
    """

    settings: Settings
    options: ReadOptions
    log: EventLog | None = None
    clock: Clock | None = None
    worker: Worker | None = None
    reread: reloading.Reread | None = None
    stop_signal: int | None = None
    _wants_state: bool = False
    _reload_asked: bool = False
    _is_to_plan: bool = True
    _metrics: MetricsServer | None = None
    _waker: Waker | None = None

    def __post_init__(self) -> None:
        """Lock the folder, load the model, take in what is there."""
        self.layout = Layout(self.settings.out)
        with disk_errors(self.layout.root):
            self.layout.root.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.layout)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def run(self) -> int:
        """Turn until there is nothing left to do or until asked to stop; the exit status."""
        with self._signals(), warnings_as_events(self.events, self.time.now):
            try:
                while not self._is_done(wait := self.turn()):
                    self._sleep(wait)
            except Stopped:
                pass
            finally:
                self.close()
        if self.stop_signal == signal.SIGINT:
            return INTERRUPTED
        return NOTHING_ISSUED if self.settings.once and self.stop_signal is None and not self._has_newest() else 0

    def turn(self) -> float:
        """One turn of the loop: list, read, make one issue, tidy; the seconds until the next thing to do."""
        if self._reload_asked:
            self._reload()
        self.notifier.alive()
        self.intake.poll()
        if not self.notifier.is_ready:
            self.notifier.ready(self.status.line())
        if self.intake.read():
            self.issuing.index_is_old = self._is_to_plan = True
        due: list[Due] = []
        if self._is_to_plan and not self.issuing.is_waiting_for_the_disk:
            due = self.issuing.due()
            self._is_to_plan = bool(due)
        if due and (issue := self.issuing.make(due[0])) is not None:
            self.extensions.published(issue)
        self.issuing.tidy()
        self.status.write(at_most_every=0.0 if due else _STATUS_S)
        self.notifier.status(self.status.line())
        self.extensions.turn(self.status.state())
        if len(due) > 1:
            return 0.0
        return max(0.0, min(self.intake.next_time(), self._retry_time()) - self.time.interval())

    def close(self) -> None:
        """End the worker and give the folder free; what is computed is dropped."""
        if self.worker is not None:
            self.worker.end()
        for one in (self._waker, self._metrics):
            if one is not None:
                one.close()
        if hasattr(self, "status"):
            self.notifier.stopping()
            self.extensions.end()
            self.status.stopping = True
            self.status.write()
        self._lock.release()

    def heartbeat(self) -> None:
        """Called by the loop while it waits for work: status.json stays young, and a wish to stop is heard."""
        self.notifier.alive()
        if hasattr(self, "status"):
            self.status.write(at_most_every=_STATUS_S)
        self._hear()

    def _make(self) -> None:
        chosen, self.notifier = self.settings, Notifier()
        polled, self.time = self._sources()
        self.events = self.log or EventLog(sys.stderr, _as_json(chosen.log))
        health = Health(self.events)
        if self.worker is None:
            self.worker = WorkerProcess(chosen.memory, self.heartbeat)
        model = self.worker.call(jobs.prepare, (chosen.model, chosen.members), deadline=jobs.PREPARE_S)
        self.intake = Intake(self.layout, chosen, self.options, self.worker, self.time, health, polled)
        self.intake.heartbeat = self.heartbeat
        self.issuing = Issuing(self.layout, chosen, model, self.intake, self.worker, self.time, health)
        self.extensions = Extensions(health, self.time.now, list(extension_of(self.issuing, self.intake.store)))
        self.status = StatusFile(self.layout, self.time, self.intake, self.issuing, self.extensions)
        self.issuing.tidy()
        self.status.write()
        if chosen.metrics is not None:
            self._metrics = MetricsServer(chosen.metrics, health.measures)
        self._listen()
        self.events.event(self.time.now(), "started", sources=len(polled), out=str(self.layout.root))

    def _listen(self) -> None:
        """Let the system wake the loop when a watched folder changes; a simulated clock is not woken."""
        if self._waker is not None:
            self._waker.close()
        found = [one.source.path for one in self.intake.sources if isinstance(one.source, sources.Folder)]
        is_real = isinstance(self.time, SystemClock) and not self.settings.once
        self._waker = Waker(found) if is_real else None

    def _reload(self) -> None:
        """Read the configuration again; where it is wrong, say so and keep what counts."""
        self._reload_asked = False
        self.notifier.reloading()
        try:
            new = (self.settings, self.options) if self.reread is None else self.reread()
            told = reloading.changed(self.settings, new[0])
            polled = list(self.intake.sources)
            polled = sources.polled_of(new[0], polled) if "sources" in told else polled
            reloading.prepare(new, self.intake, self.issuing, self.extensions, polled)()
        except (EchocastError, SettingsError, TimeoutError) as bad:
            self.intake.health.error(self.time.now(), "reload", f"the old configuration stays: {bad}")
        else:
            self.settings, self.options = new
            self._is_to_plan = True
            self._listen()
            self.events.event(self.time.now(), "reloaded", changed=",".join(told) or "nothing")
        self.notifier.ready(self.status.line())

    def _sources(self) -> tuple[list[sources.Polled], Clock]:
        """The sources, and the clock, which a replay begins at its first frame."""
        chosen = self.settings
        if chosen.replay is None:
            return sources.polled_of(chosen), self.clock or SystemClock()
        times = jobs.archive_times(chosen.replay)
        if not times:
            raise DataError(f"--replay {chosen.replay}: holds no frames")
        clock = self.clock or FastClock(times[0] / NS, chosen.speed)
        self._replayed_until = times[-1] / NS
        source = sources.Replay(chosen.replay, times, clock.now)
        return [sources.Polled(source, chosen.poll, sources.depth_of(chosen))], clock

    def _is_done(self, wait: float) -> bool:
        """Whether all that there is to do is done; a service that watches a feed never is."""
        if self.settings.once:
            return wait > 0 and all(not why for why in self.intake.files.waiting.values()) and not self._is_settling()
        if self.settings.replay is None:
            return False
        return wait > 0 and not self._is_settling() and self.time.now() > self._replayed_until + 2 * self.settings.poll

    def _is_settling(self) -> bool:
        return bool(self.intake.files.waiting)

    def _has_newest(self) -> bool:
        """Whether the newest frame has an issue."""
        times, newest = self.intake.store.times, next(iter(self.issuing.publisher.newest_first()), None)
        return bool(times) and newest is not None and newest.seconds >= times[-1] / NS

    def _retry_time(self) -> float:
        now = self.time.interval()
        return self.issuing.not_before if self.issuing.not_before > now else now + _STATUS_S

    def _sleep(self, seconds: float) -> None:
        """Wait in short slices, so that a signal is heard."""
        end = self.time.interval() + seconds
        while (left := end - self.time.interval()) > 0:
            self._hear()
            if self._reload_asked:
                return
            if self._waker is not None and self._waker.has_changed():
                self.intake.poll_now()
                return
            self.time.sleep(min(left, _SLICE_S * getattr(self.time, "speed", 1.0)))
        self._hear()

    def _hear(self) -> None:
        if self.stop_signal is not None:
            raise Stopped
        if self._wants_state and hasattr(self, "status"):
            self._wants_state = False
            self.events.event(self.time.now(), "state", **self.status.content())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Within the block SIGTERM and Ctrl-C end the loop, SIGUSR1 logs the state."""

        def stop(number: int, _: Any) -> None:
            self.stop_signal = number

        def state(*_: Any) -> None:
            self._wants_state = True

        def reload(*_: Any) -> None:
            self._reload_asked = True

        wanted = {"SIGTERM": stop, "SIGINT": stop, "SIGUSR1": state, "SIGHUP": reload}
        known = {getattr(signal, name): handler for name, handler in wanted.items() if hasattr(signal, name)}
        before = {number: signal.signal(number, handler) for number, handler in known.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _locked(layout: Layout) -> filelock.BaseFileLock:
    """The lock of the folder, held; raises `Locked`, which names the holder."""
    lock = filelock.FileLock(layout.lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as bad:
        holder = layout.lock.read_text(encoding="utf-8").strip() or "another process"
        raise Locked(f"{layout.root}: {holder} watches into this folder; stop it, or give another --out") from bad
    except OSError as bad:
        raise DataError(f"{layout.lock}: cannot be locked ({bad.strerror}); is the disk full or read-only?") from bad
    with disk_errors(layout.lock):
        layout.lock.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


def _as_json(log: str) -> bool:
    return log == "json" or (log == "auto" and not sys.stderr.isatty())
