"""GRIB 1 and 2 (plain or gzip): NOAA MRMS PrecipRate and any rain rate, reflectivity or amount on a regular grid.

One message is one frame; several of one parameter become several times. MRMS' own parameters (discipline 209), which
carry no unit that decoders know, are translated here: negative rates are missing coverage. Needs ecCodes (extra
``grib``).

Source: WMO manual on codes I.2; NOAA MRMS GRIB2 tables (nssl.noaa.gov/projects/mrms/operational/tables.php).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import MissingDependency, UnreadableFile, WrongUnits
from echocast.io.readers import _packed

SUFFIXES = (".grib2", ".grb2", ".grib", ".grib2.gz", ".grb")
GZIP = True

_MRMS = {(6, 1): "mm h-1", (6, 2): "mm", (6, 30): "mm", (6, 31): "mm", (6, 32): "mm", (6, 37): "mm"}
_MRMS |= {(8, number): "dBZ" for number in (0, 1, 2, 3, 4, 5)} | {(10, 0): "dBZ", (9, 0): "dBZ", (9, 1): "dBZ"}
_MRMS_HOURS = {(6, 2): 1.0, (6, 30): 1.0, (6, 31): 3.0, (6, 32): 6.0, (6, 37): 1.0}
_MISSING_BELOW = {"mm h-1": 0.0, "mm": 0.0, "dBZ": -90.0}
_MOST_CELLS = 2**28
_MOST_BYTES = 2**30
_STRETCH = 2**17


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """GRIB's magic word."""
    return head[:4] == b"GRIB"


def read(path: Path, *, variable: str | None = None, zr: fields.ZR | None = None) -> xr.DataArray:
    """The field of one file; raises `MissingDependency` without ecCodes."""
    codes, relation = _eccodes(), zr or fields.MARSHALL_PALMER
    frames: dict[np.datetime64, tuple[np.ndarray, tuple[np.ndarray, np.ndarray], str]] = {}
    kept = ""
    for handle in _messages(_packed.content(path, _MOST_BYTES), codes):
        name, units, hours = _parameter(codes, handle)
        if not units or (variable and variable != name) or (kept and name != kept):
            continue
        kept = name
        time, values = _frame(codes, handle, units)
        rate = fields.to_rain_rate(values, units, zr=relation, interval_s=None if units != "mm" else 3600.0 * hours)
        frames[time] = (rate, _axes(codes, handle), units)
    if not frames:
        raise UnreadableFile(f"holds no message of {variable or 'a rain rate, reflectivity or amount'}")
    order = sorted(frames)
    (y, x), units = frames[order[0]][1], frames[order[0]][2]
    attrs = {"source": f"GRIB {kept}", "product": kept} | ({"zr": str(relation)} if units == "dBZ" else {})
    return fields.make(np.stack([frames[t][0] for t in order]), time=order, y=y, x=x, crs="EPSG:4326", attrs=attrs)


def _eccodes() -> ModuleType:
    try:
        import eccodes
    except (ImportError, RuntimeError) as bad:
        raise MissingDependency("eccodes", "grib") from bad
    module: ModuleType = eccodes
    return module


@contextmanager
def _released(codes: ModuleType, handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        codes.codes_release(handle)


def _messages(content: bytes, codes: ModuleType) -> Iterator[int]:
    """The messages one after the other, each as long as it says."""
    start = 0
    while start < len(content):
        if content[start : start + 4] != b"GRIB":
            raise ValueError(f"{len(content) - start} bytes that are no message, from byte {start}")
        edition = content[start + 7] if len(content) > start + 7 else 0
        length = int.from_bytes(
            content[start + 8 : start + 16] if edition == 2 else content[start + 4 : start + 7], "big"
        )
        message = content[start : start + length]
        if len(message) != length or message[-4:] != b"7777":
            raise ValueError(f"a message of {length} bytes is cut off at byte {len(content)}")
        with _released(codes, codes.codes_new_from_message(message)) as handle:
            yield handle
        start += length


def _parameter(codes: ModuleType, handle: int) -> tuple[str, str, float]:
    """Name, unit ("" if it is not rain) and the hours of an amount."""
    if codes.codes_get(handle, "edition") == 2 and codes.codes_get(handle, "discipline", int) == 209:
        key = (codes.codes_get(handle, "parameterCategory", int), codes.codes_get(handle, "parameterNumber", int))
        return f"MRMS {key[0]}.{key[1]}", _MRMS.get(key, ""), _MRMS_HOURS.get(key, 1.0)
    name, units = (str(codes.codes_get(handle, key)) for key in ("shortName", "units"))
    try:
        kind = fields.kind_of_unit(units)
    except WrongUnits:
        return name, "", 0.0
    hours = 0.0
    if kind == "amount":
        hours = _hours(str(codes.codes_get(handle, "stepRange")))
    return name, units, hours


def _hours(steps: str) -> float:
    first, _, last = steps.partition("-")
    return float(last or first) - (float(first) if last else 0.0)


def _frame(codes: ModuleType, handle: int, units: str) -> tuple[np.datetime64, np.ndarray]:
    rows, columns = (codes.codes_get(handle, key, int) for key in ("Nj", "Ni"))
    if not 0 < rows * columns <= _MOST_CELLS:
        raise ValueError(f"a grid of {columns} x {rows} cells")
    date, clock = (codes.codes_get(handle, key, int) for key in ("validityDate", "validityTime"))
    second = codes.codes_get(handle, "second", int) if codes.codes_is_defined(handle, "second") else 0
    time = np.datetime64(
        f"{date // 10000:04}-{date // 100 % 100:02}-{date % 100:02}T{clock // 100:02}:{clock % 100:02}"
    )
    if codes.codes_get_size(handle, "values") != rows * columns:
        raise ValueError(f"{codes.codes_get_size(handle, 'values')} values on a grid of {columns} x {rows}")
    found = codes.codes_get_array(handle, "values", np.float64)
    missing = codes.codes_get_double(handle, "missingValue") if codes.codes_get(handle, "bitmapPresent", int) else None
    values, least = np.empty(found.shape, np.float32), _MISSING_BELOW.get(units, 0.0)
    for start in range(0, found.size, _STRETCH):  # parts that stay in the processor's cache
        part, into = found[start : start + _STRETCH], values[start : start + _STRETCH]
        into[:] = part
        into[part < least] = np.nan
        if missing is not None:
            into[part == missing] = np.nan
    return time.astype("datetime64[ns]") + np.timedelta64(second, "s"), values.reshape(rows, columns)


def _axes(codes: ModuleType, handle: int) -> tuple[np.ndarray, np.ndarray]:
    kind = codes.codes_get(handle, "gridType")
    if kind != "regular_ll" or codes.codes_get(handle, "jPointsAreConsecutive", int):
        raise ValueError(f"its grid is {kind!r}; only regular latitude and longitude is read")
    axes = []
    for first, last, count in (
        ("latitudeOfFirstGridPointInDegrees", "latitudeOfLastGridPointInDegrees", "Nj"),
        ("longitudeOfFirstGridPointInDegrees", "longitudeOfLastGridPointInDegrees", "Ni"),
    ):
        start, stop = (codes.codes_get_double(handle, key) for key in (first, last))
        axes.append(np.linspace(start, stop, codes.codes_get(handle, count, int)))
    y, x = axes
    return y, (x - 360.0 if x.min() >= 180.0 else x)
