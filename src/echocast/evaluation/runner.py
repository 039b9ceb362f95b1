"""A verification from its events to its result: here, in several processes, or on a Dask cluster.

An event is one piece of work; its sums are written to the folder of the run as they come, so a run that was stopped
goes on where it stopped. Memory holds a few windows at a time and the sums of each event.

>>> run(Job("radar.zarr", {"flow": "optical_flow"}), workers=Workers(processes=2))  # doctest: +SKIP
"""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from echocast import archive, fields, parallel, plugins
from echocast._version import __version__
from echocast.atomic import atomic_write
from echocast.errors import DataError, MissingFrames
from echocast.evaluation import forecasts as making
from echocast.evaluation.config import SCORES, WHOLE, Event, Plan, events, masks
from echocast.evaluation.forecasts import Contender, ForecastFiles
from echocast.evaluation.result import CASE_THRESHOLD, Evaluation, EventSums
from echocast.models import base
from echocast.samples import splits, windows
from echocast.verification.base import Sums, add


@dataclass(frozen=True)
class Job:
    """A verification that another process can do a part of: everything by name.

    Args:
        store: the archive.
        models: by the name in the report, a forecaster's name or a checkpoint's path.
        forecasts: by the name in the report, a folder of forecast files.
        plan: how to verify.
        split: ``all``, or the archive's ``train``, ``validation`` or ``test`` runs.
    """

    store: str
    models: Mapping[str, str]
    forecasts: Mapping[str, str] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    split: str = "all"

    def fingerprint(self) -> str:
        """What a resumed run shares with the one that was stopped: the job, its archive, weights and forecast files."""
        rain = archive.open(self.store)
        weights = {n: _digest(Path(m)) for n, m in self.models.items() if Path(m).is_file()}
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for folder in self.forecasts.values()
            for path in sorted(Path(folder).rglob("*.nc"))
        ]
        about = [str(rain.time.values[0]), str(rain.time.values[-1]), rain.sizes["time"], weights, files, __version__]
        return hashlib.sha256(repr([self, about]).encode()).hexdigest()[:16]


def evaluate(
    rain: xr.DataArray,
    forecasters: Mapping[str, Contender],
    plan: Plan | None = None,
    *,
    runs: Sequence[slice] | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Score forecasters on the windows of a field, in this process.

    Args:
        rain: an archive's field; read a batch of windows at a time.
        forecasters: by the name they have in the report; folders of forecast files (`ForecastFiles`) too.
        plan: how.
        runs: the stretches of frames to use; all unbroken ones by default.
        on_case: called with the number of cases done and in all.

    Raises:
        MissingFrames: no run is long enough, or a forecaster does not know the field's time step.
        DataError: a lead or a region that does not exist.
    """
    how = plan or Plan()
    found = _with_files(events(rain, how, runs), rain, forecasters, how)
    _require(rain, forecasters, how)
    total, done = sum(len(event.starts) for event in found), 0
    sums = []
    for event in found:
        on_case(done, total)
        sums.append(_sums(rain, forecasters, how, event))
        done += len(event.starts)
    on_case(done, total)
    return _result(rain, how, found, sums)


def run(
    job: Job,
    *,
    workers: parallel.Workers | None = None,
    keep: Path | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Do a job, in as many processes as `workers` has or on its Dask cluster.

    Args:
        job: what to verify.
        workers: which processes work; this process alone by default.
        keep: a folder for the sums of events that are done, from which the same job goes on if it was stopped; it is
            emptied when the job is done.
        on_case: called with the number of cases done and in all.

    Raises:
        DataError: see `evaluate`; or the Dask scheduler does not answer, or `keep` cannot be written.
    """
    stamp = job.fingerprint()
    rain, contenders = _opened(pickle.dumps(job), stamp)
    found = _with_files(events(rain, job.plan, splits.by_fractions(rain, job.split)), rain, contenders, job.plan)
    _require(rain, contenders, job.plan)
    kept = _Kept(keep, stamp) if keep else None
    total = sum(len(event.starts) for event in found)
    sums: dict[str, EventSums] = {} if kept is None else kept.known(found)
    done = sum(len(event.starts) for event in found if event.name in sums)
    on_case(done, total)
    missing = [event for event in found if event.name not in sums]
    who = workers or parallel.Workers(processes=1)
    if len(missing) < 2 and not who.dask:
        who = parallel.Workers(processes=1)
    threads = max(1, (os.cpu_count() or 1) // who.count)
    for event, made in parallel.parallel_map(partial(_work, job, stamp, threads), missing, who):
        sums[event.name] = made
        if kept is not None:
            kept.put(event, made)
        done += len(event.starts)
        on_case(done, total)
    if kept is not None:
        kept.clear()
    return _result(rain, job.plan, found, [sums[event.name] for event in found])


def _work(job: Job, stamp: str, threads: int, event: Event) -> EventSums:
    """One event, in whichever process."""
    rain, contenders = _opened(pickle.dumps(job), stamp)
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, threads))
    try:
        with parallel.thread_limit(threads):
            return _sums(rain, contenders, job.plan, event)
    finally:
        torch.set_num_threads(before)


