"""The run of a model in CF data: a variable on lead, y and x, with members or without, and when the run began.

The lead is a dimension of forecast periods, or of valid times. When the run began is told by a variable of the standard
name ``forecast_reference_time``, or by a usual name for it. Rain is a rate, or an amount: in the intervals that the
bounds of its times tell, else a running sum since the run began if it hardly ever falls, else in the time since the
step before; what is assumed is logged. So come in files of cfgrib, of THREDDS servers, and echocast's own forecasts.

Source: CF conventions 1.11, sections 4.4, 7.1 and 7.3.
"""

import logging
from dataclasses import dataclass

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.fields import sums
from echocast.fields.conversions import converted
from echocast.fields.measures import second_s
from echocast.readers import _cf_choice, _cf_numbers, _cf_place, _cf_time, _runs
from echocast.readers._cf_choice import kind, text

_MEMBERS = ("member", "number", "realization", "ensemble", "ensemble_member", "ens")
_SECOND = np.timedelta64(1, "s")
_LOST_SHARE = 0.01
"""A running sum, which packing and interpolation let lose a little, loses at most so much of its highest."""
_STANDARD = {q.standard_name: q.name for q in fields.QUANTITIES.values() if q.standard_name} | {
    "air_pressure_at_sea_level": "air_pressure", "land_binary_mask": "land_area_fraction",
}  # fmt: skip


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Axes:
    """The names of a variable's dims: lead, y, x, and member if it has one."""

    lead: str | None
    y: str
    x: str
    member: str | None


def runs(data: xr.Dataset, source: str, variable: str | None, units: str | None) -> list[xr.DataArray]:
    """The one run of a dataset.

    Raises:
        UnreadableFile: it does not say when the run began, or has more dims than member, lead, y and x.
        WrongUnits: its unit is not known, or not one of its quantity.
    """
    name = _cf_choice.variable(data, variable, units)
    whole = data.variables[name]
    began = _began(data)
    axes = _axes(data, whole, name)
    order = [d for d in (axes.member, axes.lead, axes.y, axes.x) if d]
    numbers = whole.isel({d: 0 for d in whole.dims if d not in order}).transpose(*order)
    ends = _ends(data, axes.lead, began)
    unit = text(numbers.attrs, "units") or units or ""
    quantity = _quantity(numbers, unit, name)
    y, x, crs = _cf_place.grid(data, numbers, axes.y, axes.x)
    how = _cf_numbers.packing(numbers)
    values = how.values(_cf_numbers.as_meant(np.asarray(numbers.values), how.kind), 0.0)
    values = values.reshape(-1, len(ends), y.size, x.size)
    by_time = np.argsort(ends, kind="stable")
    edges = _edges(data, axes.lead, ends, began)
    if edges is None and kind(unit) == "amount" and quantity == fields.NAME:
        edges = _assumed(values, ends, began)
    members = [_steps(one, ends, edges, by_time, (unit, quantity)) for one in values]
    counted = [int(n) for n in np.arange(1, len(members) + 1)] if axes.member else []
    attrs = {"source": text(data.attrs, "source") or text(data.attrs, "title") or source}
    return [_runs.run(members, began=began, grid=(y, x, crs), quantity=quantity, attrs=attrs, numbers=counted)]


def _began(data: xr.Dataset) -> np.datetime64:
    found = [
        str(name)
        for name, v in data.variables.items()
        if text(v.attrs, "standard_name") == "forecast_reference_time" or str(name).lower() in _cf_time._ISSUED
    ]
    if not found:
        raise UnreadableFile(
            "does not say when the run began; add a variable of the standard name forecast_reference_time"
        )
    times = np.unique(_cf_time.moments(data.variables[found[0]], found[0]))
    if times.size > 1:
        raise UnreadableFile(f"holds {times.size} runs, from {times[0]} to {times[-1]}; give a file for each")
    return np.datetime64(times[0], "ns")


def _axes(data: xr.Dataset, whole: xr.Variable, name: str) -> _Axes:
    dims = [str(d) for d in whole.dims]
    member = next((d for d in dims if d.lower() in _MEMBERS or _says(data, d, "realization")), None)
    lead = next((d for d in dims if d.lower() in _cf_time._LEADS or _says(data, d, "forecast_period")), None)
    if lead is None:
        time = _cf_time.name_of_time(data, whole)
        along = str(data.variables[time].dims[0]) if time in data.variables and data.variables[time].ndim else None
        lead = along if along in dims else None
    rest = whole.isel({d: 0 for d in (member, lead) if d})
    y, x = _cf_place.axes(data, rest, name, None)
    long = {d: n for d, n in rest.sizes.items() if d not in (y, x) and n != 1}
    if long:
        raise UnreadableFile(f"{name!r} has {long} beside lead, y and x; select one level first, and write that")
    return _Axes(lead, y, x, member)


