"""What an archive holds and whether it is fit for use: extent, clock, gaps, wetness, outliers, size."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from echocast import archive, fields
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.samples.segments import segments, window_starts

WET = 0.1
"""Rain (mm/h) from which a cell counts as wet."""
SUSPICIOUS = 150.0
"""Rain (mm/h) from which a cell counts as an outlier: rarer than hail and interference at a square kilometre."""
PAST, FUTURE = 10, 18
_STRETCH_BYTES = 64 * 2**20


@dataclass
class Survey:
    """The findings. Shares are of the cells that were seen; `seen` is of all cells of the frames observed.

    `wet`, `outliers`, `highest`, `stuck` (frames equal to the one before though not dry) and `seen` are None where only
    what needs no reading was looked at.
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
    longest: int
    bytes: int | None
    seen: float | None = None
    wet: float | None = None
    outliers: int | None = None
    highest: float | None = None
    stuck: int | None = None
    unfit: list[str] = field(default_factory=list)


def look(store: Location, *, closely: bool) -> Survey:
    """Survey a store; `closely` reads every frame, else only what the coordinates tell.

    Raises:
        DataError: there is no store, or it is empty.
    """
    rain = archive.open(store)
    found = segments(rain)
    survey = Survey(
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
        longest=max((one.stop - one.start for one in found), default=0),
        bytes=stores.size(store),
    )
    if closely:
        _read_all(rain, survey)
    survey.unfit = _unfit(survey)
    return survey


def _read_all(rain: xr.DataArray, survey: Survey) -> None:
    cells = rain.sizes["y"] * rain.sizes["x"]
    stretch = max(1, _STRETCH_BYTES // (4 * cells))
    observed = rain.observed.values
    seen = wet = outliers = stuck = 0
    highest, last = 0.0, None
    for start in range(0, len(observed), stretch):
        for offset, frame in enumerate(rain[start : start + stretch].values):
            if not observed[start + offset]:
                last = None
                continue
            there = np.isfinite(frame)
            seen += int(there.sum())
            with np.errstate(invalid="ignore"):
                damp = frame >= WET
                wet += int(damp.sum())
                outliers += int((frame > SUSPICIOUS).sum())
            highest = max(highest, float(np.nanmax(frame, initial=0.0)))
            stuck += last is not None and bool(damp.any()) and np.array_equal(frame, last, equal_nan=True)
            last = frame
    survey.seen = seen / max(1, cells * survey.frames)
    survey.wet = wet / max(1, seen)
    survey.outliers, survey.highest, survey.stuck = outliers, highest, stuck


def _unfit(survey: Survey) -> list[str]:
    """Why not to train on it, in words; nothing if it is fit."""
    said = []
    needed = PAST + FUTURE
    if survey.windows == 0:
        said.append(f"no run of {needed} frames without a gap (the longest has {survey.longest})")
    elif survey.windows < 500:
        said.append(f"only {survey.windows} windows of {needed} frames; a network needs some thousands")
    if survey.seen is not None and survey.seen < 0.2:
        said.append(f"only {100 * survey.seen:.0f} % of the cells were seen")
    if survey.wet is not None and survey.wet < 0.005:
        said.append(f"only {100 * survey.wet:.2f} % of what was seen is wet ({WET} mm/h or more): pick rainy days")
    if survey.stuck:
        said.append(f"{survey.stuck} frames repeat the one before: was the feed stuck?")
    if survey.outliers is not None and survey.outliers > 1e-5 * survey.frames * survey.shape[0] * survey.shape[1]:
        said.append(
            f"{survey.outliers} cells above {SUSPICIOUS:g} mm/h: clutter or interference?"
            " use --transform 'clip max_rate=..'"
        )
    return said
