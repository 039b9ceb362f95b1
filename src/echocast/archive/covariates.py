"""Files and archives of covariates become sources, on the grid of the frames: to train with, and to forecast with.

>>> opened(forecaster.covariates, {"height": ["dem.nc"]}, past).sources["height"]  # doctest: +SKIP
Fixed(values=...)
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from echocast import fields, plugins, stations
from echocast.archive.contents import open as open_archive
from echocast.context import Covariate, Kind
from echocast.errors import DataError, ExperimentError, GridMismatch, MissingFrames, ModelError, WrongUnits
from echocast.fields import Places
from echocast.io import location as locations
from echocast.io import model_runs, quantities, store
from echocast.io.location import Location
from echocast.samples.covariates import (
    Covariates,
    FieldFiles,
    Fixed,
    Given,
    Moments,
    Runs,
    Source,
    StationFiles,
    Stations,
    clocks,
)
from echocast.stations import files as station_files
from echocast.stations import sampling

log = logging.getLogger(__name__)

Files = Mapping[str, Sequence[Location]]
"""The files of each covariate by its name."""

_CLOCKS: tuple[Kind, ...] = ("hour", "season")
_FILES = ("fixed", "moments", "run", "stations")
_RAIN = ("rainfall_rate", "rainfall_amount")
_LOOKED_AT = 64
_MARGIN = np.timedelta64(24 * 3600 * 10**9, "ns")
"""What is known so long before the first frame and after the last still counts."""


def opened(wanted: Sequence[Covariate], files: Files, grid: xr.DataArray) -> Given:
    """The sources that a forecaster is given; those without files are unknown to it.

    Args:
        wanted: the forecaster's ``covariates``.
        files: by their names.
        grid: the frames, whose grid and times count.

    Raises:
        ModelError: it takes no covariate of a name.
        GridMismatch: a field covers no cell of the frames.
        WrongUnits: files hold another quantity.
        DataError: they cannot be read, or hold none of the times.
    """
    by_name = {one.name: one for one in wanted if one.kind in _FILES}
    for name in files:
        if name not in by_name:
            takes = f"it takes: {', '.join(by_name)}" if by_name else "it takes none that has files"
            raise ModelError(f"the forecaster takes no covariate {name!r}; {takes}")
    sources = {name: _source(by_name[name], paths, grid) for name, paths in files.items()}
    return Given(sources, tuple(wanted))


def to_train(table: Covariates, field: xr.DataArray, starts: np.ndarray, window: tuple[int, int]) -> Given:
    """The sources to train with, and their normalisation by the training windows.

    Args:
        table: the experiment's ``[data.covariates]``.
        field: the archive's field.
        starts: the first frames of the training windows.
        window: frames of a window, and how many of them are past.

    Raises:
        DataError: as `opened`.
        ExperimentError: a quantity that does not exist.
    """
    named = [
        Covariate(name=name, kind=name, quantity="angle", units="1", channels=2)
        for name in _CLOCKS
        if name in table.clocks
    ]
    asked = table.with_files
    named += [_described(name, one, str(field.name)) for name, one in asked.items()]
    sources = clocks(table.clocks, field)
    sources |= {one.name: _source(one, asked[one.name].paths, field) for one in named if one.kind in _FILES}
    length, past = window
    chosen = starts[np.linspace(0, len(starts) - 1, min(_LOOKED_AT, len(starts))).round().astype(int)]
    times = [field.time.values[start : start + length] for start in chosen]
    known = tuple(_normalised(one, sources[one.name], times, past) for one in named)
    return Given(sources, known)


def on_field(given: Given, table: Covariates, field: xr.DataArray) -> Given:
    """The same covariates, opened for the frames of another archive, such as that to validate with."""
    asked = table.with_files
    sources = clocks(table.clocks, field)
    for one in given.covariates:
        if one.kind in _FILES:
            sources[one.name] = _source(one, asked[one.name].paths, field)
    return replace(given, sources=sources)


def _described(name: str, files: FieldFiles | StationFiles, forecast: str) -> Covariate:
    if files.quantity not in fields.QUANTITIES:
        hint = plugins.hint(files.quantity, list(fields.QUANTITIES))
        raise ExperimentError(f"data.covariates: quantity = {files.quantity!r} of {name}: {hint}")
    return Covariate(
        name=name,
        kind=files.kind if isinstance(files, FieldFiles) else "stations",
        quantity=files.quantity,
        units=fields.QUANTITIES[files.quantity].units,
        logarithmic=files.quantity in _RAIN,
        departs=files.quantity == forecast and files.quantity not in _RAIN,
        reach_km=Covariate.reach_km if isinstance(files, FieldFiles) else files.reach_km,
        known_ahead_minutes=files.known_ahead_minutes,
        variable=files.variable if isinstance(files, FieldFiles) else None,
        file_units=files.units,
    )


def _normalised(one: Covariate, source: Source, windows: Sequence[np.ndarray], past: int) -> Covariate:
    """A covariate with the mean and standard deviation of its values in some windows."""
    if one.kind in _CLOCKS:
        return one
    import torch  # only training needs it

    several = windows[:1] if one.kind == "fixed" else windows
    values = np.concatenate([source(times, times[past - 1]).ravel() for times in several])
    seen = values[np.isfinite(values)]
    if not seen.size:
        raise MissingFrames(
            f"covariate {one.name!r} is known at none of the times of the training windows,"
            f" {fields.format_time(windows[0][0])} to {fields.format_time(windows[-1][-1])} UTC; give files of these"
            " times"
        )
    straight = one.scaled(torch.from_numpy(seen)).numpy()
    spread = float(straight.std())
    return replace(one, offset=float(straight.mean()), scale=spread if spread > 1e-6 * abs(straight.mean()) else 1.0)


def _source(one: Covariate, paths: Sequence[Location], grid: xr.DataArray) -> Source:
    """The source of one covariate; errors name it."""
    try:
        if one.kind == "stations":
            return _stations(one, paths, grid)
        if one.kind == "run":
            return _runs(one, paths, grid)
        field = _field(one, paths)
        _check_covers(one.name, field, grid)
        if one.kind == "fixed":
            return Fixed(fields.regridded(field[:1], grid).values[0])
        return Moments(fields.regridded(_of_times(one.name, field, grid), grid).load(), _ahead(one))
    except (DataError, ImportError) as bad:
        said = str(bad).replace("--variable", "`variable`").replace("--units", "`units`")
        bad.args = (said if repr(one.name) in said else f"covariate {one.name!r}: {said}",)
        raise


def _field(one: Covariate, paths: Sequence[Location]) -> xr.DataArray:
    """The field of files, or of one archive."""
    first = locations.normalise(paths[0])
    if len(paths) > 1 or not _is_archive(first):
        return quantities.read(paths, one.quantity, variable=one.variable, units=one.file_units)
    field = open_archive(first)
    if field.name != one.quantity:
        raise WrongUnits(f"{first}: holds {field.name}, not {one.quantity}; give another archive, or set the quantity")
    return field


def _is_archive(place: Location) -> bool:
    if isinstance(place, str):
        return place.endswith(".zarr")
    try:
        return store.there(place)
    except DataError:  # a folder of something else
        return False


def _check_covers(name: str, field: xr.DataArray, grid: xr.DataArray) -> None:
    """Raise `GridMismatch` for a field that covers no cell; the log tells of one that covers a part."""
    share = float(Places.of(field, grid).covered().mean())
    if not share:
        raise GridMismatch(
            f"covariate {name!r} covers no cell of the frames: it lies at {_box(field)}, they at {_box(grid)}; give"
            " files of their area"
        )
    if share < 1.0:
        log.warning(
            "covariate %s covers %.0f %% of the cells of the frames; elsewhere it is unknown", name, 100 * share
        )


def _box(field: xr.DataArray) -> str:
    found = np.array(list(fields.corners(field).values()))
    (west, south), (east, north) = found.min(axis=0), found.max(axis=0)
    return f"{west:.1f} to {east:.1f} E, {south:.1f} to {north:.1f} N"


def _of_times(name: str, field: xr.DataArray, grid: xr.DataArray) -> xr.DataArray:
    """The frames of a field that matter to those of the grid; raises `MissingFrames` if there is none."""
    times, wanted = field.time.values, grid.time.values
    near = (times >= wanted[0] - _MARGIN) & (times <= wanted[-1] + _MARGIN)
    if not near.any():
        raise MissingFrames(_other_times(name, times, wanted))
    return field[near]


def _other_times(name: str, times: np.ndarray, wanted: np.ndarray) -> str:
    first, last = fields.format_time(times[0]), fields.format_time(times[-1])
    return (
        f"covariate {name!r} is of {first} to {last} UTC, and the frames of {fields.format_time(wanted[0])} to"
        f" {fields.format_time(wanted[-1])} UTC; give files of their times"
    )


def _ahead(one: Covariate) -> np.timedelta64:
    return np.timedelta64(round(one.known_ahead_minutes * 60e9), "ns")


def _runs(one: Covariate, paths: Sequence[Location], grid: xr.DataArray) -> Runs:
    runs = model_runs.read(list(paths), variable=one.variable, units=one.file_units)
    for run in runs:
        if run.name != one.quantity:
            raise WrongUnits(f"the run holds {run.name}, not {one.quantity}; name another variable, or the quantity")
    _check_covers(one.name, runs[-1], grid)
    first, last = min(run.time.values[0] for run in runs), max(run.time.values[-1] for run in runs)
    if last < grid.time.values[0] or first > grid.time.values[-1] + _MARGIN:
        raise MissingFrames(_other_times(one.name, np.array([first, last]), grid.time.values))
    return Runs(runs, grid[:1])


def _stations(one: Covariate, paths: Sequence[Location], grid: xr.DataArray) -> Stations:
    series, flagged = stations.trusted(stations.joined([_series(path, one) for path in paths]))
    if series.name != one.quantity:
        raise WrongUnits(f"the stations measured {series.name}, not {one.quantity}; set the quantity, or give others")
    if flagged:
        log.warning("covariate %s: %d values that quality control flagged are left out", one.name, flagged)
    where = sampling.cells(grid, series)
    times, wanted = series.time.values, grid.time.values
    if times[-1] < wanted[0] - _MARGIN or times[0] > wanted[-1] + _MARGIN:
        raise MissingFrames(_other_times(one.name, times, wanted))
    values = np.ascontiguousarray(series.values[where.inside].T)
    return Stations(values, times, (where.rows, where.columns), (grid.sizes["y"], grid.sizes["x"]), _ahead(one))


def _series(path: Location, one: Covariate) -> xr.DataArray:
    """The stations of a file; of NetCDF, which may hold several quantities, the one that is wanted."""
    several = str(path).endswith(".nc")
    how = station_files.Options(variable=one.quantity, units=one.file_units) if several else station_files.Options()
    return stations.read(path if locations.is_url(path) else locations.normalise(path), how)