def _says(data: xr.Dataset, dim: str, standard: str) -> bool:
    return dim in data.variables and text(data.variables[dim].attrs, "standard_name") == standard


def _ends(data: xr.Dataset, lead: str | None, began: np.datetime64) -> np.ndarray:
    """The valid time of each lead."""
    if lead is None:
        return np.array([began], "datetime64[ns]")
    along = {str(n): v for n, v in data.variables.items() if v.dims == (lead,)}
    times = [n for n, v in along.items() if " since " in text(v.attrs, "units") or v.dtype.kind == "M"]
    if times:
        return _cf_time.moments(along[times[0]], times[0])
    periods = [n for n, v in along.items() if n == lead or text(v.attrs, "standard_name") == "forecast_period"]
    if not periods:
        raise UnreadableFile(f"the dimension {lead!r} has neither times nor forecast periods; add one of them")
    return began + _durations(along[periods[0]], periods[0])


def _durations(variable: xr.Variable, name: str) -> np.ndarray:
    unit = text(variable.attrs, "units")
    if variable.dtype.kind == "m":
        return np.asarray(variable.values, "timedelta64[ns]")
    if not unit:
        raise WrongUnits(f"{name!r} has no unit; add one, such as hours")
    return np.round(np.asarray(variable.values, np.float64) * second_s(unit) * 1e9).astype("timedelta64[ns]")


def _edges(data: xr.Dataset, lead: str | None, ends: np.ndarray, began: np.datetime64) -> np.ndarray | None:
    """The starts of the intervals by the bounds of the times or periods; None if there are none."""
    for v in data.variables.values():
        bounds = text(v.attrs, "bounds")
        if v.dims != (lead,) or bounds not in data.variables or data.variables[bounds].size != 2 * ends.size:
            continue
        edge = data.variables[bounds]
        if " since " in text(v.attrs, "units"):
            return np.asarray(_cf_time.moments(edge, bounds, v.attrs).reshape(-1, 2)[:, 0])
        about = xr.Variable(edge.dims, edge.values, {"units": text(edge.attrs, "units") or text(v.attrs, "units")})
        return np.asarray(began + _durations(about, bounds).reshape(-1, 2)[:, 0])
    return None


def _steps(
    values: np.ndarray, ends: np.ndarray, edges: np.ndarray | None, order: np.ndarray,
    about: tuple[str, str],
) -> list[_runs.Step]:  # fmt: skip
    """The steps of a member in the order of time."""
    unit, quantity = about
    values, ends = values[order], ends[order]
    starts = ends if edges is None else edges[order]
    if kind(unit) == "amount" and quantity == fields.NAME:
        keep = ends > starts  # the amount of no time at the start of the run
        values, starts, ends = values[keep], starts[keep], ends[keep]
        values, starts = sums.deaccumulated(values, starts, ends, unit)
        seconds = (ends - starts) / _SECOND
        rates = [fields.to_rain_rate(v, unit, interval_s=float(s)) for v, s in zip(values, seconds, strict=True)]
    elif quantity == fields.NAME:
        rates = [fields.to_rain_rate(v, unit) for v in values]
    else:
        rates = [converted(v, unit, quantity).astype(np.float32) for v in values]
    return [_runs.Step(start, end, rate) for start, end, rate in zip(starts, ends, rates, strict=True)]


def _assumed(values: np.ndarray, ends: np.ndarray, began: np.datetime64) -> np.ndarray:
    """The starts of intervals that no bounds tell, of amounts (member, time, y, x); the log tells what is assumed."""
    order = np.argsort(ends, kind="stable")
    amounts, before = values[:, order], np.concatenate([[began], ends[order][:-1]])
    lost = -float(np.nanmin(np.diff(amounts, axis=1), initial=0.0))
    is_sum = lost <= _LOST_SHARE * float(np.nanmax(amounts, initial=0.0))
    starts = np.empty(ends.shape, "datetime64[ns]")
    starts[order] = began if is_sum else before
    meant = "running sums since the run began" if is_sum else "amounts of the time since the step before"
    log.warning("no bounds tell the intervals of its amounts, which are taken for %s", meant)
    return starts


def _quantity(numbers: xr.Variable, unit: str, name: str) -> str:
    standard = text(numbers.attrs, "standard_name")
    found = _STANDARD.get(standard)
    if found is None or found in (fields.NAME, "rainfall_amount", "reflectivity"):
        if kind(unit) is None:
            raise WrongUnits(
                f"{name!r} is in {unit or 'no unit'!r}; give its unit, or write the standard name of what it is"
            )
        return fields.NAME
    converted(np.empty(0), unit, found, name=repr(name))  # raises for a unit that is none of the quantity
    return found
