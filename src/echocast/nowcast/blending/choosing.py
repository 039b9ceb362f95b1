"""Which run of a weather model a nowcast is blended into, or why none.

The newest run counts that reaches the end of the forecast. One that is too old, from the future, or covers neither the
leads nor the radar is not used, and the log names it with the remedy; if none is left the nowcast goes on alone.
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
_CATCH_UP = 24 * _HOUR
"""A service also forecasts from frames that are so much older than the newest."""
_MOST_WHYS = 3
_LEAST_COVERED = 0.25
"""A run that covers less of what the radar observes is not used."""


@dataclass(frozen=True)
class Nwp:
    """Files of a weather model, and how a nowcast is blended into them.

    Args:
        inputs: files, folders and globs, GRIB or NetCDF.
        method: ``scales``, ``linear``, ``salient`` or ``steps``.
        between: the leads (minutes) between which the NWP takes over however good it is; if None 120 and 240, and of
            ``scales`` none.
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


def chosen(
    nwp: Nwp, past: xr.DataArray, minutes: float, kept: model_runs.Kept | None = None
) -> tuple[xr.DataArray | None, str]:
    """The run to use, and nothing; or None, and why there is none.

    It is the newest that reaches the end of the forecast; if none does, the newest that can be used at all.

    Args:
        nwp: the files.
        past: the radar's frames.
        minutes: how far the forecast reaches.
        kept: what was read before.

    Raises:
        DataError: `nwp.strict`, and no run can be used; the message tells why and what to do.
    """
    issued = past.time.values[-1]
    if kept is not None:
        kept.since = issued - np.timedelta64(round(nwp.max_age_hours * 3600e9), "ns") - _CATCH_UP
    try:
        runs = model_runs.read(nwp.inputs, variable=nwp.variable, units=nwp.units, strict=nwp.strict, kept=kept)
    except EchocastError as bad:
        said = str(bad).replace("--variable", "--nwp-variable").replace("--units", "--nwp-units")
        if nwp.strict:
            bad.args = (said,)
            raise
        return None, said
    refused: list[tuple[xr.DataArray, DataError]] = []
    usable = [run for run in reversed(runs) if _is_usable(run, past, nwp.max_age_hours, refused)]
    if not usable and nwp.strict:
        raise refused[0][1]
    if not usable:
        more = f"; and {len(refused) - _MOST_WHYS} older runs" if len(refused) > _MOST_WHYS else ""
        return None, "; ".join(str(why) for _, why in refused[:_MOST_WHYS]) + more
    run = next((one for one in usable if one.time.values[-1] >= _end(past, minutes)), usable[0])
    _tell_choice(run, usable[0], refused, past)
    _tell_what_lacks(run, past, minutes)
    return run, ""


def _is_usable(
    run: xr.DataArray, past: xr.DataArray, max_age_hours: float, refused: list[tuple[xr.DataArray, DataError]]
) -> bool:
    try:
        _check(run, past, max_age_hours)
    except DataError as why:
        refused.append((run, why))
        return False
    return True


def _end(past: xr.DataArray, minutes: float) -> np.datetime64:
    return np.datetime64(past.time.values[-1] + np.timedelta64(round(minutes * 60e9), "ns"), "ns")


def _tell_choice(
    run: xr.DataArray, newest: xr.DataArray, refused: Sequence[tuple[xr.DataArray, DataError]], past: xr.DataArray
) -> None:
    """Log why newer runs are not used; those that begin after the newest frame only where details are logged."""
    began, issued = run.forecast_reference_time.values, past.time.values[-1]
    for other, why in refused:
        if other.forecast_reference_time.values > began:
            level = logging.INFO if other.forecast_reference_time.values > issued else logging.WARNING
            log.log(level, "not used: %s", why)
    if run is not newest:
        log.warning(
            "%s ends at %s UTC, before the forecast does: %s is used, which is the newest that reaches its end",
            model_runs.name(newest),
            fields.format_time(newest.time.values[-1]),
            model_runs.name(run),
        )


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
    end = _end(past, minutes)
    if run.time.values[-1] < end:
        log.warning(
            "%s ends at %s UTC: the forecast beyond is the nowcast alone; give the files of its later steps",
            name,
            fields.format_time(run.time.values[-1]),
        )
    missing = model_runs.missing_steps(run, issued - _HOUR, end)
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
