"""From sources to the frame store: list, wait until files are ready, read each once, and judge its frames."""

import json
import random
import time as clocks
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from echocast import fields
from echocast.atomic import write_bytes
from echocast.errors import DataError, GridMismatch, Unreachable
from echocast.io import location as locations
from echocast.io.reading import ReadOptions
from echocast.operations import clock_rules, jobs
from echocast.operations.clocks import Clock
from echocast.operations.disk import DiskTrouble, disk_errors
from echocast.operations.frames import FrameStore, time_of
from echocast.operations.health import Health
from echocast.operations.layout import Layout
from echocast.operations.readiness import Fingerprint, Readiness
from echocast.operations.settings import Settings
from echocast.operations.sources import Polled, Replay
from echocast.operations.stamps import NS, iso_ns
from echocast.operations.worker import Worker

_DEFAULT_STEP_S = 300.0
_MORE_FRAMES = 24
"""The store keeps so many frames more than an issue uses."""
_FIRST_FILES = 12
"""Where the store is empty, so many files tell which grid most have."""
_FUTURE_AGAIN_S = 60.0
_FORGOTTEN_BEYOND = 1000
_JITTER = 0.2
_UNREACHABLE_S = 3600.0
"""A file that its server does not give is tried for so long: it is not the file that is damaged."""


class ProductChanged(DataError):
    """Frame after frame is of another grid or product: waiting does not mend it."""


