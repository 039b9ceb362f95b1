"""Forecasts of some windows by each source: a forecaster, or a folder of forecast files.

>>> observed, made = forecasts_of({"persistence": Persistence()}, cases, rain=rain, config=config)  # doctest: +SKIP
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.context import Context
from echocast.errors import DataError, UnreadableFile
from echocast.evaluation.config import VerificationConfig
from echocast.io import forecast_file
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.samples import windows
from echocast.samples.covariates import Given, clocks
from echocast.samples.covariates.given import stacked

BATCH_PIXELS = 5e6
"""Forecast pixels held in memory at a time."""


@dataclass
class ForecastFiles:
    """A folder of forecasts as `echocast nowcast` writes them, found by the time they were issued.

    Args:
        folder: NetCDF files, one forecast each.
        grid: a field on the grid that they must lie on.

    Raises:
        DataError: no file, a file that is not a forecast or lies on another grid, or two of the same issue time.
    """

    folder: Path
    grid: xr.DataArray
    _paths: dict[np.datetime64, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        paths = forecasts_in(self.folder)
        if not paths:
            raise DataError(f"{self.folder}: holds no .nc files; give a folder of forecasts of `echocast nowcast`")
        grids: set[str] = set()
        for path in paths:
            about = forecast_file.about(path)
            if about.grid not in grids:
                fields.check_same_grid(self.grid, forecast_file.from_netcdf(path), str(path))
                grids.add(about.grid)
            other = self._paths.setdefault(about.issued, path)
            if other != path:
                raise DataError(f"{path}: was issued at {about.issued}, as {other} was; keep one of them")

    @cached_property
    def members(self) -> int:
        """How many members its forecasts have; 1 without that axis."""
        forecast = forecast_file.from_netcdf(next(iter(self._paths.values())))
        return int(forecast.sizes.get("member", 1))

    def issued(self) -> set[np.datetime64]:
        """The times that forecasts were issued at."""
        return set(self._paths)

    def at(self, issued: np.datetime64, leads: np.ndarray) -> np.ndarray:
        """The forecast issued at a time, (member, lead, y, x), in mm/h, at some lead times.

        Raises:
            UnreadableFile: a lead time is missing.
        """
        path = self._paths[issued]
        forecast = forecast_file.from_netcdf(path)
        try:
            chosen = forecast.sel(lead=leads).values.astype(np.float32)
        except KeyError as bad:
            raise UnreadableFile(
                f"{path}: does not hold all lead times to {leads[-1] / np.timedelta64(1, 'm'):g} min; lower --minutes"
            ) from bad
        return chosen if chosen.ndim == 4 else chosen[None]


def forecasts_in(folder: Path) -> list[Path]:
    """The forecast files below a folder, sorted; hidden ones are of a command that was stopped, or is at work."""
    return sorted(path for path in folder.rglob("*.nc") if not path.name.startswith("."))


ForecastSource = Forecaster | ForecastFiles


def members_of(source: ForecastSource, config: VerificationConfig) -> int | None:
    """How many members its ensemble has; None for a deterministic forecast.

    A forecaster with a deterministic forecast of its own makes members only if `config.members` asks for them.
    """
    if isinstance(source, ForecastFiles):
        return source.members if source.members > 1 else None
    if not isinstance(source, EnsembleForecaster) or (source.has_deterministic and not config.members):
        return None
    return config.members or source.members


def dependent(sources: Mapping[str, ForecastSource], config: VerificationConfig) -> tuple[str, ...]:
    """The ensembles whose members are not drawn independently of each other, as far as it is known (of files it is
    not)."""
    return tuple(
        name
        for name, source in sources.items()
        if isinstance(source, EnsembleForecaster) and members_of(source, config) and not source.independent_members
    )


def batch_size(rain: xr.DataArray, sources: Mapping[str, ForecastSource], config: VerificationConfig) -> int:
    """How many windows fit into memory at a time."""
    forecasts = sum(members_of(source, config) or 1 for source in sources.values())
    return max(1, int(4 * BATCH_PIXELS // (rain[0].size * config.leads * (forecasts + 3))))


def forecasts_of(
    sources: Mapping[str, ForecastSource], cases: windows.Windows, *, rain: xr.DataArray, config: VerificationConfig
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The observed rain of some windows and the forecasts of each source.

    The members of a case are drawn from a seed of its own, the number of its first frame, so they are the same
    whatever the other cases and sources are.

    Args:
        sources: by name.
        cases: the windows.
        rain: the archive's field.
        config: how to verify.

    Returns:
        Observed, (case, lead, y, x), and by name forecast, (case, member, lead, y, x), in mm/h.
    """
    frames = windows.stack(cases)
    past, observed = frames[:, : config.past], frames[:, config.past :, 0].numpy()
    time_step = fields.time_step(rain.time.values)
    context = Context(grid_km=fields.grid_km(rain), time_step_minutes=float(time_step / np.timedelta64(1, "m")))
    leads = np.arange(1, config.leads + 1) * time_step
    made = {}
    for name, source in sources.items():
        if isinstance(source, ForecastFiles):
            issued = rain.time.values[cases.starts + config.past - 1]
            made[name] = np.stack([source.at(time, leads) for time in issued])
        elif isinstance(source, EnsembleForecaster) and (members := members_of(source, config)):
            seeds = [int(start) for start in cases.starts]
            known = _with_covariates(context, source, cases, rain)
            ensembles = source.ensemble(past, config.leads, members=members, seed=seeds, context=known)
            made[name] = ensembles[:, :, :, 0].numpy()
        else:
            known = _with_covariates(context, source, cases, rain)
            made[name] = source.forecast(past, config.leads, context=known)[:, None, :, 0].numpy()
    return observed, made


def _with_covariates(context: Context, forecaster: Forecaster, cases: windows.Windows, rain: xr.DataArray) -> Context:
    """The context with what a forecaster is given beside the frames of some windows."""
    names = {one.name for one in forecaster.covariates}
    if not names:
        return context
    supplied = forecaster.supplied.sources if isinstance(forecaster.supplied, Given) else {}
    given = Given(clocks(names, rain) | dict(supplied))
    times = [rain.time.values[start : start + cases.length] for start in cases.starts]
    return replace(context, covariates=stacked([given.of_window(one, cases.past) for one in times]))
