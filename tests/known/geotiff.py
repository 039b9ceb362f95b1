"""GeoTIFF: numbers of any type, scaled by band or tags, missing by nodata, mask or alpha, time told in many ways."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.transform import from_origin
from tests.known import Cell, Known, _draw

from echocast.io.reading import ReadOptions

PLACES = {
    "EPSG:3067": (1000.0, 300_000.0, 7_000_000.0),
    "EPSG:3035": (2000.0, 4_000_000.0, 3_000_000.0),
    "EPSG:4326": (0.01, 11.0, 46.0),
    "EPSG:2225": (3000.0, 6_000_000.0, 2_000_000.0),  # US survey feet
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6371000 +b=6371000 +units=km": (1.0, -100.0, -4300.0),
}
TYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
REFUSED = {
    "two stamps": "two different times",
    "a zone": "time zone",
    "undeclared": "--missing-value",
    "another product": "not known to be rain",
    "no unit": "--units",
}


@dataclass
class Packing:
    """How a file is packed: drawn once, filled by the functions below."""

    kind: str
    tags: dict[str, str]
    options: dict[str, Any]
    missing: float
    told: str


def write(folder: Path, drawn: np.random.Generator) -> Known:
    refused = str(drawn.choice(list(REFUSED))) if drawn.random() < 0.15 else ""
    spots = _draw.spots(drawn)
    reference = str(drawn.choice(list(PLACES)))
    cell, left, top = PLACES[reference]
    left, top = left + cell * int(drawn.integers(50)), top + cell * int(drawn.integers(50))
    kind = "int16" if refused == "undeclared" else str(drawn.choice(TYPES))
    unit = str(drawn.choice(["dBZ", "mm/h", "mm", "kg m-2 s-1"]))
    gain, offset = _scale(drawn, kind, unit)
    told = str(drawn.choice(["nodata", "tag", "mask", "alpha", "option"]))
    how = Packing(kind, {}, {}, {"uint8": 255, "uint16": 65535}.get(kind, -9999), told)
    if refused == "undeclared":
        how.told = "nothing"
    level, rate = _level(drawn, spots, how, unit, gain, offset)
    times, name = _times(drawn, how, refused)
    bands = len(times)
    south_up = bool(drawn.integers(2))
    path = folder / name
    profile = {"driver": "GTiff", "dtype": kind, "height": spots.shape[0], "width": spots.shape[1]}
    profile |= {"count": bands + (how.told == "alpha"), "crs": reference, "photometric": "MINISBLACK"}
    profile |= {"compress": str(drawn.choice(["none", "deflate", "lzw"]))}
    profile |= {"ENDIANNESS": str(drawn.choice(["LITTLE", "BIG"])), "BIGTIFF": str(drawn.choice(["YES", "NO"]))}
    if how.told == "nodata":
        profile["nodata"] = how.missing
    place = from_origin(left, top, cell, cell)
    if south_up:
        place = Affine(cell, 0, left, 0, cell, top - cell * spots.shape[0])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", transform=place, **profile) as file:
        for band in range(1, bands + 1):
            shown = level if band == bands else np.where(level == level[spots.bright], level[spots.dry], level)
            file.write(shown[::-1] if south_up else shown, band)
        seen = np.ones(spots.shape, bool)
        seen[spots.missing] = False
        seen = seen[::-1] if south_up else seen
        if how.told == "mask":
            file.write_mask(seen)
        if how.told == "alpha":
            file.colorinterp = [*[rasterio.enums.ColorInterp.gray] * bands, rasterio.enums.ColorInterp.alpha]
            file.write(np.where(seen, 255, 0).astype(kind), bands + 1)
        _describe(file, drawn, how, unit if refused != "no unit" else "", gain, offset, times, refused)
    cells = [
        Cell(*_degrees(reference, left + (spot[1] + 0.5) * cell, top - (spot[0] + 0.5) * cell), value)
        for spot, value in ((spots.bright, rate), (spots.dry, 0.0), (spots.missing, np.nan))
    ]
    if unit == "mm" and not refused and drawn.integers(2):
        how.options["interval"] = 15.0
    elif unit == "mm":
        with rasterio.open(path, "r+") as file:
            file.update_tags(interval_minutes="15")
    options = ReadOptions(**how.options)
    return Known(path, times, cells, spots.shape, options, refused=REFUSED.get(refused), tolerance=2e-3)


def _scale(drawn: np.random.Generator, kind: str, unit: str) -> tuple[float, float]:
    if unit == "dBZ":
        return (0.5, -32.0) if kind in ("uint8", "uint16") else [(0.1, 0.0), (1.0, 0.0)][int(drawn.integers(2))]
    return float(drawn.choice([0.1, 0.25, 1.0])) * (1 / 3600 if "s-1" in unit else 1.0), 0.0


def _level(
    drawn: np.random.Generator, spots: _draw.Spots, how: Packing, unit: str, gain: float, offset: float
) -> tuple[np.ndarray, float]:
    """The numbers of a frame, and the rate of its bright cell."""
    dry = 0.0 if unit != "dBZ" or offset else -10.0
    level = np.full(spots.shape, dry, how.kind)
    bright = float(drawn.integers(100, 180)) if unit == "dBZ" and offset else float(drawn.integers(20, 50))
    if unit == "dBZ" and not offset:
        bright = round(bright / gain)
    level[spots.bright] = bright
    level[spots.missing] = level[spots.dry] if how.told in ("mask", "alpha") else how.missing
    value = gain * bright + offset
    rate = {"dBZ": (10 ** (value / 10) / 200) ** (1 / 1.6), "mm": value * 4, "kg m-2 s-1": value * 3600}
    return level, rate.get(unit, value)


def _times(drawn: np.random.Generator, how: Packing, refused: str) -> tuple[list[np.datetime64], str]:
    """The times of the bands and the name of the file; tags and options that tell them."""
    time = _draw.time(drawn)
    stamp, later = (str(t)[:16].translate(str.maketrans("", "", "-:")) for t in (time, time + np.timedelta64(70, "m")))
    if refused == "two stamps":
        return [time], f"rain_{stamp}_made_{later}.tif"
    if refused == "a zone":
        how.tags["time"] = f"{str(time)[:16]} CEST"
        return [time], "rain.tif"
    way = int(drawn.integers(6))
    if way == 0:
        times = [time + n * np.timedelta64(5, "m") for n in range(int(drawn.integers(2, 6)))]
        return times, f"series_{later}.tif"
    how.tags["TIFFTAG_DATETIME"] = str(time + np.timedelta64(9, "h"))[:19].replace("-", ":").replace("T", " ")
    if way == 1:
        how.options["time_pattern"] = "rain_%Y%m%dT%H%M_made_*.tif"
        return [time], f"rain_{stamp}_made_{later}.tif"
    if way == 2:
        ahead = int(drawn.integers(-11, 13))
        local, zone = time + np.timedelta64(ahead, "h"), f"{ahead:+03d}{drawn.choice(['', ':'])}00"
        how.tags[str(drawn.choice(["time", "valid_time", "datetime"]))] = f"{str(local)[:19]}{zone}"
        return [time], f"rain_{later}.tif"
    names = [f"{stamp}.tif", f"x_{stamp.replace('T', '')}_y.tiff", f"{stamp.replace('T', '_')}Z.tif"]
    return [time], [*names, f"{stamp}00_and_{stamp}.tif"][int(drawn.integers(4))]


def _describe(
    file: Any,
    drawn: np.random.Generator,
    how: Packing,
    unit: str,
    gain: float,
    offset: float,
    times: list[np.datetime64],
    refused: str,
) -> None:
    tags = dict(how.tags)
    if drawn.integers(2):
        file.scales, file.offsets = (gain,) * file.count, (offset,) * file.count
    else:
        words = [("gain", "offset"), ("scale_factor", "add_offset"), ("Gain", "Offset")][int(drawn.integers(3))]
        tags |= {words[0]: repr(gain), words[1]: repr(offset)}
    if drawn.integers(2):
        tags["units"] = unit
    else:
        file.units = (unit,) * file.count
    if how.told == "tag":
        tags[str(drawn.choice(["nodata", "_FillValue"]))] = f"{how.missing:g}"
    if how.told == "option":
        how.options["missing_value"] = (float(how.missing),)
    if refused == "another product":
        tags["quantity"] = str(drawn.choice(["Echo top", "Hydrometeor class", "Probability of hail", "VIL"]))
    elif drawn.integers(2):
        tags["quantity"] = str(drawn.choice(["Corrected reflectivity", "rainfall_rate", "Precipitation"]))
    if drawn.integers(2):
        tags["AREA_OR_POINT"] = "Point"
    file.update_tags(**tags)
    if len(times) > 1:
        described = bool(drawn.integers(2))
        for band, time in enumerate(times, 1):
            if described:
                file.set_band_description(band, f"rain at {str(time)[:16]}")
            else:
                file.update_tags(band, time=str(time)[:19])


def _degrees(reference: str, x: float, y: float) -> tuple[float, float]:
    return (x, y) if reference == "EPSG:4326" else _draw.degrees(reference, x, y)
