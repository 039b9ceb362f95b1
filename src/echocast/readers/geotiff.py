"""GeoTIFF of one or several bands: rain rate, reflectivity or amount, such as FMI's composites.

Unit, gain, offset, nodata, undetect and time are looked for in the file's tags and its GDAL metadata (the names that
FMI uses, or units, scale and offset of a band), and the time also in the file's name (``201609281445``,
``20160928_1445``, ``20160928T144500``). Cells that the mask or an alpha band hides are missing. Several bands are
several times, told by the tags or descriptions of the bands. `variable` picks one band by its number. Rain from the
reflectivity of FMI is by FMI's own relation, as in its PGM. Needs rasterio (extra ``geotiff``).

Source: OGC GeoTIFF 1.1; GDAL's data model of rasters; FMI open data.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import MissingDependency, UnreadableFile, WrongUnits
from echocast.fields.conversions import converted
from echocast.fields.times import NO_TIME
from echocast.io import stamps
from echocast.readers._lookup import check_undeclared, through_table

log = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff")

_ITEM = re.compile(r'<Item name="([^"<>]{1,80})"((?: [a-z]+="[^"<>]{0,80}")*)>([^<>]{0,200})</Item>')
_TIME_NAMES = ("observation time", "time", "valid_time", "datetime", "timestamp")
_MADE = "tifftag_datetime"
_ISSUE = "forecast_reference_time"
_NUMBERS = {
    "gain": ("gain", "scale", "scale_factor"),
    "offset": ("offset", "add_offset"),
    "nodata": ("nodata", "_fillvalue", "missing_value"),
    "undetect": ("undetect",),
}
_QUANTITIES = ("quantity", "standard_name", "long_name", "variable", "parameter", "product")
_RAIN = re.compile(r"reflectivity|dbzh?\b|\bt[hz]\b|\bzh?\b|rain|precip|\brr\b|\brate\b|\bacrr\b|\bqpe\b|\blwe\b")
_NO_RAIN = re.compile(
    r"differential|zdr|type|class|prob|quality|error|uncertain|hail|height|\btop|variance|deviation|flag|mask|phase"
)
_FMI = {"observation time", "quantity", "gain", "offset", "undetect"}
_FMI_ZR = fields.ZR_RELATIONS["fmi"]
_MOST_CELLS = 2**28
_SEVERAL = 512


@dataclass(frozen=True)
class _Options:
    """What the user says, for the functions below."""

    variable: str | None
    units: str | None
    zr: fields.ZR | None
    interval: float | None
    time_pattern: str | None
    missing: tuple[float, ...]


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """TIFF or BigTIFF, either byte order."""
    return head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def read(
    path: Path,
    *,
    variable: str | None = None,
    units: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    time_pattern: str | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it lacks a place, a unit or a time."""
    try:
        import rasterio
    except ImportError as bad:
        raise MissingDependency("rasterio", "geotiff") from bad
    beside = any(path.with_name(f"{path.name}{ending}").exists() for ending in (".aux.xml", ".msk"))
    how = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE" if beside else "EMPTY_DIR", "GTIFF_POINT_GEO_IGNORE": "FALSE"}
    with rasterio.Env(**how), rasterio.open(path, driver="GTiff") as file:
        return _field(file, path.name, _Options(variable, units, zr, interval, time_pattern, missing_value))


def of_quantity(path: Path, quantity: str, *, variable: str | None = None, units: str | None = None) -> xr.DataArray:
    """One band of a quantity that is no rain and does not change, such as a height: see `echocast.readers`."""
    try:
        import rasterio
    except ImportError as bad:
        raise MissingDependency("rasterio", "geotiff") from bad
    with rasterio.open(path, driver="GTiff") as file:
        _check_place(file)
        (band, *others) = _bands(file, variable)
        if others:
            raise UnreadableFile(f"has {file.count} bands; pick one with variable")
        said = _lower(file.tags(band)) | {"of_band": str(file.units[band - 1] or "")}
        unit = said["of_band"] or said.get("units") or said.get("unit") or units or ""
        raw = file.read(band, masked=True)
        values = np.where(np.ma.getmaskarray(raw), np.nan, raw.data * file.scales[band - 1] + file.offsets[band - 1])
        return fields.make(
            converted(values, unit, quantity, name=f"band {band}")[None].astype(np.float32),
            time=[NO_TIME],
            y=file.transform.f + (np.arange(file.height) + 0.5) * file.transform.e,
            x=file.transform.c + (np.arange(file.width) + 0.5) * file.transform.a,
            crs=file.crs.to_wkt(version="WKT2_2019"),
            quantity=quantity,
            attrs={"source": "GeoTIFF"},
        )


