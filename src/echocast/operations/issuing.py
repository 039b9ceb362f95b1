"""From the frame store to issues: what is due is computed, published, and named in index.json; what is old goes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from echocast._version import __version__
from echocast.errors import DataError
from echocast.io.location import name as name_of
from echocast.operations import jobs, retention, rules, stamps
from echocast.operations.clocks import Clock
from echocast.operations.disk import DiskTrouble
from echocast.operations.health import Health
from echocast.operations.intake import Intake
from echocast.operations.layout import Layout, issue_id
from echocast.operations.publishing import Issue, Publisher
from echocast.operations.settings import Settings
from echocast.operations.stamps import NS
from echocast.operations.worker import Worker

_FULL_DISK_SHARE = 0.9
"""Where the disk is full, issues are removed until so much of their bytes is left."""


@dataclass
class Issuing:
    """Makes issues.

    Args:
        layout: the folder of the service.
        settings: what the service was told.
        model: what the service must know of the model.
        intake: the frames.
        worker: computes.
        clock: the time.
        health: counts and errors.
    """

    layout: Layout
    settings: Settings
    model: jobs.ModelInfo
    intake: Intake
    worker: Worker
    clock: Clock
    health: Health
    failed: set[str] = field(default_factory=set)
    told: set[tuple[int, str]] = field(default_factory=set)
    index_is_old: bool = True
    not_before: float = 0.0
    left: int = 0

    def __post_init__(self) -> None:
        """Take in what is published."""
        self.publisher = Publisher(self.layout, self.clock.now())
        self.removal = retention.Removal(self.settings.grace)
        self._made: dict[int, rules.Made] = {}
        for issue in reversed(self.publisher.newest_first()):
            self._made[round(issue.seconds * NS)] = rules.Made(issue.revision, self._used_by(issue))

    @property
    def is_waiting_for_the_disk(self) -> bool:
        """Whether the disk failed a moment ago."""
        return self.clock.interval() < self.not_before

    def due(self) -> list[rules.Due]:
        """What is due now, the most urgent first; runs without an issue are told once."""
        step = self.intake.step
        if step is None:
            for time in self.intake.store.times[-1:]:
                self._tell_not_issued(time, "step_unknown")  # fewer than three frames, and no --step
            return []
        due, refused = rules.plan(self.intake.store.times, self._made, self._wishes(step))
        due = [one for one in due if self.name(one) not in self.failed and self.name(one) not in self.publisher.issues]
        for run in refused:
            if run.time not in self._made:
                self._tell_not_issued(run.time, run.reason, missing=len(run.missing))
        self.left = len(due)
        return due

    def name(self, due: rules.Due) -> str:
        """The id of an issue: the same frames, model, options and version always give the same."""
        frames = [self.intake.store[time].digest for time in due.run.used]
        content = [frames, list(due.run.filled), self.model.digest, self._options(), __version__]
        found = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8)
        return issue_id(due.run.time, found.hexdigest())

    def make(self, due: rules.Due) -> bool:
        """Make one issue; whether it was published. Trouble with the disk is tried once more with room made."""
        name = self.name(due)
        try:
            issue, meta = self._with_room(lambda: self._computed_and_published(due, name))
        except DiskTrouble as bad:
            self.not_before = self.clock.interval() + self.settings.poll
            self._fail(due, name, "disk", bad)
            return False
        except TimeoutError as bad:
            self.failed.add(name)
            self._fail(due, name, "deadline", bad)
            return False
        except Exception as bad:  # whatever a model raises, the next frame is forecast again
            self.failed.add(name)
            self._fail(due, name, "failed", bad)
            return False
        self.left -= 1
        self._made[due.run.time] = rules.Made(due.revision, due.run.used)
        self._tell_issued(issue, meta, due)
        self.worker.tidy()
        return True

    def tidy(self) -> None:
        """Let go of what is old, and write index.json if what it says has changed."""
        out = retention.kept_out(
            [(issue.seconds, issue.bytes, issue.id) for issue in self.publisher.issues.values()],
            keep=self.settings.keep,
            most_bytes=self.settings.keep_bytes,
        )
        if (out or self.index_is_old) and not self.is_waiting_for_the_disk:
            try:
                self._let_go(out)
            except DiskTrouble as bad:
                self.not_before = self.clock.interval() + self.settings.poll
                self.health.error(self.clock.now(), "disk", str(bad))
        self.removal.tidy(self.clock.interval())

    def write_index(self) -> None:
        """Replace index.json; what it no longer names leaves the disk after the time of grace."""
        store, step = self.intake.store, self.intake.step
        self.index_is_old = True
        frames = store.all()
        step_s = None if step is None else step / NS
        self.publisher.write_index(now=self.clock.now(), frames=frames, step=step_s)
        self.index_is_old = False
        self.removal.add(store.replaced, self.clock.interval())
        store.replaced.clear()
        for frame in frames:
            self.removal.keep(frame.path)

    def _wishes(self, step: int) -> rules.Wishes:
        chosen, forgotten = self.settings, self.publisher.forgotten_to
        return rules.Wishes(
            step=step,
            frames=chosen.frames,
            least=max(self.model.least_frames, chosen.least_frames or 2),
            gaps=chosen.gaps,
            catch_up=round(chosen.catch_up * NS),
            revise=chosen.revise,
            after=round(stamps.seconds_of(forgotten) * NS) if forgotten else 0,
        )

    def _options(self) -> dict[str, Any]:
        """What, beside the frames and the model, a forecast depends on."""
        chosen = self.settings
        return {
            "model": chosen.model,
            "minutes": chosen.minutes,
            "members": chosen.members,
            "bbox": chosen.bbox,
        }

    def _computed_and_published(self, due: rules.Due, name: str) -> tuple[Issue, dict[str, Any]]:
        work, store = self.publisher.work_folder(), self.intake.store
        stamp = stamps.name_stamp(due.run.time)
        quantity = str(store.like.name) if store.like is not None else "field"
        job = jobs.ComputeJob(
            frames=tuple(store[time].path for time in due.run.used),
            filled=due.run.filled,
            model=self.settings.model,
            minutes=self.settings.minutes,
            members=self.settings.members,
            bbox=self.settings.bbox,
            sources=tuple(store[time].source for time in due.run.used),
            out=work / f"echocast_nowcast_{quantity}_{stamp}.nc",
        )
        made = self.worker.call(jobs.compute, job, deadline=self.settings.deadline)
        meta = self._meta(due, made)
        issue = self.publisher.publish(work, name, meta)
        try:
            self.publisher.write_index(
                now=self.clock.now(), frames=store.all(), step=(self.intake.step or 0) / NS, grid=made.grid
            )
        except DiskTrouble:
            self.publisher.take_back(issue)  # the index does not name it: it is made again
            raise
        self.index_is_old = bool(store.replaced)
        return issue, meta

    def _meta(self, due: rules.Due, made: jobs.Computed) -> dict[str, Any]:
        """What meta.json says, but for the checksums of the files."""
        run, store = due.run, self.intake.store
        frames = [
            {"time": stamps.iso_ns(t), "name": store[t].source, "digest": store[t].digest, "late": store[t].late}
            for t in run.used
        ]
        return {
            "time": stamps.iso_ns(run.time),
            "revision": due.revision,
            "published": stamps.iso(self.clock.now()),
            "expires": stamps.iso(run.time / NS + made.leads[-1] * 60),
            "leads": list(made.leads),
            "layers": list(made.layers.get("layers", {})),
            "degraded": bool(run.missing or run.filled or any(frame["late"] for frame in frames)),
            "why": due.why,
            "frames": frames,
            "missing": [stamps.iso_ns(time) for time in run.missing],
            "filled": [stamps.iso_ns(time) for time in run.filled],
            "model": {"name": name_of(self.settings.model), "digest": self.model.digest},
            "options": self._options() | {"frames": self.settings.frames, "gaps": self.settings.gaps},
            "seconds": made.seconds,
            "echocast_version": __version__,
            "grid": made.grid,
            "layer_file": made.layers,
            "point_file": made.points,
        }

    def _used_by(self, issue: Issue) -> tuple[int, ...]:
        meta = json.loads((self.layout.root / issue.path / "meta.json").read_bytes())
        return tuple(round(stamps.seconds_of(frame["time"]) * NS) for frame in meta["frames"])

    def _with_room(self, work: Callable[[], tuple[Issue, dict[str, Any]]]) -> tuple[Issue, dict[str, Any]]:
        try:
            return work()
        except DiskTrouble as bad:
            self.health.error(self.clock.now(), "disk", str(bad))
            self._make_room()
            return work()

    def _make_room(self) -> None:
        """Remove the oldest issues, and all that waits for its time of grace."""
        issues = [(issue.seconds, issue.bytes, issue.id) for issue in self.publisher.issues.values()]
        held = sum(size for _, size, _ in issues)
        out = retention.kept_out(issues, keep=self.settings.keep, most_bytes=int(held * _FULL_DISK_SHARE))
        self.removal.tidy(self.clock.interval(), at_once=True)
        self._let_go(out)
        self.removal.tidy(self.clock.interval(), at_once=True)

    def _let_go(self, names: list[str]) -> None:
        """Issues leave the index now, and the disk after the time of grace; raises `DiskTrouble`."""
        folders = [self.layout.root / self.publisher.issues[name].path for name in names]
        self.publisher.take_out(names)
        self.index_is_old = True
        self.write_index()
        self.removal.add(folders, self.clock.interval())

    def _fail(self, due: rules.Due, name: str, reason: str, bad: Exception) -> None:
        why = " ".join((str(bad) if isinstance(bad, DataError) else f"{type(bad).__name__}: {bad}").split())
        self.health.failing = f"{reason}: {why}"
        self.health.error(self.clock.now(), reason, why)
        self._tell_not_issued(due.run.time, reason, issue=name)

    def _tell_not_issued(self, time: int, reason: str, **more: Any) -> None:
        if (time, reason) in self.told:
            return
        self.told.add((time, reason))
        self.health.issues[f"not_issued_{reason}"] += 1
        self.health.log.event(
            self.clock.now(), "not_issued", level="warning", time=stamps.iso_ns(time), reason=reason, **more
        )

    def _tell_issued(self, issue: Issue, meta: dict[str, Any], due: rules.Due) -> None:
        self.health.failing = ""
        self.health.issues["degraded" if issue.degraded else "ok"] += 1
        self.health.newest["seconds"] = meta["seconds"]
        seconds = round(sum(meta["seconds"].values()), 2)
        self.health.log.event(
            self.clock.now(),
            "issued",
            issue=issue.id,
            revision=issue.revision or None,
            frame=issue.time,
            frames=len(due.run.times),
            seconds=seconds,
            reason=due.why,
            degraded=issue.degraded or None,
        )
