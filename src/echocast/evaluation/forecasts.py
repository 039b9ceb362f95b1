"""Forecasts of some windows, by each contender: a forecaster, or a folder of forecast files.

>>> observed, made = forecasts_of({"persistence": Persistence()}, cases, rain=rain, plan=Plan())  # doctest: +SKIP
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.context import Context
from echocast.errors import DataError, UnreadableFile
from echocast.evaluation.config import Plan
from echocast.io import forecast_file
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.samples import windows

BATCH_PIXELS = 5e6
"""Forecast pixels at a time, for memory."""


@dataclass
class ForecastFiles:
    """A folder of forecasts as `echocast nowcast` writes them, found by the time they were issued.

    Args:
        folder: NetCDF files, one forecast each; what is no forecast is refused.
        grid: a field on the grid that they must lie on.
    """

    folder: Path
    grid: xr.DataArray
    _paths: dict[np.datetime64, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        paths = sorted(self.folder.rglob("*.nc")) if self.folder.is_dir() else []
        if not paths:
            raise DataError(f"{self.folder}: holds no .nc files; give a folder of forecasts of `echocast nowcast`")
        for path in paths:
            forecast = forecast_file.from_netcdf(path)
            fields.check_same_grid(self.grid, forecast, str(path))
            issued = forecast.forecast_reference_time.values
            other = self._paths.setdefault(issued.astype("datetime64[ns]")[()], path)
            if other != path:
                raise DataError(f"{path}: was issued at {issued}, as {other} was; keep one of them")

    @cached_property
    def members(self) -> int:
        """How many members its forecasts have; 1 without that axis."""
        forecast = forecast_file.from_netcdf(next(iter(self._paths.values())))
        return int(forecast.sizes.get("member", 1))

    def issued(self) -> set[np.datetime64]:
        """The times that forecasts were issued at."""
        return set(self._paths)

    def at(self, issued: np.datetime64, leads: np.ndarray) -> np.ndarray:
        """The forecast issued then, (member, lead, y, x), at the leads asked for.

        Raises:
            UnreadableFile: it has not all of the leads.
        """
        path = self._paths[issued]
        forecast = forecast_file.from_netcdf(path)
        try:
            chosen = forecast.sel(lead=leads).values.astype(np.float32)
        except KeyError as bad:
            raise UnreadableFile(
                f"{path}: has not all leads to {leads[-1] / np.timedelta64(1, 'm'):g} min; lower --minutes"
            ) from bad
        return chosen if chosen.ndim == 4 else chosen[None]


Contender = Forecaster | ForecastFiles


def members_of(contender: Contender, plan: Plan) -> int | None:
    """How many futures it is to make; None for one forecast.

    A forecaster whose one forecast is better than the mean of its members makes members only if the plan asks for them.
    """
    if isinstance(contender, ForecastFiles):
        return contender.members if contender.members > 1 else None
    if not isinstance(contender, EnsembleForecaster) or (contender.has_deterministic and not plan.members):
        return None
    return plan.members or contender.members


def batch_of(rain: xr.DataArray, contenders: Mapping[str, Contender], plan: Plan) -> int:
    """How many windows fit into memory at a time."""
    futures = sum(members_of(contender, plan) or 1 for contender in contenders.values())
    return max(1, int(4 * BATCH_PIXELS // (rain[0].size * plan.leads * (futures + 3))))


def forecasts_of(
    contenders: Mapping[str, Contender], cases: windows.Windows, *, rain: xr.DataArray, plan: Plan
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What was observed, (case, lead, y, x), and what each forecasts, (case, member, lead, y, x), in mm/h."""
    frames = windows.stack(cases)
    past, observed = frames[:, : plan.past], frames[:, plan.past :, 0].numpy()
    step = fields.time_step(rain.time.values)
    at = Context(grid_km=fields.grid_km(rain), time_step_minutes=float(step / np.timedelta64(1, "m")))
    leads = np.arange(1, plan.leads + 1) * step
    made = {}
    for name, contender in contenders.items():
        if isinstance(contender, ForecastFiles):
            issued = rain.time.values[cases.starts + plan.past - 1]
            made[name] = np.stack([contender.at(time, leads) for time in issued])
        elif isinstance(contender, EnsembleForecaster) and (members := members_of(contender, plan)):
            futures = contender.ensemble(past, plan.leads, members=members, seed=int(cases.starts[0]), context=at)
            made[name] = futures[:, :, :, 0].numpy()
        else:
            made[name] = contender.forecast(past, plan.leads, context=at)[:, None, :, 0].numpy()
    return observed, made