def _field(file: Any, name: str, options: _Options) -> xr.DataArray:
    _check_place(file)
    bands = _bands(file, options.variable)
    if file.width * file.height * len(bands) > _MOST_CELLS:
        raise UnreadableFile(f"has {file.width} x {file.height} x {len(bands)} cells, more than one file may")
    tags = _lower(file.tags()) | _items(file.tags().get("GDAL_METADATA", ""))
    if _ISSUE in tags:
        raise UnreadableFile("is a forecast, not an observation; give the radar files it was made from")
    relation = options.zr or (_FMI_ZR if tags.keys() >= _FMI else fields.MARSHALL_PALMER)
    frames = {}
    kinds = set()
    for band in bands:
        own = tags | _lower(file.tags(band))
        said = own.get("unit") or own.get("units") or file.units[band - 1] or ""
        unit = fields.agreed_unit(said, options.units)
        _check_product(own, unit, chosen=options.variable is not None)
        time = _time(file, band, tags, name, options.time_pattern, alone=len(bands) == 1)
        if time in frames:
            raise UnreadableFile(f"two of its bands are of {time}; pick one with --variable")
        frames[time] = _rate(file, band, own, unit, relation, options)
        kinds.add(fields.kind_of_unit(unit))
    order = sorted(frames)
    attrs = {"source": tags.get("tifftag_software") or tags.get("quantity") or "GeoTIFF"}
    if "reflectivity" in kinds:
        attrs["zr"] = str(relation)
    return fields.make(
        np.stack([frames[t] for t in order]),
        time=order,
        y=file.transform.f + (np.arange(file.height) + 0.5) * file.transform.e,
        x=file.transform.c + (np.arange(file.width) + 0.5) * file.transform.a,
        crs=file.crs.to_wkt(version="WKT2_2019"),
        attrs=attrs,
    )


def _check_place(file: Any) -> None:
    place = file.transform
    if file.crs is None or place.is_identity or place.b or place.d or not place.a or not place.e:
        raise UnreadableFile("does not say where it lies, or lies askew; give it a CRS and an upright grid")
    if not (file.crs.is_geographic or file.crs.is_projected):
        raise UnreadableFile(f"its CRS ({file.crs.to_string()[:80]}) is no place on Earth; give it one that is")


def _bands(file: Any, variable: str | None) -> list[int]:
    """The numbers of the bands to read; an alpha band is none."""
    if variable is None:
        alpha = _alpha(file)
        if file.count > _SEVERAL:
            raise UnreadableFile(f"has {file.count} bands; pick one with --variable")
        return [band for band in range(1, file.count + 1) if band != alpha]
    if not variable.isdigit() or not 1 <= int(variable) <= file.count:
        raise UnreadableFile(f"has no band {variable!r}; its bands are 1 to {file.count}")
    return [int(variable)]


def _alpha(file: Any) -> int | None:
    """The number of the alpha band. GDAL takes the fourth of four bands for one; if it has a time, it is none."""
    for band, meaning in enumerate(file.colorinterp, 1):
        if meaning.name == "alpha" and file.count > 1 and _own_time(file, band) is None:
            return band
    return None


def _check_product(tags: Mapping[str, str], unit: str, *, chosen: bool) -> None:
    """Raise for a unit that is missing or unknown, and for a quantity that is not rain, unless a band was chosen."""
    if not unit:
        raise UnreadableFile("does not say its unit; give it with --units, such as dBZ or mm/h")
    try:
        fields.kind_of_unit(unit)
    except WrongUnits as bad:
        raise WrongUnits(f"{bad}; --units says what the file does not") from None
    for name in _QUANTITIES:
        said = tags.get(name, "")
        words = said.lower().replace("_", " ")
        if words.strip() and not chosen and (_NO_RAIN.search(words) or not _RAIN.search(words)):
            raise UnreadableFile(
                f"its tag {name} says {said!r}, which is not known to be rain; --variable 1 takes its"
                " first band as rain"
            )


def _lower(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key.lower(): str(value) for key, value in tags.items()}


def _items(metadata: str) -> dict[str, str]:
    """The items of a GDAL metadata text, lower case, with the unit that the quantity's item may carry."""
    found = {}
    for name, attributes, value in _ITEM.findall(metadata):
        found[name.lower()] = value
        unit = re.search(r' unit="([^"]*)"', attributes)
        if unit:
            found["unit"] = unit[1]
    return found


