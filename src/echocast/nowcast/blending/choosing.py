"""Which run of a weather model a nowcast is blended into, or why none.

A run that is too old, from the future, or that covers neither the leads nor the radar is named in the log with the
remedy, and the next older one is looked at; if none is left the nowcast goes on alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError, EchocastError, GridMismatch, MissingFrames, WrongUnits
from echocast.io import model_runs
from echocast.nowcast.blending import rain

log = logging.getLogger(__name__)

_HOUR = np.timedelta64(3600 * 10**9, "ns")
_LEAST_COVERED = 0.25
"""A run that covers less of what the radar observes is not used."""


@dataclass(frozen=True)
class Nwp:
    """Files of a weather model, and how a nowcast is blended into them.

    Args:
        inputs: files, folders and globs, GRIB or NetCDF.
        method: ``scales``, ``linear``, ``salient`` or ``steps``.
        between: the leads (minutes) between which the NWP takes over; the usual ones of the method if None.
        variable: the parameter or variable that is the rain; found by itself if None.
        units: its unit, where the files do not say it.
        max_age_hours: a run that began longer before the newest frame is too old.
        strict: a run that cannot be used is an error; else the nowcast goes on alone.
    """

    inputs: tuple[str, ...]
    method: str = "scales"
    between: tuple[float, float] | None = None
    variable: str | None = None
    units: str | None = None
    max_age_hours: float = 12.0
    strict: bool = False


def chosen(nwp: Nwp, past: xr.DataArray, minutes: float) -> tuple[xr.DataArray | None, str]:
    """The newest run that can be used, and nothing; or None, and why there is none.

    Args:
        nwp: the files.
        past: the radar's frames.
        minutes: how far the forecast reaches.

    Raises:
        DataError: `nwp.strict`, and no run can be used; the message tells why and what to do.
    """
    try:
        runs = model_runs.read(nwp.inputs, variable=nwp.variable, units=nwp.units, strict=nwp.strict)
    except EchocastError as bad:
        said = str(bad).replace("--variable", "--nwp-variable").replace("--units", "--nwp-units")
        if nwp.strict:
            bad.args = (said,)
            raise
        return None, said
    whys: list[str] = []
    for run in reversed(runs):
        try:
            _check(run, past, nwp.max_age_hours)
        except DataError as bad:
            if nwp.strict and run is runs[0]:
                raise
            whys.append(str(bad))
            continue
        for why in whys:
            log.warning("%s", why)
        _tell_what_lacks(run, past, minutes)
        return run, ""
    return None, "; ".join(whys)


def _check(run: xr.DataArray, past: xr.DataArray, max_age_hours: float) -> None:
    """Raise why a run cannot be used."""
    name, issued = model_runs.name(run), past.time.values[-1]
    began = run.forecast_reference_time.values[()]
    at = f"the newest frame is of {fields.format_time(issued)} UTC"
    if run.name != fields.NAME:
        raise WrongUnits(
            f"{name} holds {run.attrs.get('long_name', run.name)}, and rain is needed; give --nwp-variable"
        )
    if began > issued:
        raise MissingFrames(f"{name} is from the future: {at}; give an older run, or newer frames")
    age = float((issued - began) / _HOUR)
    if age > max_age_hours:
        raise MissingFrames(
            f"{name} is old: {at}, {age:.0f} h later, and --nwp-max-age is {max_age_hours:g} h; give a newer run"
        )
    if run.time.values[-1] <= issued:
        ends = fields.format_time(run.time.values[-1])
        raise MissingFrames(f"{name} ends at {ends} UTC, and {at}; give the files of its later steps")
    share = rain.covered(run, past)
    if share < _LEAST_COVERED:
        raise GridMismatch(
            f"the grid of {name} ({_place(run)}) covers {100 * share:.0f} % of what the radar observes"
            f" ({_place(past)}); give files of the radar's area"
        )


def _tell_what_lacks(run: xr.DataArray, past: xr.DataArray, minutes: float) -> None:
    """What a run that is used does not have: the forecast goes on without it."""
    name, issued = model_runs.name(run), past.time.values[-1]
    end = issued + np.timedelta64(round(minutes * 60e9), "ns")
    if run.time.values[-1] < end:
        log.warning(
            "%s ends at %s UTC: the forecast beyond is the nowcast alone; give the files of its later steps",
            name,
            fields.format_time(run.time.values[-1]),
        )
    missing = model_runs.missing_steps(run)
    missing = missing[(run.forecast_reference_time.values + missing >= issued - _HOUR)]
    if missing.size:
        hours = ", ".join(f"+{one / _HOUR:g} h" for one in missing[:6])
        log.warning(
            "%s lacks %s: holes of up to 3 h are bridged, in longer ones the nowcast goes on alone; give these files",
            name,
            hours + (", ..." if missing.size > 6 else ""),
        )
    share = rain.covered(run, past)
    if share < 1.0:
        log.warning(
            "the grid of %s covers %.0f %% of what the radar observes: elsewhere the forecast is the nowcast alone",
            name,
            100 * share,
        )


def _place(field: xr.DataArray) -> str:
    """The box of a field, in degrees."""
    found: Sequence[tuple[float, float]] = list(fields.corners(field).values())
    longitudes, latitudes = ([corner[n] for corner in found] for n in (0, 1))
    return f"{min(longitudes):.1f} to {max(longitudes):.1f} E, {min(latitudes):.1f} to {max(latitudes):.1f} N"