def opened(job: Job) -> tuple[xr.DataArray, dict[str, Contender]]:
    """The archive and the contenders of a job, as `run` had them."""
    return _opened(pickle.dumps(job), job.fingerprint())


@lru_cache(maxsize=2)
def _opened(pickled: bytes, stamp: str) -> tuple[xr.DataArray, dict[str, Contender]]:  # noqa: ARG001
    """Opened once in each process, and anew when `stamp` says that archive, weights or files are others now."""
    job: Job = pickle.loads(pickled)
    rain = archive.open(job.store)
    contenders: dict[str, Contender] = {name: base.resolve(model) for name, model in job.models.items()}
    for name, folder in job.forecasts.items():
        contenders[name] = ForecastFiles(Path(folder), rain)
    return rain, contenders


def _with_files(found: list[Event], rain: xr.DataArray, contenders: Mapping[str, Contender], plan: Plan) -> list[Event]:
    """Only the windows that every folder of forecast files has a forecast for."""
    folders = [c for c in contenders.values() if isinstance(c, ForecastFiles)]
    if not folders:
        return found
    issued = set.intersection(*(folder.issued() for folder in folders))
    kept = []
    for event in found:
        starts = tuple(s for s in event.starts if rain.time.values[s + plan.past - 1] in issued)
        if starts:
            kept.append(Event(event.name, starts, event.issued))
    if not kept:
        raise MissingFrames(
            "no forecast file was issued at a time whose past and future the archive holds"
            f" ({', '.join(str(folder.folder) for folder in folders)}); lower --past, --minutes or --stride"
        )
    return kept


def _require(rain: xr.DataArray, contenders: Mapping[str, Contender], plan: Plan) -> None:
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    plan.chosen(time_step_minutes=step)
    masks(rain, plan)
    for contender in contenders.values():
        if not isinstance(contender, ForecastFiles):
            contender.check_past(plan.past, step)


