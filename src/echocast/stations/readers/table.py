"""Tables (CSV) of station values, with a small TOML file of the same name beside them that says what they are.

``gauges.csv`` has ``gauges.toml`` beside it:

    [time]
    column = "time"            # ISO 8601, or as `format` says
    zone = "UTC"               # or +01:00, or Europe/Stockholm; not needed where each time has its offset
    marks = "end"              # of an amount's interval: end or start
    [values]
    quantity = "rainfall_amount"
    units = "mm"
    interval = 10              # the minutes that an amount fell in
    missing = ["NA", "-999"]   # empty cells are missing anyway
    [stations.Kew]             # a table for each station
    longitude = -0.29
    latitude = 51.48
    height = 6

Each station has a column of its name; or the table is long, with a row for each value, and ``values.column`` and
``values.station`` name the columns. In place of ``[stations]``, ``[places]`` may name a CSV file with all places.
"""

import csv
import gzip
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import xarray as xr

from echocast import plugins
from echocast.errors import DataError, UnreadableFile, WrongUnits
from echocast.stations.converting import converted
from echocast.stations.places import Place, place_of, read_places
from echocast.stations.series import make

SUFFIXES = (".csv", ".csv.gz")


def recognises(head: bytes, path: Path) -> bool:
    """By the TOML file beside it."""
    return _about(path).is_file() and b"\x00" not in head


@dataclass(frozen=True, kw_only=True)
class _Time:
    column: str = "time"
    format: str | None = None
    zone: str | None = None
    marks: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Values:
    quantity: str = "rainfall_amount"
    units: str | None = None
    interval: float | None = None
    missing: list[str] | None = None
    column: str | None = None
    station: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Places:
    file: str
    name: str = "station"
    longitude: str = "longitude"
    latitude: str = "latitude"
    height: str = "height"
    height_units: str = "m"


@dataclass(frozen=True, kw_only=True)
class _Station:
    longitude: float
    latitude: float
    height: float = float("nan")


def read(path: Path) -> xr.DataArray:
    """The stations of a table, as the TOML file beside it describes them."""
    about = _about(path)
    if not about.is_file():
        raise UnreadableFile(f"a table needs {about.name} beside it, which says unit, interval, time zone and places")
    time, values, places = _described(about)
    rows = _rows(path)
    if not values.units:
        raise WrongUnits(f"{about.name}: [values] lacks units, such as mm")
    shift = _shift(time, values, about.name)
    cells = _long(rows, time, values) if values.column else _wide(rows, time, sorted(places))
    stations = sorted({station for station, _, _ in cells})
    moments = _moments([text for _, text, _ in cells], time, about.name)
    times = np.unique(np.array(list(moments.values()), "datetime64[ns]"))
    grid = np.full((len(stations), len(times)), np.nan)
    seen = np.zeros(grid.shape, bool)
    missing = {"", *(values.missing or ())}
    for station, text, value in cells:
        at = stations.index(station), int(np.searchsorted(times, moments[text]))
        if seen[at]:
            raise DataError(f"station {station!r} has two values at {text}; keep one of them")
        seen[at] = True
        grid[at] = np.nan if value.strip() in missing else _number(value, station, text, about.name)
    where = np.array([place_of(station, places) for station in stations])
    return make(
        converted(grid, values.units, values.quantity),
        time=times + shift,
        station=stations,
        longitude=where[:, 0],
        latitude=where[:, 1],
        height=where[:, 2],
        quantity=values.quantity,
        interval=values.interval,
        attrs={"source": path.name},
    )


def _about(path: Path) -> Path:
    return (
        path.with_name(path.name.partition(".csv")[0] + ".toml") if ".csv" in path.name else path.with_suffix(".toml")
    )


