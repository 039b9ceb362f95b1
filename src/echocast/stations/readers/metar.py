"""METAR and SPECI reports as text: rain of an hour, temperature, humidity, pressure and wind at airports.

One report a line, or several; a line ``2024/06/01 12:51`` before a report, as NOAA writes it, says its date. Reports
say only the day of the month, so without such lines the month is needed (``--month 2024-06``). Places are in no report:
give ``--places``, a CSV file with the columns station, longitude, latitude and height (m).

Rain is the group P (hundredths of an inch since the last routine report) of routine reports, those from minute 45 on,
and its interval the hour that ends at the report. P0000 is a trace, and 0. A station with a precipitation sensor (AO2)
that sends no group P measured none; a sensor that does not work (PNO), and a station without one (AO1, and all reports
without AO2), measured nothing that is known. A correction (COR) takes the place of the report of its time. Temperature
is the tenths of the group T where there is one. Pressure is that at mean sea level (SLP), never the altimeter setting.
A variable wind is missing.
"""

import importlib.util
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast.errors import DataError, MissingDependency, UnreadableFile
from echocast.stations.converting import quantity_of
from echocast.stations.places import place_of, read_places
from echocast.stations.series import make

log = logging.getLogger(__name__)

SUFFIXES = (".txt", ".metar")
_REPORT = re.compile(r"(?:(?:METAR|SPECI)\s+)?(?:COR\s+)?[A-Z][A-Z0-9]{3}\s+\d{6}Z\s")
_DATE = re.compile(r"\s*(\d{4})/(\d{2})/(\d{2}) \d{2}:\d{2}\s*")
_FIRST_ROUTINE_MINUTE = 45


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content says it)
    """By a report in the first lines."""
    text = head.decode("ascii", errors="replace")
    return b"\x00" not in head and any(_REPORT.match(line) for line in text.splitlines()[:20])


def read(
    path: Path, *, variable: str | None = None, places: Path | None = None, month: str | None = None
) -> xr.DataArray:
    """The reports of a file as one quantity.

    Args:
        path: the file.
        variable: the quantity; rain (``rainfall_amount``) by default.
        places: the CSV file with the places of the stations.
        month: the year and month of the reports, 2024-06, where no date lines say it.
    """
    if importlib.util.find_spec("metar") is None:
        raise MissingDependency("metar", "formats")
    quantity = quantity_of(variable or "rainfall_amount")
    if places is None:
        raise DataError("METAR reports do not say where a station lies; give --places FILE.csv")
    known = read_places(places)
    found = _values(path.read_text(encoding="ascii", errors="replace"), quantity, month)
    if not found:
        raise UnreadableFile(f"no report holds {quantity}; look at the reports, or read another --variable")
    stations = sorted({station for station, _ in found})
    times = np.unique(np.array([time for _, time in found], "datetime64[ns]"))
    values = np.full((len(stations), len(times)), np.nan)
    for (station, time), value in found.items():
        values[stations.index(station), np.searchsorted(times, time)] = value
    where = np.array([place_of(station, known) for station in stations])
    return make(
        values,
        time=times,
        station=stations,
        longitude=where[:, 0],
        latitude=where[:, 1],
        height=where[:, 2],
        quantity=quantity,
        interval=60.0 if quantity == "rainfall_amount" else None,
        attrs={"source": "METAR"},
    )


def _values(text: str, quantity: str, month: str | None) -> dict[tuple[str, np.datetime64], float]:
    """The value of each station and time; a correction takes the place of what it corrects."""
    found: dict[tuple[str, np.datetime64], tuple[bool, float]] = {}
    unread = 0
    for code, year_month in _reports(text, month):
        report = _parsed(code, *year_month)
        if report is None:
            unread += 1
            continue
        value = _value(report, quantity, code)
        if value is None:
            continue
        key = str(report.station_id), np.datetime64(report.time, "ns")
        corrects = "COR" in code.split()[:4]
        if key not in found or corrects >= found[key][0]:
            found[key] = corrects, value
    if unread:
        log.warning("%d reports cannot be read and are left out", unread)
    return {key: value for key, (_, value) in found.items()}


def _reports(text: str, month: str | None) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each report with its year and month."""
    dated: tuple[int, int] | None = None
    given = _month(month) if month else None
    for line in text.splitlines():
        date = _DATE.fullmatch(line)
        if date:
            dated = int(date[1]), int(date[2])
            continue
        starts = [found.start() for found in _REPORT.finditer(line)]
        for start, stop in zip(starts, [*starts[1:], len(line)], strict=True):
            when = dated or given
            if when is None:
                raise DataError("METAR reports say only the day of the month; give the month with --month 2024-06")
            yield line[start:stop].strip().rstrip("="), when


def _month(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if not found or not 1 <= int(found[2]) <= 12:
        raise DataError(f"month {text!r} is not of the form 2024-06")
    return int(found[1]), int(found[2])


def _parsed(code: str, year: int, month: int) -> Any:
    """The report, or None where the parser makes nothing of it."""
    from metar.Metar import Metar, ParserError

    try:
        report = Metar(code, month=month, year=year, strict=False)
    except (ParserError, ValueError, IndexError, KeyError, TypeError):
        return None
    return report if report.station_id and report.time else None


def _value(report: Any, quantity: str, code: str) -> float | None:
    """The value of a report in the unit of the quantity; NaN where it is missing, None where it is not reported."""
    if quantity == "rainfall_amount":
        return _rain(report, code)
    temperature, dew = _degrees(report.temp), _degrees(report.dewpt)
    if quantity == "air_temperature":
        return temperature + 273.15
    if quantity == "relative_humidity":
        return _humidity(temperature, dew)
    if quantity == "air_pressure":
        return math.nan if report.press_sea_level is None else float(report.press_sea_level.value("HPA")) * 100
    if quantity in ("eastward_wind", "northward_wind"):
        return _wind(report, quantity)
    raise DataError(f"METAR reports hold no {quantity}")


def _rain(report: Any, code: str) -> float | None:
    """The millimetres of the hour before a routine report."""
    words = code.split()
    if report.time.minute < _FIRST_ROUTINE_MINUTE or "SPECI" in words[:1]:
        return None
    if "PNO" in words or "AO2" not in words:
        return math.nan
    return 0.0 if report.precip_1hr is None else float(report.precip_1hr.value("IN")) * 25.4


def _degrees(value: Any) -> float:
    return math.nan if value is None else float(value.value("C"))


def _humidity(temperature: float, dew: float) -> float:
    """From temperature and dew point in degrees C; Alduchov and Eskridge 1996, equation 21."""
    return math.exp(17.625 * dew / (243.04 + dew) - 17.625 * temperature / (243.04 + temperature))


def _wind(report: Any, quantity: str) -> float:
    if report.wind_speed is None:
        return math.nan
    speed = float(report.wind_speed.value("MPS"))
    if speed == 0:
        return 0.0
    if report.wind_dir is None:
        return math.nan
    angle = math.radians(float(report.wind_dir.value()))
    return -speed * (math.sin(angle) if quantity == "eastward_wind" else math.cos(angle))
