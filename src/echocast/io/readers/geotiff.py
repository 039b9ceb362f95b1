"""GeoTIFF of one or several bands: rain rate, reflectivity or amount, such as FMI's composites.

Unit, gain, offset, nodata, undetect and time are looked for in the file's tags and its GDAL metadata (the names that
FMI uses, or units, scale and offset of a band), and the time also in the file's name (``201609281445``,
``20160928_1445``, ``20160928T144500``). Several bands are several times, told by the tags or descriptions of the
bands. `variable` picks one band by its number. Needs rasterio (extra ``geotiff``).

Source: OGC GeoTIFF 1.1; FMI open data.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import MissingDependency, UnreadableFile
from echocast.io.readers import _cf
from echocast.io.readers._lookup import through_table
from echocast.io.stamps import time_in

SUFFIXES = (".tif", ".tiff")

_ITEM = re.compile(r'<Item name="([^"<>]{1,80})"((?: [a-z]+="[^"<>]{0,80}")*)>([^<>]{0,200})</Item>')
_TIME_NAMES = ("observation time", "time", "valid_time", "datetime", "timestamp", "tifftag_datetime")
_MOST_CELLS = 2**28
_SEVERAL = 512


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """TIFF or BigTIFF, either byte order."""
    return head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def read(
    path: Path, *, variable: str | None = None, units: str | None = None, zr: fields.ZR | None = None
) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it lacks a place, a unit or a time."""
    try:
        import rasterio
    except ImportError as bad:
        raise MissingDependency("rasterio", "geotiff") from bad
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path, driver="GTiff") as file:
        return _field(file, path.name, _cf.Selection(variable, units, zr))


def _field(file: Any, name: str, selection: _cf.Selection) -> xr.DataArray:
    if file.crs is None or file.transform.b or file.transform.d or not file.transform.a:
        raise UnreadableFile("does not say where it lies, or lies askew; give it a CRS and an upright grid")
    bands = _bands(file, selection.variable)
    if file.width * file.height * len(bands) > _MOST_CELLS:
        raise UnreadableFile(f"has {file.width} x {file.height} x {len(bands)} cells, more than one file may")
    tags = {key.lower(): str(value) for key, value in file.tags().items()} | _items(
        file.tags().get("GDAL_METADATA", "")
    )
    unit = selection.units or tags.get("unit") or tags.get("units") or file.units[bands[0] - 1] or ""
    if not unit:
        raise UnreadableFile("does not say its unit; give it with --units, such as dBZ or mm/h")
    relation = selection.zr or fields.MARSHALL_PALMER
    frames = {}
    for band in bands:
        time = _time(file, band, tags, name, alone=len(bands) == 1)
        if time in frames:
            raise UnreadableFile(f"two of its bands are of {time}; pick one as the variable")
        frames[time] = _rate(file, band, tags, unit, relation)
    order = sorted(frames)
    x = file.transform.c + (np.arange(file.width) + 0.5) * file.transform.a
    y = file.transform.f + (np.arange(file.height) + 0.5) * file.transform.e
    attrs = {"source": tags.get("tifftag_software") or tags.get("quantity") or "GeoTIFF"}
    if fields.kind_of_unit(unit) == "reflectivity":
        attrs["zr"] = str(relation)
    return fields.make(
        np.stack([frames[t] for t in order]),
        time=order,
        y=y,
        x=x,
        crs=file.crs.to_wkt(version="WKT2_2019"),
        attrs=attrs,
    )


def _bands(file: Any, variable: str | None) -> list[int]:
    if variable is None:
        if file.count > _SEVERAL:
            raise UnreadableFile(f"has {file.count} bands; pick one as the variable")
        return list(range(1, file.count + 1))
    if not variable.isdigit() or not 1 <= int(variable) <= file.count:
        raise UnreadableFile(f"has no band {variable!r}; its bands are 1 to {file.count}")
    return [int(variable)]


def _items(metadata: str) -> dict[str, str]:
    """The items of a GDAL metadata text, lower case, with the unit that the quantity's item may carry."""
    found = {}
    for name, attributes, value in _ITEM.findall(metadata):
        found[name.lower()] = value
        unit = re.search(r' unit="([^"]*)"', attributes)
        if unit:
            found["unit"] = unit[1]
    return found


def _rate(file: Any, band: int, tags: dict[str, str], unit: str, zr: fields.ZR) -> np.ndarray:
    raw = file.read(band)
    own = {key.lower(): str(value) for key, value in file.tags(band).items()}
    number = {name: _number(own.get(name) or tags.get(name)) for name in ("gain", "offset", "nodata", "undetect")}
    gain = file.scales[band - 1] if number["gain"] is None else number["gain"]
    offset = file.offsets[band - 1] if number["offset"] is None else number["offset"]
    nodata = file.nodatavals[band - 1] if number["nodata"] is None else number["nodata"]
    minutes = _number(own.get("interval_minutes") or tags.get("interval_minutes"))

    def decode(level: np.ndarray) -> np.ndarray:
        values = (gain * level.astype(np.float32) + offset).astype(np.float32)
        if number["undetect"] is not None:
            values[level == number["undetect"]] = -32.0 if fields.kind_of_unit(unit) == "reflectivity" else 0.0
        if nodata is not None:
            values[level == nodata] = np.nan
        values[~np.isfinite(values)] = np.nan
        return fields.to_rain_rate(values, unit, zr=zr, interval_s=60.0 * minutes if minutes else None)

    return through_table(raw, decode)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _time(file: Any, band: int, tags: dict[str, str], name: str, *, alone: bool) -> np.datetime64:
    own = {key.lower(): str(value) for key, value in file.tags(band).items()}
    texts = [own[key] for key in _TIME_NAMES if key in own] + [str(file.descriptions[band - 1] or "")]
    if alone:
        texts += [tags[key] for key in _TIME_NAMES if key in tags] + [name]
    for text in texts:
        found = time_in(text)
        if found is not None:
            return found
    what = "its file or name" if alone else f"the tags or description of band {band}"
    raise UnreadableFile(f"{what} tells no time; name the file like 201609281445_x.tif, or tag the bands")
