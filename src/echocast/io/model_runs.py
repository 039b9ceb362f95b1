"""Files of weather models become runs: each a forecast (lead, y, x) with the time when the run began.

A run may lie in one file, or in a file for each step; a file may hold several runs.

>>> for run in read(["nwp/"]):  # doctest: +SKIP
...     print(run.forecast_reference_time.values, run.lead.values[-1])
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, EchocastError, UnreadableFile
from echocast.io import damage, listing, reading
from echocast.io import location as locations
from echocast.io.location import Location

log = logging.getLogger(__name__)

_READERS = "echocast.readers"


def read(
    inputs: Location | Iterable[Location],
    *,
    variable: str | None = None,
    units: str | None = None,
    strict: bool = True,
) -> list[xr.DataArray]:
    """The runs that files, folders and globs hold, the oldest first.

    Args:
        inputs: files of a model, GRIB or NetCDF.
        variable: the parameter or variable to take; rain if None.
        units: the unit of one whose unit the file does not say.
        strict: a file that cannot be read is an error; else it is passed over, which the log tells, while another can.

    Raises:
        UnreadableFile: a file is damaged, of a format without runs, or does not say when its run began.
        WrongUnits: a unit that is not known.
        GridMismatch: the steps of a run lie on different grids.
        DataError: two files hold the same step of a run.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    found: dict[np.datetime64, list[tuple[Location, xr.DataArray]]] = {}
    places = listing.find(given)
    bad: list[EchocastError] = []
    for place in places:
        try:
            runs = _runs_of(place, variable, units)
        except EchocastError as unreadable:
            bad.append(unreadable)
            if strict or len(bad) == len(places):
                raise
            continue
        for run in runs:
            found.setdefault(run.forecast_reference_time.values[()], []).append((place, run))
    for one in bad:
        log.warning("passed over: %s", one)
    return [_joined(found[began]) for began in sorted(found)]


def name(run: xr.DataArray) -> str:
    """What messages call a run: by its time."""
    return f"the run of {fields.format_time(run.forecast_reference_time.values)} UTC"


def missing_steps(run: xr.DataArray) -> np.ndarray:
    """The leads (timedelta64) that are missing between the first and the last, at the most common step between two."""
    leads = run.lead.values
    if leads.size < 3:
        return np.empty(0, "timedelta64[ns]")
    steps, counts = np.unique(np.diff(leads), return_counts=True)
    step = steps[counts.argmax()]
    whole = np.arange(leads[0], leads[-1] + step, step)
    return np.asarray(whole[~np.isin(whole, leads)])


def _runs_of(place: Location, variable: str | None, units: str | None) -> list[xr.DataArray]:
    with locations.local_copy(place) as path, damage.renamed(path, place):
        reader = reading.recognise(path)
        module = plugins.load(_READERS, reader, error=DataError)
        if not hasattr(module, "runs"):
            able = ", ".join(n for n in reading.formats() if hasattr(plugins.load(_READERS, n), "runs"))
            raise UnreadableFile(f"{place}: is {reader}, which holds no run of a weather model; give {able}")
        log.info("%s: read as runs of %s", place, reader)
        with damage.named_errors(path, reader, partial(str, "is it whole? fetch it again")):
            runs: list[xr.DataArray] = module.runs(path, variable=variable, units=units)
            return [_limited(run, place) for run in runs]


def _limited(run: xr.DataArray, place: Location) -> xr.DataArray:
    if run.name != fields.NAME:
        return run
    limited, wrong = fields.limited(run)
    if wrong:
        log.warning("%s: %d cells outside 0 to %g mm/h clipped", place, wrong, fields.MAX_RATE)
    return limited


def _joined(parts: Sequence[tuple[Location, xr.DataArray]]) -> xr.DataArray:
    """The steps of a run in the order of time, whichever file holds them."""
    (first_place, first), *others = parts
    for place, other in others:
        fields.check_same_grid(first, other, str(place))
        if other.dims != first.dims or other.sizes.get("member") != first.sizes.get("member"):
            raise DataError(f"{place}: has other members than {first_place}; give runs with the same members")
        if other.name != first.name:
            raise DataError(f"{place}: holds {other.name}, {first_place} {first.name}; name one with the variable")
    if not others:
        return first
    whole = xr.concat([run for _, run in parts], dim="lead", coords="minimal", compat="override", join="override")
    whole = whole.sortby("lead").transpose(*first.dims)
    twice = np.flatnonzero(np.diff(whole.lead.values) <= np.timedelta64(0))
    if twice.size:
        hours = whole.lead.values[twice[0]] / np.timedelta64(1, "h")
        places = ", ".join(str(place) for place, _ in parts[:4])
        raise DataError(f"{name(first)}: step +{hours:g} h is there twice, in {places}; give each file once")
    return fields.check(_without_overlap(whole))


def _without_overlap(run: xr.DataArray) -> xr.DataArray:
    """Rain of files that each sum up from the start of the run: the mean rates become those since the step before."""
    starts, ends = run.lead_start.values, run.lead.values
    if run.name != fields.NAME or not (starts[1:] < ends[:-1]).any():
        return run
    if not (starts == starts[0]).all():
        raise UnreadableFile(f"{name(run)}: the intervals of its rain overlap; give steps of one kind")
    amounts = run * ((ends - starts) / np.timedelta64(1, "h"))[:, None, None]
    hours = np.diff(ends, prepend=starts[0]) / np.timedelta64(1, "h")
    gained = amounts.diff("lead", label="upper") if len(ends) > 1 else amounts
    values = np.concatenate([amounts.isel(lead=slice(1)).values, gained.values], axis=run.dims.index("lead"))
    rates = np.maximum(values / hours[:, None, None], 0.0).astype(np.float32)
    return run.copy(data=rates).assign_coords(lead_start=("lead", np.concatenate([starts[:1], ends[:-1]])))