def _rate(file: Any, band: int, tags: Mapping[str, str], unit: str, zr: fields.ZR, options: _Options) -> np.ndarray:
    raw = file.read(band)
    if raw.dtype.kind not in "iuf":
        raise UnreadableFile(f"its numbers are {raw.dtype}; rain is whole or real numbers")
    number = {name: _number(tags, names) for name, names in _NUMBERS.items()}
    gain = _agreed("gain", number["gain"], file.scales[band - 1], 1.0)
    offset = _agreed("offset", number["offset"], file.offsets[band - 1], 0.0)
    nodata = [n for n in (number["nodata"], file.nodatavals[band - 1], *options.missing) if n is not None]
    minutes = options.interval or _number(tags, ("interval_minutes",))

    def decode(level: np.ndarray) -> np.ndarray:
        values = (gain * level.astype(np.float32) + offset).astype(np.float32)
        if number["undetect"] is not None:
            values[level == number["undetect"]] = -32.0 if fields.kind_of_unit(unit) == "reflectivity" else 0.0
        for missing in nodata:
            values[level == missing] = np.nan
        values[~np.isfinite(values)] = np.nan
        return fields.to_rain_rate(values, unit, zr=zr, interval_s=60.0 * minutes if minutes else None)

    rate = through_table(raw, decode)
    hidden = _hidden(file, band)
    if hidden is not None:
        rate[hidden] = np.nan
    no_echo = np.isnan(rate) if number["undetect"] is None else np.isnan(rate) | (raw == number["undetect"])
    check_undeclared(raw, no_echo, gain, offset, unit, nodata)
    return rate


def _hidden(file: Any, band: int) -> np.ndarray | None:
    """Cells that the file's mask or its alpha band hides; None if it has neither."""
    alpha = _alpha(file)
    if alpha is not None and alpha != band:
        return np.asarray(file.read(alpha) == 0)
    flags = {flag.name for flag in file.mask_flag_enums[band - 1]}
    return None if flags & {"all_valid", "nodata", "alpha"} else np.asarray(file.read_masks(band) == 0)


def _number(tags: Mapping[str, str], names: tuple[str, ...]) -> float | None:
    """The number of the first of some tags that is there."""
    for name in names:
        if name in tags:
            try:
                return float(tags[name])
            except ValueError as bad:
                raise UnreadableFile(f"its tag {name} is {tags[name]!r}, not a number") from bad
    return None


def _agreed(what: str, tag: float | None, band: float, neutral: float) -> float:
    """A number that a tag and the band itself may both tell; raises `UnreadableFile` where they differ."""
    if tag is not None and band not in (neutral, tag):
        raise UnreadableFile(f"a tag says that its {what} is {tag:g}, the band itself says {band:g}; correct one")
    return band if tag is None else tag


def _time(
    file: Any, band: int, tags: Mapping[str, str], name: str, pattern: str | None, *, alone: bool
) -> np.datetime64:
    """The time of a band: as the pattern says, of its tags, its description, the file's tags, the file's name."""
    if pattern is not None:
        return stamps.by_pattern(name, pattern)
    found = _own_time(file, band)
    if alone and found is None:
        found = _tagged(tags)
        found = stamps.time_in(name) if found is None else found
    if alone and found is None and _MADE in tags:
        found = stamps.time_in(tags[_MADE], whole=True)
        log.warning("%s: its time, %s, is when the file was made; --time-pattern tells another", name, found)
    if found is None:
        what = "its file or name" if alone else f"the tags or description of band {band}"
        raise UnreadableFile(
            f"{what} tells no time; name the file like 201609281445_x.tif, tag the bands, or give --time-pattern"
        )
    return found


def _own_time(file: Any, band: int) -> np.datetime64 | None:
    """The time that the tags or the description of a band tell."""
    found = _tagged(_lower(file.tags(band)))
    return stamps.time_in(str(file.descriptions[band - 1] or "")) if found is None else found


def _tagged(tags: Mapping[str, str]) -> np.datetime64 | None:
    """The time of some tags; raises `UnreadableFile` if two of them differ."""
    found = {key: time for key in _TIME_NAMES if (time := stamps.time_in(tags.get(key, ""), whole=True)) is not None}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{key} {str(time)[:19]}" for key, time in found.items())
        raise UnreadableFile(f"its tags tell different times ({listed}); --time-pattern takes the one in its name")
    return next(iter(found.values()), None)
