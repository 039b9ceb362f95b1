"""GRIB of both editions: scanning modes, projections, packing, across Greenwich, intervals in every unit, MRMS' own."""

import gzip
from pathlib import Path
from typing import Any

import eccodes
import numpy as np
from tests.known import Cell, Known, _draw

from echocast.io.reading import ReadOptions

_PROJECTED = {
    20: ("+proj=stere +lat_ts=60 +lat_0=90 +lon_0=10 +R=6371229", 3.3e5, -3.2e6),
    30: ("+proj=lcc +lon_0=10 +lat_0=50 +lat_1=50 +lat_2=50 +R=6371229", -1.1e5, 2.2e5),
}
_MRMS = {
    (6, 1): 0.0,
    (6, 3): 3.0,
    (6, 45): 0.25,
    (6, 37): 1.0,
    (6, 36): 72.0,
    (3, 57): -1.0,
    (8, 8): -1.0,
    (10, 2): -1.0,
}
"""The hours of an amount; 0 of a rate, -1 of reflectivity."""
_MRMS_OTHERS = ((8, 0), (8, 3), (6, 0), (6, 44), (3, 28), (10, 1))
_LENGTHS = {0: 60, 1: 3600, 10: 10800, 13: 1}
_AMOUNT, _RATE = (1, 52), (1, 7)


def write(folder: Path, drawn: np.random.Generator) -> Known:
    spots, time = _draw.spots(drawn), _draw.time(drawn)
    kind = str(drawn.choice(["mrms", "amount 1", "amount 2", "rate", "running"]))
    sample = "regular_ll_sfc_grib1" if kind.endswith("1") else "regular_ll_sfc_grib2"
    keys, place, order = _grid(drawn, spots.shape, kind)
    value, refused = float(drawn.choice([2.0, 8.5, 30.0])), None
    what: list[dict[str, Any]] = []
    if kind == "mrms":
        about, rate, dry, missing, refused = _mrms(drawn, value)
        what = [about | _reference(time)]
    else:
        dry, missing = float(drawn.choice([0.0, 0.0, -1e-9])), None
        what, rate = _plain(drawn, kind, time, value)
    values = np.full(spots.shape, dry)
    values[spots.bright] = value
    if missing is not None:
        values[spots.missing] = missing
    content = b""
    for number, about in enumerate(what, 1):
        share = number / len(what) if kind == "running" else 1.0
        mask = spots.missing if missing is None else None
        content += _message(
            drawn, sample, keys | about, order(values * share if missing is None else values), mask, order
        )
    packed = bool(drawn.integers(2))
    path = folder / f"rain{drawn.integers(100)}.grib{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    cells = [Cell(*place(spots.bright), rate), Cell(*place(spots.dry), 0.0), Cell(*place(spots.missing), np.nan)]
    step = np.timedelta64(3600, "s")
    times = [time - step * n for n in reversed(range(len(what)))]
    return Known(path, times, cells, spots.shape, options=ReadOptions(max_rate=1e9), refused=refused, tolerance=5e-3)


def _mrms(drawn: np.random.Generator, value: float) -> tuple[dict[str, Any], float, float, float, str | None]:
    """Keys, rate, dry and missing of one of MRMS' own, and the text of its refusal."""
    keys = {"discipline": 209, "centre": 161}
    if drawn.random() < 0.1:
        other = _MRMS_OTHERS[drawn.integers(len(_MRMS_OTHERS))]
        keys |= {"parameterCategory": other[0], "parameterNumber": other[1]}
        return keys, 0.0, 0.0, -3.0, f"MRMS {other[0]}.{other[1]}"
    number = list(_MRMS)[drawn.integers(len(_MRMS))]
    keys |= {"parameterCategory": number[0], "parameterNumber": number[1]}
    if _MRMS[number] < 0:
        return keys, (10 ** (value / 10) / 200) ** 0.625, -99.0, -999.0, None
    return keys, value / (_MRMS[number] or 1.0), 0.0, float(drawn.choice([-3.0, -1.0])), None


def _plain(
    drawn: np.random.Generator, kind: str, time: np.datetime64, value: float
) -> tuple[list[dict[str, Any]], float]:
    """Keys of the messages of a rate or an amount, and its rate."""
    if kind == "rate":
        return [_edition_2(_RATE) | _reference(time)], value * 3600
    unit = int(drawn.choice([0, 0, 1, 13] if kind == "amount 2" else [0, 1]))
    if kind == "running":
        hours = int(drawn.integers(2, 4))
        return [_interval_2(time - np.timedelta64(hours, "h"), 0, 1, n, 1) for n in range(1, hours + 1)], value / hours
    length = int(drawn.choice({0: [5, 15, 45], 1: [1, 3, 6], 13: [150, 300, 900]}[unit]))
    start = int(drawn.choice([0, 1])) * length
    seconds = _LENGTHS[unit] * length
    reference = time - np.timedelta64(seconds + start * _LENGTHS[unit], "s")
    if kind == "amount 2":
        return [_interval_2(reference, start, unit, length, unit)], value * 3600 / seconds
    keys = {"table2Version": 2, "indicatorOfParameter": 61, "centre": 7} | _reference(reference)
    keys |= {"timeRangeIndicator": int(drawn.choice([4, 5])), "indicatorOfUnitOfTimeRange": unit}
    return [keys | {"P1": start, "P2": start + length}], value * 3600 / seconds


