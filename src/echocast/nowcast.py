"""Radar files in, a forecast out.

>>> made = nowcast(["radar/"], "lagrangian", minutes=90)  # doctest: +SKIP
>>> to_netcdf(made.forecast, Path("forecast.nc"))  # doctest: +SKIP
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.errors import MissingFrames, ModelError
from echocast.io import forecast_file, reading
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.models import base
from echocast.products import ensemble
from echocast.samples import segments, tensors

FRAMES = 10
"""Past frames that a nowcast uses unless told otherwise."""


@dataclass(frozen=True)
class Nowcast:
    """A forecast, the past it was made from, the files that held it, and why others were passed over."""

    forecast: xr.DataArray
    past: xr.DataArray
    files: tuple[Location, ...]
    passed_over: dict[Location, str] = field(default_factory=dict)

    def used(self) -> str:
        """In one line which frames were used."""
        times, step = self.past.time.values, fields.time_step(self.past.time.values) / np.timedelta64(1, "m")
        first, last = fields.format_time(times[0]), fields.format_time(times[-1])
        newest = locations.name(self.files[-1])
        return f"used {len(times)} frames from {first} to {last} UTC, every {step:g} min; the newest is {newest}"


def nowcast(
    inputs: Iterable[Location],
    model: str | Path = "lagrangian",
    *,
    minutes: float = 90,
    frames: int = FRAMES,
    members: int | None = None,
    format: str | None = None,  # noqa: A002 (the option's name)
    strict: bool = False,
    on_file: Callable[[Location], None] = lambda _: None,
) -> Nowcast:
    """The forecast from the newest frames of files, folders and globs.

    Args:
        inputs: radar files, of which only the newest are read: see `echocast.io.reading.newest`.
        model: a forecaster's name, or the path of a checkpoint.
        minutes: how far to forecast, rounded up to whole time steps.
        frames: how many of the newest frames to use; fewer if there are fewer.
        members: how many futures an ensemble forecaster makes; None for one forecast.
        format: the reader to use; by default each file is recognised by its content.
        strict: a file that would be passed over, because it cannot be read or lies on another grid, is an error.
        on_file: called before each file is read.

    Raises:
        UnreadableFile: no file can be read.
        GridMismatch: a third of the files, or more, on other grids.
        MissingFrames: too few frames, a gap among the newest, or a time step that the model does not know.
        WrongUnits: frames of another quantity than the model forecasts.
        ModelError: no such model, or weights that do not fit.
    """
    forecaster = base.resolve(model)
    passed_over: dict[Location, str] = {}
    newest, used = reading.newest(
        reading.find(inputs, strict=strict),
        frames,
        options=format,
        strict=strict,
        on_file=on_file,
        on_passed_over=passed_over.__setitem__,
    )
    past = segments.newest_segment(newest, frames)
    forecast = forecast_from(past, forecaster, minutes=minutes, members=members)
    forecast.attrs |= {
        "model": str(model),
        "input_files": " ".join(locations.name(place) for place in used[-len(past) :]),
    }
    return Nowcast(forecast, past, tuple(used[-len(past) :]), passed_over)


def forecast_from(
    past: xr.DataArray, forecaster: base.Forecaster, *, minutes: float = 90, members: int | None = None
) -> xr.DataArray:
    """The forecast (lead, y, x), or (member, lead, y, x), that follows a field's frames; raises like `nowcast`."""
    if minutes <= 0:
        raise ModelError(f"a forecast of {minutes:g} minutes is none; give a positive number")
    if past.sizes["time"] < 2:
        raise MissingFrames(f"one frame, of {past.time.values[-1]}, tells no motion; give the files before it too")
    step = float(fields.time_step(past.time.values) / np.timedelta64(1, "m"))
    forecaster.check_past(past.sizes["time"], step, str(past.name))
    steps = max(1, int(np.ceil(minutes / step - 1e-6)))
    tensor, context = tensors.to_tensor(past), tensors.context_of(past, steps=steps)
    if members is None:
        future = forecaster.forecast(tensor, steps, context=context)
    elif isinstance(forecaster, base.EnsembleForecaster):
        future = forecaster.ensemble(tensor, steps, members=members, context=context)
    else:
        known = ", ".join(n for n in base.names() if issubclass(base.forecaster_class(n), base.EnsembleForecaster))
        raise ModelError(f"{type(forecaster).__name__} has no members; of these there are: {known}")
    forecast = tensors.to_forecast(future, past)
    forecast.attrs |= {"model": type(forecaster).__name__, "echocast_version": __version__}
    return forecast


def to_netcdf(forecast: xr.DataArray, path: str | Path, *, command: str = "echocast.to_netcdf") -> None:
    """Write a forecast as CF-1.11 NetCDF-4; the file appears whole or not at all.

    An ensemble of rain rates is written with its products: the mean, quantiles, and the probability of rain rates and
    amounts (`echocast.products.ensemble.products`). Its rain rates are rounded to 10 significant bits: within 0.1 %.

    Args:
        forecast: a field with leads, (lead, y, x) or (member, lead, y, x).
        path: the file to write, or to replace.
        command: what the history says made it.

    Raises:
        DataError: it is no forecast, the disk is full or read-only, or there is no such folder.
    """
    is_rain_ensemble = "member" in forecast.dims and forecast.name == fields.NAME
    products = ensemble.products(forecast) if is_rain_ensemble else None
    forecast_file.to_netcdf(forecast, path, products=products, command=command)
