"""Radar files in, a forecast out.

>>> made = nowcast(["radar/"], "lagrangian", minutes=90)  # doctest: +SKIP
>>> to_netcdf(made.forecast, Path("forecast.nc"))  # doctest: +SKIP
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.context import Context
from echocast.errors import MissingFrames, ModelError
from echocast.fields import amounts
from echocast.io import forecast_file, forecast_formats, reading
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.models import base
from echocast.models._expected import ExpectedRain
from echocast.nowcast.past import Past, newest_past
from echocast.nowcast.past import Selection as Selection
from echocast.products import ensemble
from echocast.samples import segments, tensors
from echocast.samples.covariates import context_of

log = logging.getLogger(__name__)

Files = Mapping[str, Sequence[Location]]
"""The files of each covariate by its name."""
MAX_STEPS = 1000
"""Lead times of the longest forecast."""


@dataclass(frozen=True)
class Nowcast:
    """A forecast, the past it was made from, the files that held it, and why others were passed over."""

    forecast: xr.DataArray
    past: xr.DataArray
    files: tuple[Location, ...]
    passed_over: dict[Location, str] = field(default_factory=dict)
    missing: tuple[np.datetime64, ...] = ()
    """The times of frames that were missing among the newest."""

    def used(self) -> str:
        """In one line which frames were used."""
        step = fields.time_step(self.past.time.values) / np.timedelta64(1, "m")
        times = self.past.time.values[segments.observed(self.past)]
        first, last = fields.format_time(times[0]), fields.format_time(times[-1])
        newest = locations.name(self.files[-1])
        return f"used {len(times)} frames from {first} to {last} UTC, every {step:g} min; the newest is {newest}"


def nowcast(
    inputs: Iterable[Location],
    model: str | Path = "lagrangian",
    *,
    minutes: float = 90,
    members: int | None = None,
    select: Selection = Selection(),  # noqa: B008  # it is frozen
    options: reading.ReadOptions | str | None = None,
    covariates: Files | None = None,
    on_file: Callable[[Location], None] = lambda _: None,
) -> Nowcast:
    """The forecast from the newest frames of files, folders and globs.

    A missing frame among the newest is left blank where the model passes over such frames; else the past is shorter, or
    ends before the gap (`echocast.nowcast.gaps`). The log and `Nowcast.missing` tell it.

    Args:
        inputs: radar files, of which only the newest are read: see `echocast.io.reading.newest`.
        model: a forecaster's name, or the path of a checkpoint.
        minutes: how far to forecast, rounded up to whole time steps.
        members: how many futures an ensemble forecaster makes; None for one forecast.
        select: which frames to use, and how much of their grid.
        options: how to read the files (see `echocast.io.reading.ReadOptions`); a text is the reader's name.
        covariates: by name, the files of what the model is given beside the frames (see `forecast_from`).
        on_file: called before each file is read.

    Raises:
        UnreadableFile: no file can be read.
        GridMismatch: a third of the files, or more, on other grids.
        MissingFrames: too few frames, frames that are too old, or a time step that the model does not know.
        WrongUnits: frames of another quantity than the model forecasts.
        ModelError: no such model, or weights that do not fit.
    """
    began = time.monotonic()
    forecaster, found = begun(inputs, model, select, options, on_file)
    forecast = forecast_from(found.field, forecaster, minutes=minutes, members=members, covariates=covariates)
    log.info("%d lead times forecast, %.1f s since the start", forecast.sizes["lead"], time.monotonic() - began)
    forecast.attrs |= notes(model, found)
    return Nowcast(forecast, found.field, found.files, found.passed_over, found.missing)


def begun(
    inputs: Iterable[Location],
    model: str | Path,
    select: Selection,
    options: reading.ReadOptions | str | None,
    on_file: Callable[[Location], None] = lambda _: None,
) -> tuple[base.Forecaster, Past]:
    """The forecaster of a nowcast, and what it forecasts from; arguments and errors are those of `nowcast`."""
    began = time.monotonic()
    forecaster = base.resolve(model)
    log.info("model %s: loaded in %.1f s", model, time.monotonic() - began)
    found = newest_past(inputs, forecaster, select, options=options, on_file=on_file)
    log.info(
        "%d frames of %d x %d cells, %.1f s since the start",
        *found.field.shape[:1],
        *found.field.shape[-2:],
        time.monotonic() - began,
    )
    return forecaster, found


def notes(model: str | Path, found: Past) -> dict[str, str]:
    """What a forecast says of its model and frames, as attributes."""
    made = {"model": str(model), "input_files": " ".join(locations.name(place) for place in found.files)}
    if found.missing:
        made["missing_frames"] = " ".join(f"{str(one)[:16]}Z" for one in found.missing)
    return made


def origin(forecaster: base.Forecaster) -> dict[str, str]:
    """What every forecast says of where it came from."""
    return {"model": type(forecaster).__name__, "echocast_version": __version__}


def forecast_from(
    past: xr.DataArray,
    forecaster: base.Forecaster | str | Path,
    *,
    minutes: float = 90,
    members: int | None = None,
    seed: int = 0,
    covariates: Files | None = None,
) -> xr.DataArray:
    """The forecast (lead, y, x), or (member, lead, y, x), that follows a field's frames.

    Args:
        past: a field, oldest frame first (see `echocast.read`, `echocast.make_field`).
        forecaster: itself, its name, or the path of a checkpoint.
        minutes: how far to forecast, rounded up to whole time steps.
        members: how many futures an ensemble forecaster makes; None for one forecast.
        seed: what the differences of the members are drawn from.
        covariates: by name, the files or archives of what the forecaster is given beside the frames (its
            ``covariates``); without them it forecasts too, which the log tells.

    Returns:
        The forecast. A deterministic one of a network of rain carries the expected rain, for sums, as the coordinate
        ``rainfall_rate_mean``.

    Raises:
        DataError: `past` is no field.
        MissingFrames: too few frames, or a time step that the model does not know.
        WrongUnits: frames of another quantity than the model forecasts.
        ModelError: no such model, weights that do not fit, or no positive number of minutes.
    """
    fields.check(past)
    forecaster = forecaster if isinstance(forecaster, base.Forecaster) else base.resolve(forecaster)
    steps = steps_of(past, forecaster, minutes)
    tensor, context = tensors.to_tensor(past), told(past, forecaster, steps, covariates)
    if members is None:
        future = forecaster.forecast(tensor, steps, context=context)
    else:
        future = check_members(forecaster).ensemble(tensor, steps, members=members, seed=seed, context=context)
    forecast = tensors.to_forecast(future, past)
    forecast.attrs |= origin(forecaster)
    if members is None and wants_expected(forecaster, past):
        rule = ExpectedRain(tensor, steps, context)
        means = [rule.of(frame, lead).numpy()[:, 0] for lead, frame in enumerate(future[0].chunk(steps))]
        return amounts.with_expected(forecast, np.concatenate(means))
    return forecast


def told(past: xr.DataArray, forecaster: base.Forecaster, steps: int, covariates: Files | None = None) -> Context:
    """What a forecaster is told beside the frames: their cell size, time step and times, and its covariates.

    Args:
        past: the frames.
        forecaster: itself.
        steps: frames to forecast.
        covariates: by name, the files of those that need some.

    Raises:
        ModelError, DataError: as `echocast.archive.covariates.opened`.
    """
    if not covariates:
        return context_of(past, forecaster.covariates, steps=steps)
    from echocast.archive.covariates import opened  # imports the archive, which few nowcasts need

    return context_of(past, forecaster.covariates, steps=steps, given=opened(forecaster.covariates, covariates, past))


def check_members(forecaster: base.Forecaster) -> base.EnsembleForecaster:
    """The forecaster, as one that makes members; raises `ModelError` for one that does not."""
    if isinstance(forecaster, base.EnsembleForecaster):
        return forecaster
    known = ", ".join(n for n in base.names() if issubclass(base.forecaster_class(n), base.EnsembleForecaster))
    raise ModelError(f"{type(forecaster).__name__} has no members; of these there are: {known}")


def wants_expected(forecaster: base.Forecaster, past: xr.DataArray) -> bool:
    """Whether sums of a forecast need the expected rain beside it."""
    return forecaster.is_for_thresholds and past.name == fields.NAME and "channel" not in past.dims


def steps_of(past: xr.DataArray, forecaster: base.Forecaster, minutes: float) -> int:
    """How many steps are so many minutes, rounded up; raises as `forecast_from` if a forecaster cannot make them."""
    if not 0 < minutes < np.inf:
        raise ModelError(f"a forecast of {minutes:g} minutes is none; give a positive number")
    _refuse_blank(past, forecaster)
    if past.sizes["time"] < 2:
        raise MissingFrames(f"one frame, of {past.time.values[-1]}, tells no motion; give the files before it too")
    step = float(fields.time_step(past.time.values) / np.timedelta64(1, "m"))
    forecaster.check_past(past.sizes["time"], step, str(past.name), past.sizes.get("channel", 1))
    if minutes > MAX_STEPS * step:
        raise ModelError(
            f"{minutes:g} minutes are more than {MAX_STEPS} steps of {step:g} min, the most; give fewer with --minutes"
        )
    return max(1, int(np.ceil(minutes / step - 1e-6)))


def _refuse_blank(past: xr.DataArray, forecaster: base.Forecaster) -> None:
    """A frame without any observed cell is a missing frame, and the newest must be there."""
    blank = ~np.isfinite(past.values).any(axis=tuple(range(1, past.ndim)))
    times = [fields.format_time(time) for time in past.time.values[blank]]
    if blank[-1]:
        raise MissingFrames(f"no cell of the newest frame, of {times[-1]} UTC, is observed; leave that frame out")
    if times and not forecaster.takes_blank_frames:
        after = len(blank) - 1 - int(np.flatnonzero(blank)[-1])
        or_frames = f", or --frames {after}" if after > 1 else ""
        raise MissingFrames(
            f"no cell is observed at {', '.join(times)} UTC, which {type(forecaster).__name__} would take for dry;"
            f" use --model lagrangian or optical_flow, which pass over such frames{or_frames}"
        )


def to_netcdf(forecast: xr.DataArray, path: str | Path, *, command: str = "echocast.to_netcdf") -> None:
    """Write a forecast, or observed frames, as CF-1.11 NetCDF-4; the file appears whole or not at all.

    An ensemble of rain rates is written with its products: the mean, quantiles, and the probability of rain rates and
    amounts (`echocast.products.ensemble.products`). Its rain rates are rounded to 10 significant bits: within 0.1 %.

    Args:
        forecast: a field with leads, (lead, y, x) or (member, lead, y, x), or with times.
        path: the file to write, or to replace.
        command: what the history of a forecast says made it.

    Raises:
        DataError: it is no field, the disk is full or read-only, or there is no such folder.
    """
    if "lead" not in fields.check(forecast).dims:
        forecast_file.series_to_netcdf(forecast, path)
        return
    forecast_file.to_netcdf(forecast, path, products=products_of(forecast), command=command)


def to_file(forecast: xr.DataArray, path: str | Path, *, command: str = "echocast.to_file") -> None:
    """Write a forecast as the suffix of its path says: ``.nc`` CF-NetCDF, ``.zarr`` Zarr, ``.tif`` GeoTIFF.

    NetCDF and Zarr hold the products of an ensemble of rain rates too (see `to_netcdf`), a GeoTIFF only the mean of its
    members.

    Args:
        forecast: a field with leads, (lead, y, x) or (member, lead, y, x).
        path: what to write, or to replace.
        command: what the history says made it.

    Raises:
        DataError: another suffix, it is no forecast, or it cannot be written.
        MissingDependency: GeoTIFF without rasterio.
    """
    if forecast_formats.WRITERS.get(Path(path).suffix.lower()) == "geotiff" and "member" in forecast.dims:
        log.warning("%s: holds the mean of %d members; NetCDF and Zarr hold all", path, forecast.sizes["member"])
        forecast = ensemble.mean(forecast)
    forecast_formats.to_file(forecast, path, products=products_of(forecast), command=command)


def products_of(forecast: xr.DataArray, thresholds: ensemble.Thresholds = ensemble.USUAL) -> xr.Dataset | None:
    """What is written beside a forecast of rain rates: products of members, or the expected rain; else None."""
    if "member" not in forecast.dims or forecast.name != fields.NAME:
        return amounts.products(forecast)
    return ensemble.products(forecast, rates=thresholds.rates, amounts=thresholds.amounts, spans=thresholds.spans)
