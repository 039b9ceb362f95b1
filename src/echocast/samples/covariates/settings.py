"""The table ``[data.covariates]`` of an experiment: what a forecaster is given beside the frames.

>>> table = Covariates(fields={"height": FieldFiles(path="dem.nc", kind="fixed", quantity="surface_altitude")})
>>> table.fields["height"].paths
('dem.nc',)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from echocast.errors import ExperimentError

_CLOCKS = ("hour", "season")


@dataclass(frozen=True, kw_only=True)
class FieldFiles:
    """Files, or an archive, of a covariate that is a field.

    Args:
        path: a file, folder, glob or archive, or several.
        quantity: what they hold, a name of `echocast.fields.QUANTITIES`.
        kind: "moments" of fields at times, such as an analysis; "run" of a weather model's forecasts, of which only
            those count that had begun when a forecast is issued; "fixed" of a field that does not change.
        known_ahead_minutes: of moments: up to how long after the newest frame they are known; 0 for what is observed,
            negative for what comes late.
        variable: the variable, parameter or band of the files, where it is not found by itself.
        units: its unit, where the files do not say it.
    """

    path: str | tuple[str, ...]
    quantity: str
    kind: Literal["moments", "run", "fixed"] = "moments"
    known_ahead_minutes: float = 0.0
    variable: str | None = None
    units: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)


@dataclass(frozen=True, kw_only=True)
class StationFiles:
    """Files of stations, whose values are laid onto the cells that they lie in; see `echocast stations`.

    Args:
        path: a file, or several.
        quantity: what they measured.
        known_ahead_minutes: up to how long after the newest frame they are known; negative if they come late.
        reach_km: how far a value tells of its surroundings: the network also gets the mean of stations, weighted by a
            Gaussian of this standard deviation.
        units: the unit of a file that does not say it.
    """

    path: str | tuple[str, ...]
    quantity: str = "air_temperature"
    known_ahead_minutes: float = 0.0
    reach_km: float = 100.0
    units: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)


@dataclass(frozen=True, kw_only=True)
class Covariates:
    """What a forecaster is given beside the frames, and how training hides it.

    Args:
        hour: the hour of the day (mean solar time at the middle of the grid).
        season: the day of the year.
        fields: by name, files of fields: ``[data.covariates.fields.height]``.
        stations: by name, files of stations: ``[data.covariates.stations.airports]``.
        hide: the share of windows in which training hides a covariate, each by itself, so that the network forecasts
            without it too.
        hide_stations: the share of stations that training hides in every window.
        features: channels that the network makes of all covariates.

    Raises:
        ExperimentError: nothing is given, a share is none, or a name is there twice.
    """

    hour: bool = False
    season: bool = False
    fields: Mapping[str, FieldFiles] = field(default_factory=dict)
    stations: Mapping[str, StationFiles] = field(default_factory=dict)
    hide: float = 0.2
    hide_stations: float = 0.2
    features: int = 8

    def __post_init__(self) -> None:
        for name, one in self.stations.items():
            if not one.reach_km > 0:
                raise ExperimentError(
                    f"data.covariates.stations.{name}.reach_km = {one.reach_km:g} is no length; 100 suits temperatures"
                )
        for name in ("hide", "hide_stations"):
            if not 0 <= getattr(self, name) < 1:
                raise ExperimentError(
                    f"data.covariates.{name} = {getattr(self, name):g} is no share in [0, 1); 0 hides nothing"
                )
        twice = sorted({*self.fields} & {*self.stations} | {*_CLOCKS} & {*self.fields, *self.stations})
        if twice:
            raise ExperimentError(f"data.covariates: {twice[0]!r} is the name of two covariates; rename one")
        if not (self.hour or self.season or self.fields or self.stations):
            raise ExperimentError(
                "data.covariates names none; set hour = true or season = true, name files, or leave it out"
            )

    @property
    def clocks(self) -> Sequence[str]:
        """Those that only the time tells."""
        return [name for name in _CLOCKS if getattr(self, name)]

    @property
    def with_files(self) -> dict[str, FieldFiles | StationFiles]:
        """By name those that files tell."""
        return {**self.fields, **self.stations}
