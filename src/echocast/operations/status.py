"""status.json: how the service is, for people, for monitoring, and for the next one that wants the folder."""

import json
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from echocast._version import __version__
from echocast.atomic import write_bytes
from echocast.errors import DataError
from echocast.io.location import name as name_of
from echocast.operations import clock_rules
from echocast.operations.clocks import Clock
from echocast.operations.extensions import Extensions
from echocast.operations.intake import Intake
from echocast.operations.issuing import Issuing
from echocast.operations.layout import Layout
from echocast.operations.stamps import NS, iso, iso_ns, seconds_of

_DEFAULT_STEP_S = 300.0


@dataclass
class StatusFile:
    """Writes status.json.

    Args:
        layout: the folder of the service.
        clock: the time.
        intake: the frames.
        issuing: the issues.
        extensions: what else has something to say.
    """

    layout: Layout
    clock: Clock
    intake: Intake
    issuing: Issuing
    extensions: Extensions
    stopping: bool = False

    def __post_init__(self) -> None:
        """Remember when it began."""
        self._started = self.clock.now()
        self._last_written = -1e9

    def state(self) -> str:
        """``starting``, ``ok``, ``late``, ``stale``, ``failing`` or ``stopping``."""
        if self.stopping:
            return "stopping"
        times, settings = self.intake.store.times, self.intake.settings
        found = clock_rules.state_of(
            now=self.clock.now(),
            newest=times[-1] / NS if times else None,
            step=self._step,
            delay=self.intake.delay,
            stale=settings.stale,
        )
        return "failing" if self.issuing.health.failing and found in ("ok", "late") else found

    def content(self) -> dict[str, Any]:
        """What the file says."""
        now, health = self.clock.now(), self.issuing.health
        disk = shutil.disk_usage(self.layout.root)
        return {
            "state": self.state(),
            "reason": self._reason(),
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": __version__,
            "started": iso(self._started),
            "now": iso(now),
            "newest_frame": self._newest_frame(),
            "newest_issue": self._newest_issue(now),
            "expected_next": self._expected_next(),
            "frames": dict(health.frames),
            "issues": dict(health.issues),
            "last_errors": list(health.errors),
            "disk": {"free": disk.free, "used": sum(issue.bytes for issue in self.issuing.publisher.issues.values())},
            "catch_up_left": self.issuing.left,
            "alerts": {"active": 0},  # what the extension of that name says stands in its place
        } | self.extensions.status()

    def write(self, *, at_most_every: float = 0.0) -> None:
        """Write the file; where the disk does not let it, the old one stays, and its age tells."""
        now = self.clock.interval()
        if now - self._last_written < at_most_every:
            return
        self._last_written = now
        with suppress(DataError, OSError):
            content = self.content()
            self._measure(content)
            write_bytes(self.layout.status, json.dumps(content, indent=1).encode() + b"\n")

    def line(self) -> str:
        """All of it in one line."""
        frames, newest = self.intake.store.times, next(iter(self.issuing.publisher.newest_first()), None)
        told = [self.state(), f"newest frame {iso_ns(frames[-1]) if frames else 'none'}"]
        return ", ".join([*told, f"newest forecast {newest.time if newest else 'none'}"])

    def _measure(self, content: dict[str, Any]) -> None:
        """Set what Prometheus is shown of the present."""
        measures, newest = self.issuing.health.measures, content["newest_issue"]
        model = name_of(self.intake.settings.model)
        measures.clear("echocast_build_info")
        measures.set("echocast_build_info", 1.0, version=__version__, model=model)
        if newest is not None:
            measures.set("echocast_issue_timestamp_seconds", seconds_of(newest["time"]))
            measures.set("echocast_last_success_timestamp_seconds", seconds_of(newest["published"]))
        measures.set("echocast_catchup_backlog", content["catch_up_left"])
        measures.set("echocast_published_bytes", content["disk"]["used"])
        measures.set("echocast_disk_free_bytes", content["disk"]["free"])
        for reason, number in self.issuing.worker.restarts.items():
            measures.set("echocast_worker_restarts", number, reason=reason)

    @property
    def _step(self) -> float:
        return _DEFAULT_STEP_S if self.intake.step is None else self.intake.step / NS

    def _reason(self) -> str:
        if self.intake.only_future:
            return "all new frames are from the future: the radar's clock or this machine's is wrong"
        if self.issuing.health.failing:
            return self.issuing.health.failing
        lost = [one.name for one in self.intake.sources if one.errors]
        return f"cannot be reached: {', '.join(lost)}" if lost else ""

    def _newest_frame(self) -> dict[str, Any] | None:
        frames = self.intake.store.all()
        if not frames:
            return None
        return {"time": iso_ns(frames[-1].time), "arrived": iso(frames[-1].arrived), "source": frames[-1].source}

    def _newest_issue(self, now: float) -> dict[str, Any] | None:
        newest = next(iter(self.issuing.publisher.newest_first()), None)
        if newest is None:
            return None
        about = {"id": newest.id, "time": newest.time, "published": newest.published}
        return about | {"age_s": round(now - newest.seconds, 1)} | self.issuing.health.newest

    def _expected_next(self) -> str | None:
        times = self.intake.store.times
        return iso(times[-1] / NS + self._step + self.intake.delay) if times else None