def _described(about: Path) -> tuple[_Time, _Values, dict[str, Place]]:
    try:
        content = tomllib.loads(about.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as bad:
        raise UnreadableFile(f"{about.name}: is not TOML ({bad})") from bad
    unknown = sorted(set(content) - {"time", "values", "stations", "places"})
    if unknown:
        raise DataError(f"{about.name}: has no table [{unknown[0]}]; it has [time], [values], [stations] and [places]")

    def made(kind: Any, table: dict[str, Any], where: str) -> Any:
        return plugins.construct(kind, table, where=f"{about.name} [{where}]", error=DataError)

    places: dict[str, Place] = {}
    if "places" in content:
        one = made(_Places, content["places"], "places")
        names = {key: getattr(one, key) for key in ("name", "longitude", "latitude", "height", "height_units")}
        places = read_places(about.parent / one.file, **names)
    for name, table in content.get("stations", {}).items():
        station = made(_Station, table, f"stations.{name}")
        places[name] = (station.longitude, station.latitude, station.height)
    if not places:
        raise DataError(f"{about.name}: no station has a place; give [stations.NAME] with longitude and latitude")
    return made(_Time, content.get("time", {}), "time"), made(_Values, content.get("values", {}), "values"), places


def _rows(path: Path) -> list[dict[str, str]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise UnreadableFile("holds no rows below its head line")
    return rows


def _column(rows: list[dict[str, str]], name: str) -> None:
    if name not in rows[0]:
        raise DataError(f"there is no column {name!r}; there are: {', '.join(map(str, rows[0]))}")


def _long(rows: list[dict[str, str]], time: _Time, values: _Values) -> list[tuple[str, str, str]]:
    """Station, time and value of each row."""
    if values.station is None:
        raise DataError("[values] has a column and no station: name the column with the stations by station = ...")
    column = values.column or ""
    for name in (time.column, column, values.station):
        _column(rows, name)
    return [(row[values.station].strip(), row[time.column], row[column] or "") for row in rows]


def _wide(rows: list[dict[str, str]], time: _Time, stations: Iterable[str]) -> list[tuple[str, str, str]]:
    """Station, time and value of each cell."""
    _column(rows, time.column)
    for station in stations:
        _column(rows, station)
    return [(station, row[time.column], row[station] or "") for row in rows for station in stations]


def _moments(texts: Iterable[str], time: _Time, about: str) -> dict[str, np.datetime64]:
    """The UTC time of each text."""
    zone = _zone(time.zone, about) if time.zone else None
    return {text: _utc(text, time.format, zone, about) for text in dict.fromkeys(texts)}


def _utc(text: str, form: str | None, zone: tzinfo | None, about: str) -> np.datetime64:
    try:
        moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
    except ValueError as bad:
        wanted = f"of the form {form!r}" if form else "ISO 8601, such as 2024-06-01T12:00Z"
        raise DataError(f"time {text!r} is not {wanted}; say its form by format in [time] of {about}") from bad
    if moment.tzinfo is None:
        if zone is None:
            raise DataError(
                f'time {text!r} does not say its zone, and local times are not guessed; give zone = "UTC" (or'
                f' "+01:00") in [time] of {about}'
            )
        moment = _in_zone(moment, zone, text)
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ns")


def _in_zone(moment: datetime, zone: tzinfo, text: str) -> datetime:
    """A local time with its zone; one that the clock shows twice, or never, is refused."""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise DataError(
            f"time {text!r} is not clear: {zone} changes its clocks then; give times in UTC or with their offset"
        )
    return first


def _zone(name: str, about: str) -> tzinfo:
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if name[:1] in "+-":
        try:
            hours, _, minutes = name[1:].partition(":")
            away = timedelta(hours=int(hours), minutes=int(minutes or 0))
            return timezone(away if name[0] == "+" else -away)
        except ValueError as bad:
            raise DataError(f"{about}: zone = {name!r} is no offset; write +01:00") from bad
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as bad:
        raise DataError(f"{about}: zone = {name!r} is no time zone; write UTC, +01:00 or Europe/Stockholm") from bad


def _shift(time: _Time, values: _Values, about: str) -> np.timedelta64:
    """What is added to a time so that it is the end of its interval."""
    if values.quantity != "rainfall_amount":
        return np.timedelta64(0, "ns")
    if time.marks not in ("end", "start"):
        raise DataError(
            f"{about}: marks = {time.marks!r} in [time]: say whether a time is the end or the start of its interval"
        )
    if values.interval is None:
        raise DataError(f"{about}: [values] lacks interval, the minutes that an amount fell in")
    return np.timedelta64(round(values.interval * 60e9) if time.marks == "start" else 0, "ns")


def _number(value: str, station: str, time: str, about: str) -> float:
    try:
        return float(value)
    except ValueError as bad:
        raise DataError(
            f"station {station!r} has {value!r} at {time}, which is no number; if it means missing, add it to missing"
            f" in [values] of {about}"
        ) from bad
