"""What is to be verified: which windows, lead times, pixels and scores.

>>> VerificationConfig(leads=18, lead_minutes=(30.0, 60.0)).lead_indices(time_step_minutes=5.0)
[5, 11]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import DataError, MissingFrames, ModelError
from echocast.evaluation.by_mask import COMMON, OWN
from echocast.samples import segments
from echocast.verification import families
from echocast.verification.base import THRESHOLDS_MM_H

DEFAULT_FAMILIES = ("contingency", "fractions", "continuous", "spectra")
PROBABILITY = "probability"
"""The family of the Brier score, which a climate is compared in."""
ENSEMBLE_FAMILIES = ("crps", "ensemble", PROBABILITY)
WHOLE_GRID = "all"
"""The name of the region that is the whole grid."""


@dataclass(frozen=True, kw_only=True)
class VerificationConfig:
    """How to verify.

    Args:
        past: frames given to each forecast.
        leads: time steps to forecast.
        stride: frames between the starts of two cases.
        thresholds: rain rates (mm/h) of the events of categorical and probability scores.
        scores: families of scores; None for the default ones, and those for ensembles if one is verified.
        lead_minutes: score only these lead times (min); all if empty.
        months: score only forecasts issued in these months (1 to 12); all if empty.
        regions: by name, west, south, east and north in degrees; scored beside the whole grid.
        members: of each ensemble; the default number of the forecaster if None.
        mask: ``common`` to score the pixels that all forecasters have, ``own`` to score all observed pixels, where what
            a forecaster does not know is dry.

    Raises:
        ModelError: a family of scores that does not exist.
        DataError: a month, region or mask that does not exist.
    """

    past: int = 10
    leads: int = 18
    stride: int = 6
    thresholds: tuple[float, ...] = THRESHOLDS_MM_H
    scores: tuple[str, ...] | None = None
    lead_minutes: tuple[float, ...] = ()
    months: tuple[int, ...] = ()
    regions: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    members: int | None = None
    mask: str = COMMON

    def __post_init__(self) -> None:
        known = families.names()
        for name in self.scores or ():
            if name not in known:
                raise ModelError(f"there is no family of scores {name!r}; there are: {', '.join(known)}")
        if self.mask not in (COMMON, OWN):
            raise DataError(f"there is no mask {self.mask!r}; there are: {COMMON}, {OWN}")
        for month in self.months:
            if not 1 <= month <= 12:
                raise DataError(f"month {month} does not exist; months are 1 to 12")
        for name, (west, south, east, north) in self.regions.items():
            if name == WHOLE_GRID or not (west < east and south < north):
                raise DataError(
                    f"region {name!r} = {west:g},{south:g},{east:g},{north:g}: give a name other than {WHOLE_GRID!r}"
                    " and west, south, east and north in degrees, west before east and south before north"
                )

    def lead_indices(self, *, time_step_minutes: float) -> list[int]:
        """Which of the leads to score, from 0; raises `DataError` for a lead time that is not forecast."""
        if not self.lead_minutes:
            return list(range(self.leads))
        found = []
        for minutes in sorted(set(self.lead_minutes)):
            index = round(minutes / time_step_minutes) - 1
            if not 0 <= index < self.leads or abs((index + 1) * time_step_minutes - minutes) > 0.01:
                raise DataError(
                    f"a lead time of {minutes:g} min is not forecast; lead times are every {time_step_minutes:g} min up"
                    f" to {self.leads * time_step_minutes:g} min"
                )
            found.append(index)
        return found

    def chosen_families(self, *, ensembles: bool, climate: bool = False) -> list[str]:
        """The families of scores to compute; always with ``contingency``, which the report needs, and with the Brier
        score where it is to be compared with a climate's."""
        wanted = self.scores or DEFAULT_FAMILIES + (ENSEMBLE_FAMILIES if ensembles else ())
        return list(dict.fromkeys(["contingency", *wanted, *([PROBABILITY] if climate else [])]))


@dataclass(frozen=True)
class BootstrapBlock:
    """The cases of a UTC day inside a segment, which are not independent of each other.

    `starts` are the first frames of their windows; `issued` is the time of the first forecast.
    """

    name: str
    starts: tuple[int, ...]
    issued: np.datetime64

    @property
    def month(self) -> int:
        """1 to 12."""
        return int(str(self.issued.astype("datetime64[M]"))[-2:])


def bootstrap_blocks(
    rain: xr.DataArray, config: VerificationConfig, parts: Sequence[slice] | None = None
) -> list[BootstrapBlock]:
    """The bootstrap blocks of a field, in the order of time.

    Args:
        rain: an archive's field.
        config: how to verify.
        parts: the segments to use; all of the field if None.

    Raises:
        MissingFrames: no window fits.
    """
    found: list[BootstrapBlock] = []
    for number, segment in enumerate(segments.segments(rain) if parts is None else parts):
        starts = segments.window_starts([segment], config.past, config.leads, config.stride)
        if not len(starts):
            continue
        issued = rain.time.values[starts + config.past - 1]
        days = issued.astype("datetime64[D]")
        for day in np.unique(days):
            inside = days == day
            block = BootstrapBlock(f"{day}-{number:04d}", tuple(starts[inside].tolist()), issued[inside][0])
            if not config.months or block.month in config.months:
                found.append(block)
    if not found:
        months = f" in month {', '.join(map(str, config.months))}" if config.months else ""
        raise MissingFrames(
            f"no segment (unbroken series of frames){months} holds {config.past} + {config.leads} frames; give a longer"
            " archive or fewer --minutes"
        )
    return found


def masks(rain: xr.DataArray, config: VerificationConfig) -> dict[str, np.ndarray | None]:
    """Which pixels belong to each region; None for the whole grid.

    Raises:
        DataError: a region holds no pixel.
    """
    found: dict[str, np.ndarray | None] = {WHOLE_GRID: None}
    if not config.regions:
        return found
    lon, lat = _degrees(fields.crs(rain).to_wkt(), rain.x.values.tobytes(), rain.y.values.tobytes())
    for name, (west, south, east, north) in config.regions.items():
        inside = fields.between(lon, west, east) & (lat >= south) & (lat <= north)
        if not inside.any():
            raise DataError(
                f"region {name!r} holds no pixel; the grid spans {lon.min():.2f} to {lon.max():.2f} degrees east and"
                f" {lat.min():.2f} to {lat.max():.2f} north"
            )
        found[name] = inside
    return found


@lru_cache(maxsize=4)
def _degrees(wkt: str, x: bytes, y: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of each pixel, kept, as a national grid takes a second."""
    to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(wkt), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*np.meshgrid(np.frombuffer(x), np.frombuffer(y)))
    return lon, lat