def _interval_2(reference: np.datetime64, start: int, start_unit: int, length: int, unit: int) -> dict[str, Any]:
    end = reference + np.timedelta64(start * _LENGTHS[start_unit] + length * _LENGTHS[unit], "s")
    at = end.astype("datetime64[s]").item()
    keys: dict[str, Any] = {"productDefinitionTemplateNumber": 8} | _edition_2(_AMOUNT) | _reference(reference)
    keys |= {"indicatorOfUnitOfTimeRange": start_unit, "forecastTime": start, "typeOfStatisticalProcessing": 1}
    keys |= {"indicatorOfUnitForTimeRange": unit, "lengthOfTimeRange": length}
    ends = ("year", "month", "day", "hour", "minute", "second")
    return keys | {f"{name}OfEndOfOverallTimeInterval": getattr(at, name) for name in ends}


def _edition_2(parameter: tuple[int, int]) -> dict[str, Any]:
    return {"discipline": 0, "parameterCategory": parameter[0], "parameterNumber": parameter[1]}


def _reference(time: np.datetime64) -> dict[str, Any]:
    at = time.astype("datetime64[s]").item()
    keys = {"dataDate": int(f"{at:%Y%m%d}"), "dataTime": int(f"{at:%H%M}")}
    return keys | ({"second": at.second} if at.second else {})


def _grid(drawn: np.random.Generator, shape: tuple[int, int], kind: str) -> tuple[dict[str, Any], Any, Any]:
    """Keys of a grid, what makes degrees of a cell, and what makes the file's order of rows from the north."""
    rows, columns = shape
    flags = {"iScansNegatively": int(drawn.integers(2)), "jScansPositively": int(drawn.integers(2))}
    flags |= {"jPointsAreConsecutive": int(drawn.random() < 0.2)}
    if not kind.endswith("1"):
        flags["alternativeRowScanning"] = int(drawn.random() < 0.2)
    keys: dict[str, Any] = {"Ni": columns, "Nj": rows}
    y_first, x_first = (rows - 1 if flags["jScansPositively"] else 0), (columns - 1 if flags["iScansNegatively"] else 0)
    template = int(drawn.choice([20, 30])) if kind in ("amount 2", "rate") and drawn.integers(2) else 0
    if template:
        proj4, left, top = _PROJECTED[template]
        cell = float(drawn.choice([1000.0, 2500.0]))

        def place(spot: tuple[int, int]) -> tuple[float, float]:
            return _draw.degrees(proj4, left + cell * spot[1], top - cell * spot[0])

        longitude, latitude = place((y_first, x_first))
        keys |= {"gridDefinitionTemplateNumber": template, "shapeOfTheEarth": 6}
        keys |= {"latitudeOfFirstGridPointInDegrees": latitude, "longitudeOfFirstGridPointInDegrees": longitude % 360}
        keys |= {"DxInMetres": cell, "DyInMetres": cell}
        keys |= {"LaDInDegrees": 60.0, "orientationOfTheGridInDegrees": 10.0} if template == 20 else {}
        keys |= dict.fromkeys(("LaDInDegrees", "Latin1InDegrees", "Latin2InDegrees"), 50.0) if template == 30 else {}
        keys |= {"LoVInDegrees": 10.0} if template == 30 else {}
    else:
        step = float(drawn.choice([0.025, 0.1, 1.0]))
        west, north = float(drawn.choice([356.06, 358.0, 350.0, 5.5, 260.0, 178.0])), float(drawn.choice([48.0, 61.5]))

        def place(spot: tuple[int, int]) -> tuple[float, float]:
            return west + step * spot[1], north - step * spot[0]

        ends = (place((y_first, x_first)), place((rows - 1 - y_first, columns - 1 - x_first)))
        for name, (longitude, latitude) in zip(("First", "Last"), ends, strict=True):
            keys |= {
                f"longitudeOf{name}GridPointInDegrees": longitude % 360,
                f"latitudeOf{name}GridPointInDegrees": latitude,
            }
        keys |= {"iDirectionIncrementInDegrees": step, "jDirectionIncrementInDegrees": step}

    def order(values: np.ndarray) -> np.ndarray:
        lines = values[:: -1 if flags["jScansPositively"] else 1, :: -1 if flags["iScansNegatively"] else 1]
        lines = (lines.T if flags["jPointsAreConsecutive"] else lines).copy()
        if flags.get("alternativeRowScanning"):
            lines[1::2] = lines[1::2, ::-1]
        return lines.ravel()

    return keys | flags, place, order


def _message(
    drawn: np.random.Generator, sample: str, keys: dict[str, Any], values: np.ndarray, missing: Any, order: Any
) -> bytes:
    """A message with its keys in order; `missing` is a cell that is not observed by the bitmap."""
    handle = eccodes.codes_grib_new_from_samples(sample)
    try:
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        if missing is not None:
            mask = np.zeros((keys["Nj"], keys["Ni"]), bool)
            mask[missing] = True
            special = float(drawn.choice([9999.0, -1e20]))
            eccodes.codes_set(handle, "bitmapPresent", 1)
            eccodes.codes_set(handle, "missingValue", special)
            values = np.where(order(mask), special, values)
        eccodes.codes_set(handle, "bitsPerValue", int(drawn.choice([12, 16, 24])))
        eccodes.codes_set_values(handle, values)
        return bytes(eccodes.codes_get_message(handle))
    finally:
        eccodes.codes_release(handle)