def _sums(rain: xr.DataArray, contenders: Mapping[str, Contender], plan: Plan, event: Event) -> EventSums:
    """All sums of one event."""
    regions = masks(rain, plan)
    chosen = plan.chosen(time_step_minutes=float(fields.time_step(rain.time.values) / np.timedelta64(1, "m")))
    families = plan.families(ensembles=any(making.members_of(c, plan) for c in contenders.values()))
    batch = making.batch_of(rain, contenders, plan)
    total = EventSums({}, {name: [] for name in contenders}, [])
    for begin in range(0, len(event.starts), batch):
        starts = np.array(event.starts[begin : begin + batch])
        held = windows.Windows(rain, starts, past=plan.past, future=plan.leads)
        observed, made = making.forecasts_of(contenders, held, rain=rain, plan=plan)
        observed = observed[:, chosen]
        made = {name: forecast[:, :, chosen] for name, forecast in made.items()}
        said = {name: np.isfinite(forecast).all(axis=1) for name, forecast in made.items()}
        seen = np.isfinite(observed)
        common = np.where(np.logical_and.reduce(list(said.values())), observed, np.nan)
        for name, forecast in made.items():
            mean = forecast[:, 0] if forecast.shape[1] == 1 else forecast.mean(axis=1)
            for region, mask in regions.items():
                truth = common if mask is None else np.where(mask, common, np.nan)
                for family in families:
                    module = plugins.load(SCORES, family)
                    given = forecast if getattr(module, "MEMBERS", False) else mean
                    _pool(
                        total.sums, (name, region, family), module.statistics(given, truth, thresholds=plan.thresholds)
                    )
                inside = seen if mask is None else seen & mask
                covered = {
                    "observed": inside.sum(axis=(0, 2, 3)).astype(float),
                    "said": (said[name] & inside).sum(axis=(0, 2, 3)).astype(float),
                }
                _pool(total.sums, (name, region, "coverage"), covered)
            total.case_scores[name] += _case_scores(mean, common)
        wet = ((observed >= CASE_THRESHOLD) & seen).sum(axis=(1, 2, 3)) / np.maximum(seen.sum(axis=(1, 2, 3)), 1)
        total.cases += [(int(start), float(share)) for start, share in zip(starts, wet, strict=True)]
    return total


def _case_scores(forecast: np.ndarray, observed: np.ndarray) -> list[float]:
    """Each case's CSI over all its leads, which picks the cases that the report shows."""
    yes, event = (forecast >= CASE_THRESHOLD) & np.isfinite(observed), observed >= CASE_THRESHOLD
    hits = (yes & event).sum(axis=(1, 2, 3))
    either = (yes | event).sum(axis=(1, 2, 3))
    return [float(h / e) if e else float("nan") for h, e in zip(hits, either, strict=True)]


def _pool(pooled: dict[tuple[str, str, str], Sums], key: tuple[str, str, str], sums: Sums) -> None:
    pooled[key] = add(pooled[key], sums) if key in pooled else sums


def _result(rain: xr.DataArray, plan: Plan, found: Sequence[Event], sums: Sequence[EventSums]) -> Evaluation:
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    last = max(max(event.starts) for event in found) + plan.past + plan.leads - 1
    return Evaluation(
        events=tuple(found),
        sums=tuple(sums),
        lead_minutes=tuple(step * (1 + number) for number in plan.chosen(time_step_minutes=step)),
        thresholds=tuple(float(t) for t in plan.thresholds),
        regions=(WHOLE, *plan.regions),
        first=rain.time.values[min(event.starts[0] for event in found)],
        last=rain.time.values[last],
    )


class _Kept:
    """The sums of the events that are done, a file each; of one job only."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        try:
            folder.mkdir(parents=True, exist_ok=True)
            about = folder / "job.json"
            if not about.exists() or json.loads(about.read_text(encoding="utf-8")).get("job") != fingerprint:
                self.clear()
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(about) as partial:
                    partial.write_text(json.dumps({"job": fingerprint}), encoding="utf-8")
        except (OSError, ValueError) as bad:
            raise DataError(f"{folder}: cannot be written ({bad}); is the disk full, or --out read-only?") from bad

    def known(self, found: Sequence[Event]) -> dict[str, EventSums]:
        """What an earlier run has done."""
        known = {}
        for event in found:
            path = self.folder / f"{event.name}.npz"
            if path.exists():
                with np.load(path, allow_pickle=False) as stored:
                    known[event.name] = EventSums.unpacked({name: stored[name] for name in stored.files})
        return known

    def put(self, event: Event, sums: EventSums) -> None:
        with atomic_write(self.folder / f"{event.name}.npz") as partial:
            np.savez_compressed(partial, **sums.packed())  # type: ignore[arg-type]  # numpy's stubs want no keywords

    def clear(self) -> None:
        for path in [*self.folder.glob("*.npz"), self.folder / "job.json"]:
            path.unlink(missing_ok=True)
        self.folder.rmdir()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
