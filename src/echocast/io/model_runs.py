"""Files of weather models become runs: each a forecast (lead, y, x) with the time when the run began.

A run may lie in one file, or in a file for each step; a file may hold several runs.

>>> for run in read(["nwp/"]):  # doctest: +SKIP
...     print(run.forecast_reference_time.values, run.lead.values[-1])
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, EchocastError, UnreadableFile
from echocast.fields import sums
from echocast.io import damage, listing, reading
from echocast.io import location as locations
from echocast.io.location import Location

log = logging.getLogger(__name__)
T = TypeVar("T")

_READERS = "echocast.readers"


@dataclass
class Kept:
    """Runs that stay in memory for a service, which asks for the same files again and again.

    A file is read again only where its size, checksum or time of change differs; at a URL, where its server tells none
    of the last two, always. Of runs that began before `since` only a corner is kept, which is enough to tell that they
    are old.
    """

    since: np.datetime64 | None = None
    files: dict[tuple[Any, ...], list[xr.DataArray]] = field(default_factory=dict)

    def of(
        self, places: Sequence[Location], read: Callable[[Location], list[xr.DataArray]], how: tuple[Any, ...]
    ) -> Callable[[Location], list[xr.DataArray]]:
        """The same reading, which remembers; what is not of these places is forgotten.

        Args:
            places: the files that there are now.
            read: gives the runs of one.
            how: what else the runs depend on.
        """
        told = {place: _mark(place) for place in places}
        marks: dict[Location, tuple[Any, ...]] = {place: (*one, *how) for place, one in told.items() if one}
        now = set(marks.values())
        self.files = {m: [self._cut(run) for run in runs] for m, runs in self.files.items() if m in now}

        def remembered(place: Location) -> list[xr.DataArray]:
            mark = marks.get(place)
            if mark is None:
                return read(place)
            if mark not in self.files:
                self.files[mark] = [self._cut(run) for run in read(place)]
            return self.files[mark]

        return remembered

    def _cut(self, run: xr.DataArray) -> xr.DataArray:
        is_old = self.since is not None and run.forecast_reference_time.values < self.since
        return run[..., :1, :1].copy() if is_old else run


def read(
    inputs: Location | Iterable[Location],
    *,
    variable: str | None = None,
    units: str | None = None,
    strict: bool = True,
    kept: Kept | None = None,
) -> list[xr.DataArray]:
    """The runs that files, folders and globs hold, the oldest first.

    Args:
        inputs: files of a model, GRIB or NetCDF.
        variable: the parameter or variable to take; rain if None.
        units: the unit of one whose unit the file does not say.
        strict: a file or run that cannot be read is an error; else it is passed over, which the log tells, while
            another can.
        kept: what was read before.

    Raises:
        UnreadableFile: a file is damaged, of a format without runs, or does not say when its run began.
        WrongUnits: a unit that is not known.
        GridMismatch: the steps of a run lie on different grids.
        DataError: two files hold the same step of a run.
    """
    places = listing.find([inputs] if isinstance(inputs, str | Path) else list(inputs))

    def of_file(place: Location) -> list[xr.DataArray]:
        return _runs_of(place, variable, units)

    runs_of = of_file if kept is None else kept.of(places, of_file, (variable, units))
    found: dict[np.datetime64, list[tuple[Location, xr.DataArray]]] = {}
    bad: list[EchocastError] = []
    with_place = ((place, run) for place in places for run in _tried(partial(runs_of, place), strict, bad) or ())
    for place, run in with_place:
        found.setdefault(run.forecast_reference_time.values[()], []).append((place, run))
    joined = [_tried(partial(_joined, found[began]), strict, bad) for began in sorted(found)]
    runs = [run for run in joined if run is not None]
    if not runs:
        raise bad[0] if bad else UnreadableFile(f"{places[0]}: holds no run of a weather model; give other files")
    for one in bad:
        log.warning("passed over: %s", one)
    return runs


def _tried(work: Callable[[], T], strict: bool, bad: list[EchocastError]) -> T | None:
    """What some work gives; None where it fails, unless that is an error."""
    try:
        return work()
    except EchocastError as failed:
        if strict:
            raise
        bad.append(failed)
        return None


def _mark(place: Location) -> tuple[Any, ...] | None:
    """What tells that a file is another one; None if nothing does, or its server cannot be asked."""
    if isinstance(place, str):
        try:
            at_url = locations.mark(place)
        except UnreadableFile:  # reading it tells what is wrong
            return None
        return None if at_url is None else (place, at_url)
    about = place.stat()
    return str(place), about.st_size, about.st_mtime_ns


def name(run: xr.DataArray) -> str:
    """What messages call a run: by its time."""
    return f"the run of {fields.format_time(run.forecast_reference_time.values)} UTC"


def missing_steps(run: xr.DataArray, start: np.datetime64, end: np.datetime64) -> np.ndarray:
    """The leads (timedelta64) that are missing between its first and its last, at its most common step.

    Args:
        run: a run.
        start: only leads that are valid from then on are told.
        end: until then.
    """
    leads = run.lead.values
    if leads.size < 3:
        return np.empty(0, "timedelta64[ns]")
    steps, counts = np.unique(np.diff(leads), return_counts=True)
    step = steps[counts.argmax()]
    whole = np.arange(leads[0], leads[-1] + step, step)
    valid = run.forecast_reference_time.values + whole
    return np.asarray(whole[~np.isin(whole, leads) & (valid >= start) & (valid <= end)])


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
        return fields.check(_since_the_step_before(first))
    whole = xr.concat([run for _, run in parts], dim="lead", coords="minimal", compat="override", join="override")
    whole = whole.sortby("lead").transpose(*first.dims)
    twice = np.flatnonzero(np.diff(whole.lead.values) <= np.timedelta64(0))
    if twice.size:
        hours = whole.lead.values[twice[0]] / np.timedelta64(1, "h")
        places = ", ".join(str(place) for place, _ in parts[:4])
        raise DataError(f"{name(first)}: step +{hours:g} h is there twice, in {places}; give each file once")
    return fields.check(_since_the_step_before(whole))


def _since_the_step_before(run: xr.DataArray) -> xr.DataArray:
    """Rain of sums or means that begin together: the mean rates become those since the step before.

    Raises:
        UnreadableFile: a sum falls, or the intervals overlap in another way.
    """
    starts, ends = run.lead_start.values, run.lead.values
    if run.name != fields.NAME or not (starts[1:] < ends[:-1]).any():
        return run
    began, axis, hour = run.forecast_reference_time.values, run.dims.index("lead"), np.timedelta64(1, "h")
    rates = np.moveaxis(run.values, axis, 0)
    along = (-1, *(1,) * (rates.ndim - 1))
    new, begins = sums.deaccumulated(
        rates * ((ends - starts) / hour).reshape(along), began + starts, began + ends, "mm"
    )
    if (begins[1:] < began + ends[:-1]).any():
        raise UnreadableFile(f"{name(run)}: the intervals of its rain overlap; give steps of one kind")
    hours = ((began + ends - begins) / hour).reshape(along)
    rates = np.where(hours > 0, new / np.where(hours > 0, hours, 1.0), rates)
    made = run.copy(data=np.moveaxis(rates, 0, axis).astype(np.float32))
    return made.assign_coords(lead_start=("lead", begins - began, run.lead_start.attrs))
