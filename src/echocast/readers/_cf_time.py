"""Times of CF data on a clock, whether they are those of a forecast, and the intervals that amounts fell in.

Source: CF conventions 1.11, sections 4.4, 7.1 and 7.3.
"""

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.fields.measures import duration_s, second_s
from echocast.readers._cf_choice import text

_SINCE = re.compile(
    r"\s*([a-z]+)\s+since\s+\d+-\d+-\d+(?:[T\s]+\d+(?::\d+(?::\d+(?:\.\d*)?)?)?)?\s*(?:Z|UTC|GMT|[+-]\d\d?:?(?:\d\d)?)?\s*",
    re.IGNORECASE,
)
_NAMES = ("time", "valid_time", "times", "t")
_LEADS = {
    "lead",
    "leads",
    "lead_time",
    "leadtime",
    "forecast_period",
    "forecast_lead_time",
    "step",
    "prediction_timedelta",
}
_ISSUED = {"forecast_reference_time", "reference_time", "reftime", "analysis_time", "init_time", "initialization_time"}
_SECOND, _MINUTE = np.timedelta64(10**9, "ns"), np.timedelta64(60 * 10**9, "ns")
_TREMBLE = np.timedelta64(10**7, "ns")
_SUMS = re.compile(
    r"accumulated since|since (the )?(start|beginning|model)|cumulative|running (sum|total)|from the start"
)
_MOST_LOOKED_AT = 6


def name_of_time(data: xr.Dataset, variable: xr.Variable) -> str | None:
    """The name of a variable's time: along one of its dims, else a scalar that CF calls time; None if there is none."""
    for d in map(str, variable.dims):
        along = [str(n) for n, v in data.variables.items() if v.dims == (d,) and _is_time(v, str(n))]
        if along:
            return d if d in along else min(along, key=lambda n: (not _called_time(data, n), n))
        if d.lower() in _NAMES and d in data.variables:
            return d
    single = [str(n) for n, v in data.variables.items() if v.size == 1 and v.ndim < 2 and _is_time(v, str(n))]
    called = [n for n in single if _called_time(data, n)]
    return (
        min(called, key=lambda n: (n != "time", n))
        if called
        else next((n for n in _NAMES if n in data.variables), None)
    )


def moments(variable: xr.Variable, name: str, attrs: dict[str, object] | None = None) -> np.ndarray:
    """The times of a variable, opened without decoding, to the second where they tremble about one.

    Args:
        variable: numbers since a moment, or times.
        name: its name, for messages.
        attrs: the attributes that hold the unit, where it has none of its own.

    Raises:
        UnreadableFile: they have no unit, an unknown one or none that is precise enough, or one is missing.
    """
    about = variable.attrs if text(variable.attrs, "units") or attrs is None else attrs
    if variable.dtype.kind == "M":
        times = np.asarray(variable.values, "datetime64[ns]").ravel()
    else:
        times = _decoded(variable, name, about)
    missing = np.flatnonzero(np.isnat(times))
    if missing.size:
        raise UnreadableFile(f"frame {int(missing[0]) + 1} of {times.size} has no time in {name!r}; remove it")
    return times


def refuse_forecast(data: xr.Dataset, variable: xr.Variable, time: str | None, times: np.ndarray) -> None:
    """Raise `UnreadableFile` if what is read lies after the moment when it was computed."""
    later = bool(_LEADS & {str(d).lower() for d in variable.dims})
    about = text(data.variables[time].attrs, "long_name").lower() if time in data.variables else ""
    later |= bool(re.search(r"forecast|lead time|prognos", about))
    for name, v in data.variables.items():
        standard = text(v.attrs, "standard_name")
        if v.dtype.kind in "iuf" and (standard == "forecast_period" or str(name).lower() in _LEADS):
            later |= bool(v.size and np.nanmax(v.values) > 0)
        elif v.dtype.kind == "m":
            later |= standard == "forecast_period" and bool((v.values > np.timedelta64(0)).any())
        if _is_time(v, str(name)) and (standard == "forecast_reference_time" or str(name).lower() in _ISSUED):
            later |= bool(times.size and (times > moments(v, str(name)).max() + _SECOND).any())
    if later:
        raise UnreadableFile("is a forecast, not an observation; give the radar files it was made from")


