"""What an archive holds and whether it is fit for training: extent, time step, gaps, wet area, outliers, size."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from echocast import archive, fields
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.samples.segments import segments, window_starts

WET_MM_H = 0.1
"""Rain rate from which a cell counts as wet."""
OUTLIER_MM_H = 150.0
"""Rain rate above which a cell counts as an outlier: on a square kilometre such rates are mostly hail or errors."""
PAST, FUTURE = 10, 18
"""Frames of the windows that are counted."""

_FEW_WINDOWS = 500
_MIN_OBSERVED, _MIN_WET, _MAX_OUTLIERS = 0.2, 0.005, 1e-5
_PART_BYTES = 64 * 2**20


@dataclass
class Survey:
    """What was found.

    The last six need every frame read and are None otherwise: `observed` is the share of the cells of all frames,
    `wet` the share of the observed cells, `outliers` a number of cells, `highest` a rain rate in mm/h, `repeated` the
    number of frames that equal the one before although it rains in them, and `blank` that of frames in which no cell is
    observed.
    """

    frames: int
    missing: int
    start: np.datetime64
    end: np.datetime64
    time_step: np.timedelta64
    shape: tuple[int, int]
    cell_km: float
    crs: str
    source: str
    zr: str
    transforms: str
    gaps: list[tuple[np.datetime64, np.datetime64, int]]
    windows: int
    longest_segment: int
    bytes: int | None
    observed: float | None = None
    wet: float | None = None
    outliers: int | None = None
    highest: float | None = None
    repeated: int | None = None
    blank: int | None = None
    problems: list[str] = field(default_factory=list)


def survey(store: Location, *, read_frames: bool) -> Survey:
    """Survey a store: from its coordinates alone, or from every frame.

    Raises:
        DataError: there is no store, or it is empty.
    """
    rain = archive.open(store)
    found = segments(rain)
    made = Survey(
        frames=int(rain.observed.values.sum()),
        missing=int((~rain.observed.values).sum()),
        start=rain.time.values[0],
        end=rain.time.values[-1],
        time_step=fields.time_step(rain.time.values) if rain.sizes["time"] > 1 else np.timedelta64("NaT"),
        shape=(rain.sizes["y"], rain.sizes["x"]),
        cell_km=fields.grid_km(rain),
        crs=fields.crs_name(rain),
        source=str(rain.attrs.get("source", "unknown")),
        zr=str(rain.attrs.get("zr", "none: the files hold rain")),
        transforms=str(rain.attrs.get("transforms", "none")),
        gaps=archive.gaps(rain),
        windows=len(window_starts(found, PAST, FUTURE, 1)),
        longest_segment=max((one.stop - one.start for one in found), default=0),
        bytes=stores.size(store),
    )
    if read_frames:
        _read_frames(rain, made)
    made.problems = _problems(made)
    return made


def _read_frames(rain: xr.DataArray, made: Survey) -> None:
    cells = rain.sizes["y"] * rain.sizes["x"]
    part = max(1, _PART_BYTES // (4 * cells))
    there = rain.observed.values
    observed = wet = outliers = repeated = blank = 0
    highest, last = 0.0, None
    for start in range(0, len(there), part):
        if not there[start : start + part].any():  # years may be missing between two events
            last = None
            continue
        for offset, frame in enumerate(rain[start : start + part].values):
            if not there[start + offset]:
                last = None
                continue
            seen = int(np.isfinite(frame).sum())
            observed, blank = observed + seen, blank + (seen == 0)
            with np.errstate(invalid="ignore"):
                is_wet = frame >= WET_MM_H
                outliers += int((frame > OUTLIER_MM_H).sum())
            wet += int(is_wet.sum())
            highest = max(highest, float(np.nanmax(frame, initial=0.0)))
            repeated += last is not None and bool(is_wet.any()) and np.array_equal(frame, last, equal_nan=True)
            last = frame
    made.observed = observed / max(1, cells * made.frames)
    made.wet = wet / max(1, observed)
    made.outliers, made.highest, made.repeated, made.blank = outliers, highest, repeated, blank


def _problems(made: Survey) -> list[str]:
    """What makes it unfit for training; empty if it is fit."""
    found = []
    needed = PAST + FUTURE
    if made.windows == 0:
        found.append(f"no segment of {needed} frames without a gap (the longest has {made.longest_segment})")
    elif made.windows < _FEW_WINDOWS:
        found.append(f"only {made.windows} windows of {needed} frames; a network needs some thousands")
    if made.observed is not None and made.observed < _MIN_OBSERVED:
        found.append(f"only {100 * made.observed:.0f} % of the cells were observed")
    if made.wet is not None and made.wet < _MIN_WET:
        found.append(
            f"only {100 * made.wet:.2f} % of the observed cells are wet ({WET_MM_H} mm/h or more): add rainy days"
        )
    if made.blank:
        found.append(
            f"{made.blank} frames are blank (no cell observed): make the archive again, so that they are missing"
        )
    if made.repeated:
        found.append(f"{made.repeated} frames repeat the one before: did the data feed stop?")
    if made.outliers is not None and made.outliers > _MAX_OUTLIERS * made.frames * made.shape[0] * made.shape[1]:
        found.append(
            f"{made.outliers} cells above {OUTLIER_MM_H:g} mm/h: clutter or interference?"
            " use --transform 'clip max_rate=..'"
        )
    return found