@dataclass
class Intake:
    """Takes in frames.

    Args:
        layout: the folder of the service.
        settings: what the service was told.
        options: how files are read.
        worker: reads them.
        clock: the time.
        health: counts and errors.
        sources: where files come from.
        heartbeat: called before each file is read; what it raises ends the reading.
        make_room: called where a frame cannot be written, with the trouble and the name of its file.
    """

    layout: Layout
    settings: Settings
    options: ReadOptions
    worker: Worker
    clock: Clock
    health: Health
    sources: Sequence[Polled]
    heartbeat: Callable[[], None] = lambda: None
    make_room: Callable[[DiskTrouble, str], None] = lambda _bad, _name: None
    delays: list[float] = field(default_factory=list)
    refused_in_a_row: int = 0
    only_future: bool = False
    readable: dict[int, float] = field(default_factory=dict)
    """When the frame of a time was first seen as it is, by the clock of intervals."""

    def __post_init__(self) -> None:
        """Take in what the last run left."""
        self.store = FrameStore(self.layout)
        self.files = Readiness(self.settings.settle, self.settings.patience)
        self._backlog: set[str] = set()
        self._origin: dict[str, Polled] = {}
        self._changed = False
        self._load()

    @property
    def told_step(self) -> int | None:
        """The time step (ns) that was told, if it was."""
        return None if self.settings.step is None else round(self.settings.step * NS)

    @property
    def step(self) -> int | None:
        """The radar's time step in ns, if it is known."""
        return clock_rules.step_of(self.store.times, self.told_step)

    @property
    def depth(self) -> int:
        """How many frames the store keeps."""
        step_s = (self.step or round(_DEFAULT_STEP_S * NS)) / NS
        return self.settings.frames + max(_MORE_FRAMES, int(self.settings.catch_up / step_s) + 1)

    @property
    def delay(self) -> float:
        """How many seconds after its time a frame is expected."""
        return clock_rules.expected_delay(self.delays, start=self.settings.delay)

    def poll(self) -> None:
        """List the sources whose time has come."""
        now = self.clock.interval()
        for polled in self.sources:
            settling = self.files.next_time()
            if now < polled.next_poll and not (polled.errors == 0 and settling is not None and settling <= now):
                continue
            if (found := self._listed(polled, now)) is None:
                continue
            if not polled.started:
                wanted = polled.first(found)
                self._backlog |= set(wanted)
                for name in found.keys() - wanted.keys() - self.files.seen.keys():
                    self.files.seen[name] = (found[name], "old")
                found = {name: one for name, one in found.items() if name in wanted or name in self.files.seen}
            self.files.update(found, now)
            self._forget()

    def poll_now(self) -> None:
        """Let the next `poll` list all sources that do not fail."""
        for polled in self.sources:
            polled.next_poll = polled.next_poll if polled.errors else 0.0

    def _listed(self, polled: Polled, now: float) -> dict[str, Fingerprint] | None:
        """What a source holds; what waits and is gone is forgotten, and trouble is told once."""
        began, had_trouble, before = clocks.monotonic(), polled.trouble, polled.known
        found = polled.list(now, random.uniform(-_JITTER / 2, _JITTER / 2), self.heartbeat)
        self.health.measures.observe("echocast_stage_seconds", clocks.monotonic() - began, stage="list")
        if found is None:
            self.health.measures.count("echocast_source_errors", source=polled.name, kind=polled.kind)
            if not had_trouble:
                self.health.error(self.clock.now(), "source", polled.trouble)
            return None
        if had_trouble:
            self.health.log.event(self.clock.now(), "source", source=polled.name, reason="can be reached again")
        self._origin = {name: one for one in self.sources for name in one.known}
        self.files.drop(before.keys() - self._origin.keys())
        return found

    def read(self) -> bool:
        """Read the files that are ready; whether the store has changed. Raises `ProductChanged`."""
        ready = self.files.ready(self.clock.interval())
        if not ready:
            return False
        before = [frame.digest for frame in self.store.all()]
        if not self.store.times and len(ready) > 1:
            first, ready = ready[:_FIRST_FILES], ready[_FIRST_FILES:]
            self._judge(_majority_first([(name, found) for name in first if (found := self._read(name)) is not None]))
        for name in ready:
            if (found := self._read(name)) is not None:
                self._judge([(name, found)])
        self.store.keep_newest(self.depth)
        self.readable = {time: since for time, since in self.readable.items() if time in set(self.store.times)}
        if self._changed:
            self._save()
        return [frame.digest for frame in self.store.all()] != before

    def next_time(self) -> float:
        """When there is something to do again, by the clock of intervals."""
        times = [polled.next_poll for polled in self.sources]
        ready = self.files.next_time()
        return min([*times, *([] if ready is None else [ready])])

    def _read(self, name: str) -> list[xr.DataArray] | None:
        """The frames of a file; None where it cannot be read."""
        self.heartbeat()
        source = self._origin[name].source if name in self._origin else None
        job = jobs.ReadJob(name, self.options, self.settings.most_bytes, self.depth)
        if isinstance(source, Replay):
            place, _, time = name.rpartition("#")
            job = jobs.ReadJob(place, self.options, self.settings.most_bytes, 1, archive_time=int(time))
        began = clocks.monotonic()
        try:
            found = self.worker.call(jobs.read, job, deadline=self.settings.read_timeout)
        except Exception as bad:  # a damaged file may raise anything
            self._cannot_read(name, bad)
            return None
        self.health.measures.observe("echocast_stage_seconds", clocks.monotonic() - began, stage="read")
        return found

    def _cannot_read(self, name: str, bad: Exception) -> None:
        """Try a file again later, or set it aside."""
        why = " ".join((str(bad) if isinstance(bad, DataError) else f"{type(bad).__name__}: {bad}").split())
        is_away = isinstance(bad, Unreachable) or (isinstance(bad, TimeoutError) and locations.is_url(name))
        patience = max(self.settings.patience, _UNREACHABLE_S) if is_away else None
        is_first, now, origin = not self.files.waiting[name], self.clock.now(), self._origin_name(name)
        if is_away:
            self.health.measures.count("echocast_source_errors", source=origin, kind="read")
        if self.files.failed(name, why, self.clock.interval(), patience=patience):
            self._changed = True
            self.health.error(now, "quarantined", why)
            self.health.frame(now, "quarantined", source=locations.name(name), origin=origin, reason=why)
        elif is_first and not is_away:
            self.health.frame(now, "corrupt", source=locations.name(name), origin=origin, reason=why)

    def _origin_name(self, name: str) -> str:
        return self._origin[name].name if name in self._origin else ""

    def _judge(self, files: Sequence[tuple[str, list[xr.DataArray]]]) -> None:
        for name, frames in files:
            try:
                outcomes = [self._take(one, name) for one in frames]
            except DiskTrouble as bad:
                self.health.error(self.clock.now(), "disk", str(bad))
                self.files.wait_until(name, self.clock.interval() + self.settings.poll)
                with suppress(DiskTrouble):  # then it is tried again with what room there is
                    self.make_room(bad, name)
                continue
            self.only_future = bool(outcomes) and set(outcomes) == {"future"}
            if "future" in outcomes:
                self.files.wait_until(name, self.clock.interval() + _FUTURE_AGAIN_S)
                continue
            self.files.done(name, ",".join(sorted(set(outcomes))))
            self._backlog.discard(name)
            self._changed = True

    def _take(self, frame: xr.DataArray, name: str) -> str:
        """Judge one frame and tell what became of it."""
        source, now = locations.name(name), self.clock.now()
        frame = self._in_whole_seconds(frame)
        time, reason = time_of(frame), ""
        outcome = self._refusal(frame, time, now)
        if not outcome:
            delay = now - time / NS
            newest = max(self.store.times, default=time)
            is_new = name not in self._backlog
            late = is_new and (time < newest or delay > self.delay + (self.step or 0) / NS)
            try:
                outcome = self.store.add(frame, source=source, arrived=now, late=late)
            except GridMismatch as bad:
                outcome, reason = "grid", str(bad)
            if is_new and outcome in ("used", "late"):
                self.delays = [*self.delays, max(0.0, delay)][-clock_rules.DELAYS :]
            if outcome in ("used", "late", "corrected"):
                self._measure(name, time, delay if is_new else None)
        self.health.frame(now, outcome, source=source, origin=self._origin_name(name), time=iso_ns(time), reason=reason)
        self._count_refused(outcome, source, reason or "off the radar's clock")
        return outcome

    def _measure(self, name: str, time: int, delay: float | None) -> None:
        """Note when a frame that counts came, and how late; None where it lay there before the service began."""
        measures, origin = self.health.measures, self._origin_name(name)
        newest = measures.values("echocast_frame_timestamp_seconds").get((origin,), 0.0)
        measures.set("echocast_frame_timestamp_seconds", max(newest, time / NS), source=origin)
        if delay is not None:
            self.readable[time] = self.files.since(name)
            measures.observe("echocast_frame_delay_seconds", max(0.0, delay))

    def _refusal(self, frame: xr.DataArray, time: int, now: float) -> str:
        """Why a frame is refused before its grid is looked at; empty if it is not."""
        times = self.store.times
        if clock_rules.is_future(time, now):
            return "future"
        if not np.isfinite(frame.values).any():
            return "blank"
        if not clock_rules.is_on_clock(time, times, self.told_step):
            return "offclock"
        return "old" if len(times) >= self.depth and time < times[0] else ""

    def _in_whole_seconds(self, frame: xr.DataArray) -> xr.DataArray:
        """The frame at a whole second; at the time of the frame it repeats, if it lies within the tolerance of one."""
        time = round(time_of(frame) / NS) * NS
        step = np.timedelta64(self.step or round(_DEFAULT_STEP_S * NS), "ns")
        about = int(fields.tolerance(step).astype(np.int64))
        time = min((one for one in self.store.times if abs(one - time) <= about), default=time)
        return frame.assign_coords(time=("time", np.array([time], "datetime64[ns]"), frame.time.attrs))

    def _count_refused(self, outcome: str, source: str, reason: str) -> None:
        if outcome in ("grid", "offclock"):
            self.refused_in_a_row += 1
        elif outcome in ("used", "late", "corrected"):
            self.refused_in_a_row = 0
        if self.refused_in_a_row >= self.settings.regrid_after:
            self._save()
            raise ProductChanged(
                f"the product has changed: {self.refused_in_a_row} frames in a row were refused, the last {source}"
                f" ({reason}); start again with another --out"
            )

    def _forget(self) -> None:
        """Forget files that are long gone, where very many are remembered."""
        known = self._origin.keys()
        if len(self.files.seen) > 2 * len(known) + _FORGOTTEN_BEYOND:
            self.files.forget(set(self.files.seen) - known)

    def _load(self) -> None:
        try:
            content = json.loads(self.layout.seen.read_bytes())
            if not self.store.has_lost:  # else files are read again: one of them holds what was lost
                self.files.load(content["files"])
            self.delays = [float(one) for one in content["delays"]]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as bad:
            # All that is lost is that files are read again, and found to be duplicates.
            self.health.log.event(self.clock.now(), "warning", level="warning", reason=f"seen.json: {bad}")

    def _save(self) -> None:
        content = {"delays": [round(one, 1) for one in self.delays], "files": self.files.as_json()}
        try:
            with disk_errors(self.layout.seen):
                write_bytes(self.layout.seen, json.dumps(content).encode(), sync=True)
        except DiskTrouble as bad:
            self.health.error(self.clock.now(), "disk", str(bad))
            return
        self._changed = False


def _majority_first(files: list[tuple[str, list[xr.DataArray]]]) -> list[tuple[str, list[xr.DataArray]]]:
    """The files in their order, but those of the grid and product that most have before all others."""
    groups: list[tuple[xr.DataArray, list[tuple[str, list[xr.DataArray]]]]] = []
    for name, frames in files:
        if not frames:
            continue
        group = next((members for like, members in groups if _is_alike(like, frames[0])), None)
        if group is None:
            groups.append((frames[0], [(name, frames)]))
        else:
            group.append((name, frames))
    ordered = sorted((members for _, members in groups), key=len, reverse=True)
    return [one for members in ordered for one in members]


def _is_alike(like: xr.DataArray, other: xr.DataArray) -> bool:
    try:
        fields.check_same_grid(like, other)
        fields.check_same_product(like, other)
    except GridMismatch:
        return False
    return True