def spans(
    data: xr.Dataset, name: str, time: str | None, times: np.ndarray, minutes: float | None
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """The end of each interval that an amount fell in, its seconds (None if nothing tells), and whether it is said.

    Bounds, a start time, the attributes and the names say it; `minutes` does where they do not; else the time step
    is taken, which is not said.

    Raises:
        UnreadableFile: what says it contradicts itself or `minutes`, or tells a running sum.
    """
    edges = _edges(data, time, times)
    if edges is not None:
        seconds = (edges[:, 1] - edges[:, 0]) / _SECOND
        return edges[:, 1], _agreed(seconds, minutes), True
    told = _told_s(data.variables[name].attrs, name)
    if told is None and minutes is None:
        step = float(fields.time_step(times) / _SECOND) if len(times) > 1 else None
        return times, None if step is None else np.full(len(times), step), False
    seconds = np.full(len(times), told if told is not None else 60.0 * float(minutes or 0.0))
    starts = time in data.variables and re.search(
        r"\b(start|begin)", text(data.variables[time].attrs, "long_name").lower()
    )
    moved = np.round(seconds * 1e9).astype("timedelta64[ns]") if starts else np.timedelta64(0, "ns")
    return times + moved, _agreed(seconds, minutes), True


def ends(data: xr.Dataset, variable: xr.Variable, time: str | None, times: np.ndarray) -> np.ndarray:
    """The ends of the intervals that a rate is a mean over, by its cell methods; its times if it is none."""
    mean = re.search(r"\b(time|\w*time\w*)\s*:\s*(mean|sum)", text(variable.attrs, "cell_methods"))
    edges = _edges(data, time, times) if mean else None
    return times if edges is None else edges[:, 1]


def is_running_sum(amounts: np.ndarray, words: str) -> bool:
    """Whether amounts (time, y, x) with nothing but their time step grow in every cell, or are said to."""
    if _SUMS.search(words.lower()):
        return True
    grown = np.diff(amounts.astype(np.float64), axis=0)
    with np.errstate(invalid="ignore"):
        rises = (grown > 0).any(axis=(1, 2)) if grown.size else np.zeros(0, bool)
    return bool(len(amounts) > 2 and not (grown < 0).any() and rises.sum() > 1)


def _is_time(variable: xr.Variable, name: str) -> bool:
    return variable.dtype.kind == "M" or (
        variable.dtype.kind in "iuf"
        and " since " in text(variable.attrs, "units").lower()
        and not name.endswith("bnds")
    )


def _called_time(data: xr.Dataset, name: str) -> bool:
    return text(data.variables[name].attrs, "standard_name") == "time" or name.lower() in _NAMES


def _decoded(variable: xr.Variable, name: str, about: dict[str, object]) -> np.ndarray:
    units = text(about, "units")
    said = _SINCE.fullmatch(units)
    if said is None or variable.dtype.kind not in "iuf":
        raise UnreadableFile(
            f"its time {name!r} is {variable.dtype} in {units or 'no unit'!r}, not in seconds (or another unit) since a"
            " date; if the name of the file holds the time, give --time-pattern"
        )
    attrs = {key: v for key, v in {**about, **variable.attrs}.items() if key not in ("bounds", "dtype")} | {
        "units": units
    }
    flat = xr.Variable("n", np.asarray(variable.values).ravel(), attrs)
    try:
        times = xr.conventions.decode_cf_variable(name, flat, decode_timedelta=False).values
    except (ValueError, OverflowError) as bad:
        raise UnreadableFile(f"its time {name!r} is not understood ({' '.join(str(bad).split())[:100]})") from bad
    if times.dtype.kind != "M":
        raise UnreadableFile(
            f"its time {name!r} is in {units!r} of the calendar {text(about, 'calendar')!r}, no real dates"
        )
    times = times.astype("datetime64[ns]")
    return _on_clock(times, flat, said[1].lower()) if variable.dtype.kind == "f" else times


def _on_clock(times: np.ndarray, raw: xr.Variable, unit: str) -> np.ndarray:
    """Times of broken numbers to the second, or to the minute where they are not precise enough for that."""
    seconds = second_s(unit)
    finite = np.abs(raw.values[np.isfinite(raw.values)])
    precise = float(np.spacing(finite.max())) * seconds if finite.size else 0.0
    if precise > 20.0:
        raise UnreadableFile(
            f"its times are {raw.dtype} in {raw.attrs['units']!r}, which tells them to {precise:.0f} s only; if the"
            " name of the file holds the time, give --time-pattern"
        )
    clock = _SECOND if precise < 0.5 else _MINUTE
    near = times.astype("datetime64[ns]") + clock // 2
    whole: np.ndarray = near - near.astype(np.int64) % clock.astype(np.int64) * np.timedelta64(1, "ns")
    tolerance = max(_TREMBLE, np.timedelta64(int(precise * 1e9), "ns"))
    return np.where(np.abs(whole - times) <= tolerance, whole, times)


def _edges(data: xr.Dataset, time: str | None, times: np.ndarray) -> np.ndarray | None:
    """The start and the end of each interval, from the bounds of time or a start time; None if there are none."""
    about = data.variables[time].attrs if time in data.variables else {}
    bounds = text(about, "bounds") or (text(data.variables[time].encoding, "bounds") if time in data.variables else "")
    if bounds in data.variables:
        edges = moments(data.variables[bounds], bounds, about)
        if edges.size != 2 * times.size:
            raise UnreadableFile(
                f"has {edges.size} time bounds in {bounds!r} for {times.size} times; it needs two for each"
            )
        edges = edges.reshape(-1, 2)
    elif "start_time" in data.variables and _is_time(data.variables["start_time"], "start_time"):
        starts = moments(data.variables["start_time"], "start_time")
        if starts.size not in (1, times.size):
            return None
        edges = np.stack([np.broadcast_to(starts, times.shape), times], axis=1)
    else:
        return None
    _check_edges(edges, times)
    return edges


def _check_edges(edges: np.ndarray, times: np.ndarray) -> None:
    wrong = np.flatnonzero(
        (edges[:, 1] <= edges[:, 0]) | (times < edges[:, 0] - _SECOND) | (times > edges[:, 1] + _SECOND)
    )
    if wrong.size:
        start, end = edges[wrong[0]]
        raise UnreadableFile(f"its time bounds {start} to {end} do not hold the time {times[wrong[0]]}; mend them")
    order = np.argsort(edges[:, 1], kind="stable")
    same = np.flatnonzero(np.diff(edges[order, 0]) == np.timedelta64(0))
    if same.size:
        raise UnreadableFile(
            f"its amounts are running sums: several begin at {edges[order, 0][same[0]]}; take the differences first"
        )


def _told_s(attrs: dict[str, object], name: str) -> float | None:
    """The seconds of an interval by the attributes and the name of a variable."""
    methods = text(attrs, "cell_methods")
    if "accum_time_h" in attrs:
        return 3600.0 * float(text(attrs, "accum_time_h"))
    inside = re.search(r"interval\s*:\s*([^:)]*)", methods)
    if inside:
        found = duration_s(inside[1])
        if found is None:
            raise UnreadableFile(f"its cell methods {methods!r} tell an interval that is not understood: mend them")
        return found
    keys = [key for key in attrs if re.search(r"accum|interval|duration|integration", key, re.IGNORECASE)]
    words = [*(text(attrs, key) for key in (*keys, "long_name")), name]
    said = [found for text_ in words if (found := duration_s(text_)) is not None]
    return said[0] if said else None


def _agreed(seconds: np.ndarray, minutes: float | None) -> np.ndarray:
    if minutes is not None and np.abs(seconds - 60.0 * minutes).max() > 1.0:
        raise UnreadableFile(
            f"says itself that its amounts fell in {seconds[0] / 60:g} minutes, which --interval {minutes:g}"
            " contradicts; leave it out"
        )
    return seconds


def by_pattern(name: str, pattern: str) -> np.datetime64:
    """The time (UTC) that a file's name spells by a pattern of ``strptime``; raises `UnreadableFile`."""
    from datetime import UTC, datetime

    try:
        found = datetime.strptime(name, pattern)
    except ValueError as bad:
        raise UnreadableFile(f"its name {name!r} is not spelled as --time-pattern {pattern!r} says ({bad})") from bad
    return np.datetime64(found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found, "ns")


def in_order(times: np.ndarray) -> Sequence[int] | slice:
    """The order in which times increase; a slice where they do already."""
    return slice(None) if (np.diff(times) > np.timedelta64(0)).all() else list(np.argsort(times, kind="stable"))
