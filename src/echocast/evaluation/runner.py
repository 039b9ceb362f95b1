"""A verification from its cases to its result: in this process, in several, or on a Dask cluster.

A bootstrap block is one piece of work. Its sums are written to a folder when it is done, so a verification that was
stopped goes on where it stopped. Memory holds a few windows at a time and the sums of each block.

>>> run(Job("radar.zarr", {"flow": "optical_flow"}), workers=Workers(processes=2))  # doctest: +SKIP
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import archive, fields, parallel
from echocast._version import __version__
from echocast.archive import covariates
from echocast.errors import MissingFrames, ModelError
from echocast.evaluation import used_archives
from echocast.evaluation.climate import Climate, climate_for
from echocast.evaluation.config import (
    WHOLE_GRID,
    BootstrapBlock,
    VerificationConfig,
    bootstrap_blocks,
    masks,
)
from echocast.evaluation.forecasts import ForecastFiles, ForecastSource, dependent, forecasts_in
from echocast.evaluation.kept import KeptSums
from echocast.evaluation.result import BlockSums, VerificationResult
from echocast.evaluation.scoring import sums_of_block
from echocast.models import base
from echocast.models._threads import at_most
from echocast.models.base import Forecaster
from echocast.samples import splits
from echocast.samples.segments import observed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A verification that another process can do a part of: everything by name.

    The archive and the forecast sources are opened when first needed, once for each `Job` in each process.

    Args:
        store: the archive.
        models: by the name in the report, a forecaster's name or a checkpoint's path.
        forecasts: by the name in the report, a folder of forecast files.
        config: how to verify.
        split: ``all``, or the archive's ``train``, ``validation`` or ``test`` segments.
        covariates: by name, the files of what forecasters are given beside the frames.
        climate: another archive of this grid, whose frequencies the Brier score is compared with, too.
    """

    store: str
    models: Mapping[str, str]
    forecasts: Mapping[str, str] = field(default_factory=dict)
    config: VerificationConfig = field(default_factory=VerificationConfig)
    split: str = "all"
    covariates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    climate: str | None = None

    @cached_property
    def rain(self) -> xr.DataArray:
        """The archive's field."""
        return archive.open(self.store)

    @cached_property
    def sources(self) -> dict[str, ForecastSource]:
        """The forecasters and the folders of forecast files, by name."""
        models = {name: base.resolve(model) for name, model in self.models.items()}
        _supply(models.values(), self.covariates, self.rain)
        found: dict[str, ForecastSource] = dict(models)
        for name, folder in self.forecasts.items():
            found[name] = ForecastFiles(Path(folder), self.rain)
        return found

    def fingerprint(self) -> str:
        """Changes with the job, its archive, weights and forecast files; of a stopped job, it must be the same."""
        of_files = {n: Path(m.rpartition(":")[0] if ".py:" in m else m) for n, m in self.models.items()}
        weights = {name: _digest(path) for name, path in of_files.items() if path.is_file()}
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for folder in self.forecasts.values()
            for path in forecasts_in(Path(folder))
        ]
        beside = [_changed(path) for paths in self.covariates.values() for path in paths]
        about = [*_length(self.rain), weights, files, beside, __version__]
        about += _length(archive.open(self.climate)) if self.climate else []
        return hashlib.sha256(repr([self, about]).encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: another process opens it for itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("rain", "sources")}


def _supply(forecasters: Iterable[Forecaster], files: Mapping[str, Sequence[str]], rain: xr.DataArray) -> None:
    """Open what forecasters are given beside the frames; raises `ModelError` for files that none of them takes."""
    takers = [one for one in forecasters if one.covariates]
    known = {covariate.name for one in takers for covariate in one.covariates}
    lost = sorted(set(files) - known)
    if lost:
        takes = f"they take: {', '.join(sorted(known))}" if known else "they take none"
        raise ModelError(f"no forecaster takes the covariate {lost[0]!r}; {takes}")
    for one in takers:
        own = {covariate.name for covariate in one.covariates}
        given = {name: paths for name, paths in files.items() if name in own}
        one.supplied = covariates.opened(one.covariates, given, rain)


