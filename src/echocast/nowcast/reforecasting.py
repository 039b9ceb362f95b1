"""The forecasts that an archive's frames would have given, one file each, in several processes; a stopped run goes on.

Forecasts are issued on the clock (``every`` minutes since midnight UTC), so that an archive that grows gives more and
changes none. Each is made from as many frames as ``frames`` says, none of them missing, and written whole to
``FOLDER/YYYY/MM/DD/YYYYMMDDTHHMMSSZ.nc``; ``reforecast.json`` beside them says what all of them share.

>>> made = run("radar.zarr", Path("forecasts"), Settings("optical_flow"))  # doctest: +SKIP
>>> made.made, made.there  # doctest: +SKIP
(48, 0)
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import xarray as xr

from echocast import archive, nowcast, parallel
from echocast.errors import DataError, MissingFrames, UnreadableFile
from echocast.io import forecast_file
from echocast.io import store as stores
from echocast.models import base
from echocast.models._threads import at_most
from echocast.nowcast import writing
from echocast.nowcast.reforecast_notes import Settings as Settings
from echocast.nowcast.reforecast_notes import check_notes, of_archive, of_model
from echocast.plotting import reducing
from echocast.samples import segments

log = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 2**20
"""Of frames that a process reads at a time."""
_LOCK = ".reforecast.lock"


@dataclass(frozen=True)
class Report:
    """What a run did, in forecasts.

    `made` were made, `there` were there already, `left_out` could not be made, as a frame before them is missing.
    """

    made: int
    there: int
    left_out: int


@dataclass(frozen=True)
class _Piece:
    """Some issues, by the numbers of their newest frames, whose frames are read together."""

    issues: tuple[int, ...]

    def __str__(self) -> str:
        return f"frames {self.issues[0]} to {self.issues[-1]}"


@dataclass(frozen=True)
class _Maker:
    """Makes and writes forecasts, in whichever process; archive and forecaster are opened once in each."""

    store: str
    folder: Path
    settings: Settings
    threads: int
    version: str
    """Of the archive: another one makes it another maker, for a Dask worker that lives longer than an archive."""

    @cached_property
    def rain(self) -> xr.DataArray:
        """The archive's field."""
        return archive.open(self.store)

    @cached_property
    def forecaster(self) -> base.Forecaster:
        """The model."""
        return base.resolve(self.settings.model)

    def __call__(self, piece: _Piece) -> int:
        with at_most(self.threads):
            first = piece.issues[0] - self.settings.frames + 1
            read = self.rain[first : piece.issues[-1] + 1].load()
            for newest in piece.issues:
                self._make(read[newest - self.settings.frames + 1 - first : newest + 1 - first])
        return len(piece.issues)

    def _make(self, past: xr.DataArray) -> None:
        out, asked = path_of(self.folder, past.time.values[-1]), self.settings
        _make_folder(out.parent)
        past = past.drop_vars("observed", errors="ignore")
        notes = {"model": str(asked.model), "input_files": Path(self.store).name}
        if asked.members is None:
            by, forecaster = reducing.factor(past), self.forecaster
            writing.streamed(
                past, forecaster, out, minutes=asked.minutes, notes=notes, command="echocast reforecast", by=by
            )
            return
        seed = int(past.time.values[-1].astype("datetime64[s]").astype(int))  # of its own, whatever was made before
        made = nowcast.forecast_from(past, self.forecaster, minutes=asked.minutes, members=asked.members, seed=seed)
        made.attrs |= notes
        nowcast.to_netcdf(made, out, command="echocast reforecast")

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: another process opens it for itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("rain", "forecaster")}


