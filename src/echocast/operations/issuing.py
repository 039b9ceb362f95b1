"""From the frame store to issues: what is due is computed, published, and named in index.json; what is old goes."""

import hashlib
import json
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from echocast._version import __version__
from echocast.errors import DataError
from echocast.io.location import name as name_of
from echocast.operations import jobs, nwp, retention, rules, stamps
from echocast.operations.clocks import Clock
from echocast.operations.disk import DiskTrouble
from echocast.operations.health import Health
from echocast.operations.index import Issue
from echocast.operations.intake import Intake
from echocast.operations.layout import Layout, issue_id
from echocast.operations.publishing import Publisher
from echocast.operations.settings import Settings
from echocast.operations.stamps import NS
from echocast.operations.worker import Worker
from echocast.products.ensemble import USUAL, Thresholds

_STEP_UNKNOWN = "step_unknown"
_LITTLE_SHARE = 0.005
"""Of a disk: where less is free it counts as full, whatever the system said."""
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
    needed: Thresholds = USUAL

    def __post_init__(self) -> None:
        """Take in what is published."""
        self.publisher = Publisher(self.layout, self.clock.now())
        self.removal = retention.Removal(self.settings.grace)
        self.netcdf = retention.NetcdfFiles(self.layout)
        self._made: dict[int, rules.Made] = {}
        self._made_room_for: deque[str] = deque(maxlen=20)
        self._tidied_for = ""
        self.intake.make_room = self.make_room
        for issue in reversed(self.publisher.newest_first()):
            meta = json.loads((self.layout.root / issue.path / "meta.json").read_bytes())
            used = tuple(round(stamps.seconds_of(frame["time"]) * NS) for frame in meta["frames"])
            self._made[round(issue.seconds * NS)] = rules.Made(issue.revision, used)
            self.health.newest |= {"seconds": meta["seconds"], "nwp": meta.get("nwp")}

    @property
    def is_waiting_for_the_disk(self) -> bool:
        """Whether the disk failed a moment ago."""
        return self.clock.interval() < self.not_before

    def due(self) -> list[rules.Due]:
        """What is due now, the most urgent first; runs without an issue are told once."""
        step = self.intake.step
        if step is None:
            for time in self.intake.store.times[-1:]:
                self._tell_not_issued(time, _STEP_UNKNOWN)  # fewer than three frames, and no --step
            return []
        due, refused = rules.plan(self.intake.store.times, self._made, self._wishes(step))
        due = [one for one in due if self.name(one) not in self.failed and self.name(one) not in self.publisher.issues]
        for run in refused:
            if run.time not in self._made:
                self._tell_not_issued(run.time, run.reason, missing=len(run.missing))
        self.left = len(due)
        self._forget(self.intake.store.times)
        return due

    def _forget(self, times: list[int]) -> None:
        """Forget what was told and made of times of which there is no frame any more."""
        oldest, last = min(times, default=0), max(self._made, default=0)
        self.told = {one for one in self.told if one[0] >= oldest}
        self.failed = {name for name in self.failed if name >= stamps.name_stamp(oldest)}
        self._made = {time: made for time, made in self._made.items() if time >= oldest or time == last}

    def name(self, due: rules.Due) -> str:
        """The id of an issue: the same frames, model, options and version always give the same."""
        frames = [self.intake.store[time].digest for time in due.run.used]
        content = [frames, list(due.run.filled), self.model.digest, self._options(), __version__]
        found = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8)
        return issue_id(due.run.time, found.hexdigest())

    def make(self, due: rules.Due) -> Issue | None:
        """Make one issue; None if it was not published. Trouble with the disk is tried once more with room made."""
        name = self.name(due)
        try:
            issue, meta = self._with_room(lambda: self._computed_and_published(due, name), name)
        except DiskTrouble as bad:
            self.not_before = self.clock.interval() + self.settings.poll
            self._fail(due, name, "disk", bad)
            return None
        except TimeoutError as bad:
            self.failed.add(name)
            self._fail(due, name, "deadline", bad)
            return None
        except Exception as bad:  # whatever a model raises, the next frame is forecast again
            self.failed.add(name)
            self._fail(due, name, "failed", bad)
            return None
        finally:
            self.worker.tidy()
        self.left -= 1
        self._made[due.run.time] = rules.Made(due.revision, due.run.used)
        self._tell_issued(issue, meta, due)
        return issue

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
        self._tidy_netcdf()
        self.removal.tidy(self.clock.interval())

    def _tidy_netcdf(self) -> None:
        """After each new issue let go of NetCDF files of issues that are gone; they count for `keep_bytes` too."""
        newest = next(iter(self.publisher.newest_first()), None)
        if newest is None or newest.id == self._tidied_for:
            return
        self._tidied_for, most = newest.id, self.settings.keep_bytes
        held = sum(issue.bytes for issue in self.publisher.issues.values())
        room = None if most is None else max(0, most - held)
        with suppress(OSError):  # a file that stays is removed after the next issue
            self.netcdf.tidy(newest.seconds, self.settings.keep_netcdf, room)

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

    @property
    def thresholds(self) -> Thresholds:
        """Of the probabilities and amounts that are published: the usual ones, those asked for, those of alerts."""
        chosen, needed = self.settings, self.needed
        usual = USUAL.also(chosen.rates, chosen.amounts, chosen.spans)
        return usual.also(needed.rates, needed.amounts, needed.spans)

    def _options(self) -> dict[str, Any]:
        """What, beside the frames and the model, a forecast depends on."""
        chosen = self.settings
        return {
            "thresholds": asdict(self.thresholds),
            "model": chosen.model,
            "minutes": chosen.minutes,
            "members": chosen.members,
            "bbox": chosen.bbox,
            **({"nwp": asdict(wish)} if (wish := nwp.wish_of(chosen)) else {}),
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
            thresholds=self.thresholds,
            nwp=nwp.wish_of(self.settings),
        )
        try:
            made = self.worker.call(jobs.compute, job, deadline=self.settings.deadline)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        meta, began = self._meta(due, made), time.monotonic()
        issue = self.publisher.publish(work, name, meta)
        try:
            self.publisher.write_index(
                now=self.clock.now(), frames=store.all(), step=(self.intake.step or 0) / NS, grid=made.grid
            )
        except DiskTrouble:
            self.publisher.take_back(issue)  # the index does not name it: it is made again
            raise
        self.index_is_old = bool(store.replaced)
        self._measure(due, made.seconds | {"publish": time.monotonic() - began})
        return issue, meta

    def _measure(self, due: rules.Due, seconds: dict[str, float]) -> None:
        """Note how long each stage took, and how long ago the newest frame was first seen."""
        measures, stages = self.health.measures, dict(seconds)
        stages["compute"] = stages.get("compute", 0.0) + stages.pop("read", 0.0)  # that of the store, not of the radar
        for stage, took in stages.items():
            measures.observe("echocast_stage_seconds", took, stage=stage)
        since = self.intake.readable.pop(due.run.time, None)
        if since is not None and due.why != "catch_up":
            measures.observe("echocast_publish_latency_seconds", self.clock.interval() - since)

    def _meta(self, due: rules.Due, made: jobs.Computed) -> dict[str, Any]:
        """What meta.json says, but for the checksums of the files."""
        run, store = due.run, self.intake.store
        lacks_nwp = made.nwp is not None and not made.nwp["used"]
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
            "degraded": bool(run.missing or run.filled or any(frame["late"] for frame in frames) or lacks_nwp),
            "why": due.why,
            "frames": frames,
            "missing": [stamps.iso_ns(time) for time in run.missing],
            "filled": [stamps.iso_ns(time) for time in run.filled],
            "model": {"name": name_of(self.settings.model), "digest": self.model.digest},
            "nwp": made.nwp,
            "options": self._options() | {"frames": self.settings.frames, "gaps": self.settings.gaps},
            "seconds": made.seconds,
            "echocast_version": __version__,
            "grid": made.grid,
            "layer_file": made.layers,
            "point_file": made.points,
        }

    def _with_room(self, work: Callable[[], tuple[Issue, dict[str, Any]]], name: str) -> tuple[Issue, dict[str, Any]]:
        try:
            return work()
        except DiskTrouble as bad:
            self.health.error(self.clock.now(), "disk", str(bad))
            self.make_room(bad, name)
            return work()

    def make_room(self, bad: DiskTrouble, name: str) -> None:
        """On a full disk remove the oldest issues, and all that waits for its time of grace; else nothing.

        Args:
            bad: what went wrong.
            name: what could not be written: issues are removed once for it, however often it is tried.

        Raises:
            DiskTrouble: not even the index can be written.
        """
        free = shutil.disk_usage(self.layout.root)
        if not bad.is_full and free.free > _LITTLE_SHARE * free.total:
            return
        if name in self._made_room_for:
            return
        self._made_room_for.append(name)
        issues = [(issue.seconds, issue.bytes, issue.id) for issue in self.publisher.issues.values()]
        held = sum(size for _, size, _ in issues)
        out = retention.kept_out(issues, keep=self.settings.keep, most_bytes=int(held * _FULL_DISK_SHARE))
        self.removal.tidy(self.clock.interval(), at_once=True)
        self.netcdf.remove_oldest(1 - _FULL_DISK_SHARE)
        self._let_go(out, keeps_netcdf=False)
        self.removal.tidy(self.clock.interval(), at_once=True)

    def _let_go(self, names: list[str], *, keeps_netcdf: bool = True) -> None:
        """Issues leave the index now, and the disk after the time of grace; raises `DiskTrouble`."""
        folders = [self.layout.root / self.publisher.issues[name].path for name in names]
        if keeps_netcdf and self.settings.keep_netcdf > self.settings.keep:
            for folder in folders:
                self.netcdf.keep(folder)
        before, forgotten_to = [self.publisher.issues[name] for name in names], self.publisher.forgotten_to
        self.publisher.take_out(names)
        try:
            self.write_index()
        except DiskTrouble:
            self.publisher.put_back(before, forgotten_to)
            raise
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
        outcome = "not_due" if reason in (rules.MISSING_FRAMES, _STEP_UNKNOWN) else "failed"
        self.health.measures.count("echocast_issues", outcome=outcome, reason=reason)
        self.health.log.event(
            self.clock.now(), "not_issued", level="warning", time=stamps.iso_ns(time), reason=reason, **more
        )

    def _tell_issued(self, issue: Issue, meta: dict[str, Any], due: rules.Due) -> None:
        self.health.failing = ""
        outcome = "degraded" if issue.degraded else "ok"
        self.health.issues[outcome] += 1
        self.health.measures.count("echocast_issues", outcome=outcome, reason=due.why)
        self.health.newest |= {"seconds": meta["seconds"], "nwp": meta["nwp"]}
        seconds, of_nwp = round(sum(meta["seconds"].values()), 2), meta["nwp"] or {}
        for why in of_nwp.get("warnings", ()):
            self.health.log.event(self.clock.now(), "nwp", level="warning", frame=issue.time, reason=why)
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
            nwp=(of_nwp["run"] or "none") if of_nwp else None,
        )