@dataclass(frozen=True)
class _Scorer:
    """Computes the sums of a block, in whichever process.

    `parallel_map` unpickles it once in each process, so there too `job` opens its archive and sources once. A changed
    `fingerprint` makes it another one, for a Dask worker that lives longer than an archive stays as it is.
    """

    job: Job
    fingerprint: str
    threads: int
    climate: Climate | None

    def __call__(self, block: BootstrapBlock) -> BlockSums:
        with at_most(self.threads):
            return sums_of_block(self.job.rain, self.job.sources, self.job.config, block, self.climate)


def evaluate(
    rain: xr.DataArray,
    forecasters: Mapping[str, ForecastSource],
    config: VerificationConfig | None = None,
    *,
    segments: Sequence[slice] | None = None,
    climate: Climate | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> VerificationResult:
    """Score forecasters on the windows of a field, in this process.

    Args:
        rain: an archive's field; read a batch of windows at a time.
        forecasters: by the name they have in the report; folders of forecast files (`ForecastFiles`) too.
        config: how to verify.
        segments: the slices of frames to use; all unbroken ones by default.
        climate: what the Brier score is compared with, too (`climate.climate_for`); with the thresholds of `config`.
        on_case: called with the number of cases done and in all.

    Raises:
        MissingFrames: no segment is long enough, or a forecaster was trained at another time step than the field's.
        DataError: a lead time or a region that does not exist, or a climate without a month or threshold.
    """
    how = config or VerificationConfig()
    blocks = with_files(bootstrap_blocks(rain, how, segments), rain, forecasters, how)
    check_sources(rain, forecasters, how)
    if climate:
        climate.check(how.thresholds)
    total, done = _cases(blocks), 0
    sums = []
    for block in blocks:
        on_case(done, total)
        sums.append(sums_of_block(rain, forecasters, how, block, climate))
        done += len(block.starts)
    on_case(done, total)
    return _result(rain, how, blocks, sums, forecasters, climate)


def run(
    job: Job,
    *,
    workers: parallel.Workers | None = None,
    keep: Path | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> VerificationResult:
    """Do a verification, in as many processes as `workers` has or on its Dask cluster.

    Args:
        job: what to verify.
        workers: which processes work; this process alone by default.
        keep: a folder for the sums of the blocks that are done, from which the same job goes on if it was stopped; it
            is removed when the job is done.
        on_case: called with the number of cases done and in all.

    Raises:
        MissingFrames: as `evaluate`.
        DataError: as `evaluate`; or the Dask scheduler does not answer, or `keep` cannot be written; or the climate
            lacks a month or holds what is scored.
        GridMismatch: the climate lies on another grid.
    """
    blocks = bootstrap_blocks(job.rain, job.config, splits.by_fractions(job.rain, job.split))
    blocks = with_files(blocks, job.rain, job.sources, job.config)
    check_sources(job.rain, job.sources, job.config)
    climate = _climate(job, blocks)
    fingerprint = job.fingerprint()
    kept = KeptSums(keep, fingerprint) if keep else None
    sums = kept.read(blocks) if kept else {}
    done, total = _cases(block for block in blocks if block.name in sums), _cases(blocks)
    on_case(done, total)
    missing = [block for block in blocks if block.name not in sums]
    where = workers or parallel.Workers(processes=1)
    if len(missing) < 2 and not where.dask:
        where = parallel.Workers(processes=1)
    scorer = _Scorer(job, fingerprint, threads=max(1, parallel.processors() // where.count), climate=climate)
    for block, made in parallel.parallel_map(scorer, missing, where):
        sums[block.name] = made
        if kept:
            kept.write(block, made)
        done += len(block.starts)
        on_case(done, total)
    if kept:
        kept.remove()
    result = _result(job.rain, job.config, blocks, [sums[block.name] for block in blocks], job.sources, climate)
    return replace(result, uses=tuple(checked_uses(job, blocks)))


def _climate(job: Job, blocks: Sequence[BootstrapBlock]) -> Climate | None:
    """The frequencies of the job's other archive, for the months that are scored."""
    if not job.climate:
        return None
    return climate_for(Path(job.climate).name, archive.open(job.climate), job.rain, job.config, blocks)


def checked_uses(job: Job, blocks: Sequence[BootstrapBlock]) -> list[used_archives.Use]:
    """What the forecasters were made with; the log warns of those that are scored on it."""
    length, times = job.config.past + job.config.leads - 1, job.rain.time.values
    parts = [(times[min(block.starts)], times[max(block.starts) + length]) for block in blocks]
    found = used_archives.found_in(job.models, job.rain, parts)
    for line in used_archives.warnings(found):
        log.warning("%s", line)
    return found


def _cases(blocks: Iterable[BootstrapBlock]) -> int:
    return sum(len(block.starts) for block in blocks)


def with_files(
    blocks: list[BootstrapBlock],
    rain: xr.DataArray,
    sources: Mapping[str, ForecastSource],
    config: VerificationConfig,
) -> list[BootstrapBlock]:
    """Only the windows for which every folder of forecast files has a forecast."""
    folders = [source for source in sources.values() if isinstance(source, ForecastFiles)]
    if not folders:
        return blocks
    issued = set.intersection(*(folder.issued() for folder in folders))
    found = []
    for block in blocks:
        starts = tuple(s for s in block.starts if rain.time.values[s + config.past - 1] in issued)
        if starts:
            found.append(BootstrapBlock(block.name, starts, block.issued))
    if not found:
        raise MissingFrames(
            "no forecast file was issued at a time whose past and future the archive holds"
            f" ({', '.join(str(folder.folder) for folder in folders)}); lower --past, --minutes or --stride"
        )
    scored = _cases(found)
    for folder in folders:
        if (left := len(folder.issued()) - scored) > 0:
            log.warning(
                "%s: %d of %d forecasts are scored; for the other %d the archive lacks a frame of the past or the"
                " future, --stride leaves them out, or another folder has none",
                folder.folder,
                scored,
                scored + left,
                left,
            )
    return found


def check_sources(rain: xr.DataArray, sources: Mapping[str, ForecastSource], config: VerificationConfig) -> None:
    """Raises for quantities, lead times, regions and time steps that do not fit, before any work is done."""
    fields.check(rain, quantity=fields.NAME)
    minutes = fields.time_step(rain.time.values) / np.timedelta64(1, "m")
    config.lead_indices(time_step_minutes=float(minutes))
    masks(rain, config)
    for source in sources.values():
        if not isinstance(source, ForecastFiles):
            source.check_past(config.past, float(minutes), str(rain.name), rain.sizes.get("channel", 1))


def _result(
    rain: xr.DataArray,
    config: VerificationConfig,
    blocks: Sequence[BootstrapBlock],
    sums: Sequence[BlockSums],
    sources: Mapping[str, ForecastSource],
    climate: Climate | None,
) -> VerificationResult:
    minutes = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    first = min(block.starts[0] for block in blocks)
    last = max(max(block.starts) for block in blocks) + config.past + config.leads - 1
    return VerificationResult(
        blocks=tuple(blocks),
        sums=tuple(sums),
        lead_minutes=tuple(minutes * (1 + index) for index in config.lead_indices(time_step_minutes=minutes)),
        thresholds=tuple(float(t) for t in config.thresholds),
        regions=(WHOLE_GRID, *config.regions),
        first=rain.time.values[first],
        last=rain.time.values[last],
        observations=_observations(rain, first, last),
        mask=config.mask,
        dependent=dependent(sources, config),
        grid_km=fields.grid_km(rain) if "crs" in rain.coords else None,
        climate=climate,
    )


def _observations(rain: xr.DataArray, first: int, last: int) -> str:
    """What forecasts are compared with, in words: radar, grid, Z-R relation, missing frames."""
    times = rain.time.values[first : last + 1]
    wanted = int(fields.clock(times).positions(times)[-1]) + 1 if len(times) > 1 else 1
    there = int(observed(rain[first : last + 1]).sum())
    minutes = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    place = f"{fields.crs_name(rain)}, cells of {fields.grid_km(rain):.3g} km" if "crs" in rain.coords else "no place"
    relation = f"; rain from reflectivity by {rain.attrs['zr']}" if rain.attrs.get("zr") else ""
    return (
        f"Observed by {rain.attrs.get('source', 'a radar not named')} every {minutes:g} min on {rain.sizes['y']} x"
        f" {rain.sizes['x']} cells ({place}){relation}. Of {wanted} frames in this time {wanted - there} are missing."
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _length(rain: xr.DataArray) -> list[Any]:
    """What tells that an archive has more frames."""
    return [str(rain.time.values[0]), str(rain.time.values[-1]), len(rain.time)]


def _changed(place: str) -> tuple[str, int]:
    """What tells that a local file has changed."""
    path = Path(place)
    return place, path.stat().st_mtime_ns if path.exists() else 0
