"""What is to be verified: which windows, leads, pixels and scores.

>>> Plan(leads=18, only_minutes=(30.0, 60.0)).chosen(time_step_minutes=5.0)
[5, 11]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyproj
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, MissingFrames, ModelError
from echocast.samples import segments
from echocast.verification.base import THRESHOLDS_MM_H

SCORES = "echocast.verification.scores"
USUAL = ("contingency", "fractions", "pointwise", "spectra")
OF_ENSEMBLES = ("crps", "ensemble", "probability")
WHOLE = "all"
"""The region that is the whole grid."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to verify.

    Args:
        past: frames before each forecast.
        leads: steps to forecast.
        stride: frames between the starts of neighbouring cases.
        thresholds: rain rates (mm/h) of the scores that have one.
        scores: names of score families; None for the usual ones, and those of ensembles where one takes part.
        only_minutes: score only these lead times (min); all if empty.
        months: issue times in these months (1 to 12) only; all if empty.
        regions: by name, west, south, east and north in degrees; scored beside the whole grid.
        members: of each ensemble; as many as the forecaster has by itself if None.
    """

    past: int = 10
    leads: int = 18
    stride: int = 6
    thresholds: tuple[float, ...] = THRESHOLDS_MM_H
    scores: tuple[str, ...] | None = None
    only_minutes: tuple[float, ...] = ()
    months: tuple[int, ...] = ()
    regions: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    members: int | None = None

    def __post_init__(self) -> None:
        known = plugins.names(SCORES)
        for name in self.scores or ():
            if name not in known:
                raise ModelError(f"there is no family of scores {name!r}; there are: {', '.join(known)}")
        for month in self.months:
            if not 1 <= month <= 12:
                raise DataError(f"month {month} is none; months are 1 to 12")
        for name, (west, south, east, north) in self.regions.items():
            if name == WHOLE or not (west < east and south < north):
                raise DataError(
                    f"region {name!r} = {west:g},{south:g},{east:g},{north:g}: give a name other than {WHOLE!r}, and"
                    " west, south, east and north in degrees, west before east and south before north"
                )

    def chosen(self, *, time_step_minutes: float) -> list[int]:
        """The numbers of the leads to score; raises `DataError` for a lead that is not forecast."""
        if not self.only_minutes:
            return list(range(self.leads))
        found = []
        for minutes in sorted(set(self.only_minutes)):
            number = round(minutes / time_step_minutes) - 1
            if not 0 <= number < self.leads or abs((number + 1) * time_step_minutes - minutes) > 0.01:
                raise DataError(
                    f"a lead of {minutes:g} min is not forecast; leads come every {time_step_minutes:g} min up to"
                    f" {self.leads * time_step_minutes:g} min"
                )
            found.append(number)
        return found

    def families(self, *, ensembles: bool) -> list[str]:
        """The families of scores to compute, contingency always among them."""
        wanted = self.scores or USUAL + (OF_ENSEMBLES if ensembles else ())
        return list(dict.fromkeys(["contingency", *wanted]))


@dataclass(frozen=True)
class Event:
    """A UTC day inside an unbroken run of frames: windows that share their weather.

    `starts` are the first frames of its windows; `issued` the time of the first forecast.
    """

    name: str
    starts: tuple[int, ...]
    issued: np.datetime64

    @property
    def month(self) -> int:
        """1 to 12."""
        return int(str(self.issued.astype("datetime64[M]"))[-2:])


def events(rain: xr.DataArray, plan: Plan, runs: Sequence[slice] | None = None) -> list[Event]:
    """The events of a field, in the order of time; raises `MissingFrames` if no window fits."""
    found: list[Event] = []
    for number, run in enumerate(segments.segments(rain) if runs is None else runs):
        starts = segments.window_starts([run], plan.past, plan.leads, plan.stride)
        if not len(starts):
            continue
        issued = rain.time.values[starts + plan.past - 1]
        days = issued.astype("datetime64[D]")
        for day in np.unique(days):
            inside = days == day
            event = Event(f"{day}-{number:04d}", tuple(starts[inside].tolist()), issued[inside][0])
            if not plan.months or event.month in plan.months:
                found.append(event)
    if not found:
        months = f" in month {', '.join(map(str, plan.months))}" if plan.months else ""
        raise MissingFrames(
            f"no unbroken run{months} holds {plan.past} + {plan.leads} frames; give a longer archive or fewer --minutes"
        )
    return found


def masks(rain: xr.DataArray, plan: Plan) -> dict[str, np.ndarray | None]:
    """Which pixels belong to each region; None for the whole grid.

    Raises:
        DataError: a region holds no pixel.
    """
    found: dict[str, np.ndarray | None] = {WHOLE: None}
    if not plan.regions:
        return found
    lon, lat = _degrees(fields.crs(rain).to_wkt(), rain.x.values.tobytes(), rain.y.values.tobytes())
    for name, (west, south, east, north) in plan.regions.items():
        inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        if not inside.any():
            raise DataError(
                f"region {name!r} holds no pixel; the grid spans {lon.min():.2f} to {lon.max():.2f} degrees east and"
                f" {lat.min():.2f} to {lat.max():.2f} north"
            )
        found[name] = inside
    return found


@lru_cache(maxsize=4)
def _degrees(wkt: str, x: bytes, y: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of each pixel, found once: on a national grid it takes a second."""
    to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(wkt), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*np.meshgrid(np.frombuffer(x), np.frombuffer(y)))
    return lon, lat