def run(
    store: str,
    folder: Path,
    settings: Settings,
    *,
    span: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None),
    workers: parallel.Workers | None = None,
    on_forecast: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Make the forecasts that are not there yet.

    Args:
        store: the archive of rain.
        folder: where forecasts go; made if it is not there. With a Dask cluster all its workers must see it by this
            path.
        settings: what all forecasts of the folder share.
        span: only forecasts issued from the first to the last of these times (UTC); None for no limit.
        workers: which processes work; this process alone by default.
        on_forecast: called with the number of forecasts done and in all.

    Raises:
        MissingFrames: no forecast can be made, or the model does not know the archive's time step.
        ModelError: no such model, or it makes no members.
        DataError: the folder holds forecasts by other settings, of another archive or by other weights, cannot be
            written, or another run writes to it; or the Dask scheduler does not answer.
    """
    where = workers or parallel.Workers(processes=1)
    maker = _Maker(
        str(store),
        Path(folder).absolute(),
        settings,
        max(1, parallel.processors() // where.count),
        stores.version(store),
    )
    issues, left_out = issues_of(maker.rain, settings, span)
    _check(maker, issues)
    _make_folder(maker.folder)
    with _alone(maker.folder):
        check_notes(maker.folder, of_archive(maker.rain) | of_model(settings.model) | settings.told())
        for path in maker.folder.rglob(".*.partial.nc"):  # of a run that was killed
            path.unlink(missing_ok=True)
        missing = [number for number in issues if not _is_whole(maker, number)]
        done = there = len(issues) - len(missing)
        on_forecast(done, len(issues))
        few = len(missing) < 2 and not where.dask
        pieces = list(_pieces(missing, maker.rain, settings.frames, where))
        for _, made in parallel.parallel_map(maker, pieces, parallel.Workers(processes=1) if few else where):
            done += made
            on_forecast(done, len(issues))
    return Report(len(missing), there, left_out)


def issues_of(
    rain: xr.DataArray, settings: Settings, span: tuple[np.datetime64 | None, np.datetime64 | None]
) -> tuple[list[int], int]:
    """The newest frame of each forecast, by number, and how many lack a frame of their past.

    A forecast is issued at the first frame at or after each time of the clock.

    Raises:
        MissingFrames: there is none.
    """
    times = rain.time.values.astype("datetime64[ns]")
    every = np.timedelta64(round(settings.every * 60e9), "ns")
    tick, past_it = np.divmod((times - np.datetime64(0, "ns")).astype(int), every.astype(int))
    on_clock = np.diff(tick, prepend=tick[:1] - (past_it[:1] == 0)) > 0
    for limit, later in zip(span, (False, True), strict=True):
        if limit is not None:
            on_clock &= times <= limit if later else times >= limit
    whole = np.zeros(len(times), bool)
    for one in segments.segments(rain):
        whole[one.start + settings.frames - 1 : one.stop] = True
    found = np.flatnonzero(on_clock & whole)
    if not len(found):
        raise MissingFrames(
            f"no forecast can be issued every {settings.every:g} min from {settings.frames} frames without a gap"
            f" ({int(on_clock.sum())} issue times); lower --frames or --every, or give another time"
        )
    return found.tolist(), int((on_clock & ~whole).sum())


def path_of(folder: Path, issued: np.datetime64) -> Path:
    """Where the forecast of a time lies below the folder.

    >>> path_of(Path("f"), np.datetime64("2016-09-28T15:00")).as_posix()
    'f/2016/09/28/20160928T150000Z.nc'
    """
    text = str(issued.astype("datetime64[s]"))
    return Path(folder) / text[:4] / text[5:7] / text[8:10] / f"{text.replace('-', '').replace(':', '')}Z.nc"


def _check(maker: _Maker, issues: Sequence[int]) -> None:
    """Raise what is wrong with the model or the archive before any work is done."""
    if "sequences" in maker.rain.attrs:
        raise DataError(f"{maker.store}: holds videos or pictures, which have no times; use `echocast predict`")
    past = maker.rain[issues[0] - maker.settings.frames + 1 : issues[0] + 1].load()
    nowcast.steps_of(past.drop_vars("observed", errors="ignore"), maker.forecaster, maker.settings.minutes)
    if maker.settings.members is not None:
        nowcast.check_members(maker.forecaster)


def _is_whole(maker: _Maker, newest: int) -> bool:
    """Whether a forecast is there; one that is cut off, as after a power cut, is made again."""
    issued = maker.rain.time.values[newest]
    path = path_of(maker.folder, issued)
    if not path.exists():
        return False
    try:
        if forecast_file.about(path).issued == issued.astype("datetime64[s]"):
            return True
        why = "was issued at another time"
    except UnreadableFile as bad:
        why = str(bad)
    log.warning("%s: is made again (%s)", path, why)
    return False


def _pieces(missing: Sequence[int], rain: xr.DataArray, frames: int, workers: parallel.Workers) -> Iterator[_Piece]:
    """Issues that follow each other, as many as share a stretch of frames of `_PIECE_BYTES`, and enough for all."""
    frame = 4 * int(np.prod(rain.shape[1:]))
    most_frames = max(frames, _PIECE_BYTES // frame)
    most = max(1, len(missing) // (4 * max(workers.count, 8 if workers.dask else 1)))
    kept: list[int] = []
    for newest in missing:
        if kept and (newest - kept[0] + frames > most_frames or len(kept) == most):
            yield _Piece(tuple(kept))
            kept = []
        kept.append(newest)
    if kept:
        yield _Piece(tuple(kept))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as bad:
        raise DataError(f"{folder}: cannot be made ({bad.strerror or bad}); is it a file, or read-only?") from bad


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run at a time in a folder."""
    lock = filelock.FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as bad:
        raise DataError(f"{folder}: another `echocast reforecast` writes to it; wait for it, or end it") from bad
    except OSError as bad:
        raise DataError(f"{folder}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad
    try:
        yield
    finally:
        lock.release()
