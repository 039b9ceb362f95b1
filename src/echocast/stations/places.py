"""Places of stations from a CSV file, for formats that hold none: METAR reports, tables."""

import csv
from pathlib import Path

from echocast.errors import DataError, UnreadableFile
from echocast.fields.measures import length_m

Place = tuple[float, float, float]
"""Longitude and latitude in degrees, height in m (NaN where it is not known)."""


def read_places(
    path: Path,
    *,
    name: str = "station",
    longitude: str = "longitude",
    latitude: str = "latitude",
    height: str = "height",
    height_units: str = "m",
) -> dict[str, Place]:
    """The place of each station of a CSV file with a head line.

    Args:
        path: the file.
        name: the column with the names.
        longitude: the column with the longitude, in degrees.
        latitude: the column with the latitude.
        height: the column with the height; it may be missing.
        height_units: of that column, such as ft.

    Raises:
        UnreadableFile: there is no such file, or a column or number in it is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as bad:
        raise UnreadableFile(f"{path}: the places of the stations cannot be read ({bad})") from bad
    metres = length_m(height_units)
    if metres is None:
        raise DataError(f"height_units = {height_units!r} is no unit of length; m and ft are")
    lacking = [column for column in (name, longitude, latitude) if not rows or column not in rows[0]]
    if lacking:
        raise UnreadableFile(f"{path}: has no column {lacking[0]!r}; give one, with a head line that names the columns")
    found: dict[str, Place] = {}
    for row in rows:
        station = row[name].strip()
        if station in found:
            raise DataError(f"{path}: station {station!r} is there twice; keep one of the two")
        found[station] = (
            _number(path, row, longitude),
            _number(path, row, latitude),
            _number(path, row, height) * metres if row.get(height) else float("nan"),
        )
    return found


def place_of(station: str, places: dict[str, Place]) -> Place:
    """The place of one station; raises `DataError` if it is not known."""
    if station not in places:
        known = ", ".join(sorted(places)[:8]) or "none"
        raise DataError(f"station {station!r} has no place; add its longitude and latitude (there are: {known})")
    return places[station]


def _number(path: Path, row: dict[str, str], column: str) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError) as bad:
        raise UnreadableFile(f"{path}: {column} = {row[column]!r} is no number; write degrees as 11.97") from bad
