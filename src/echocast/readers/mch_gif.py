"""MeteoSwiss composite, palette GIF: 5-minute rain rate of Switzerland on the Swiss grid.

Palette index i stands for Z = 10^((i - 71.5) / 20) = 316 A^1.5 with A in mm per interval of 5 minutes; 0, 1 and 251 to
254 are dry, 255 is no data. The name of the file and the comment in it hold product, time and interval: three letters
of the product, then year, day of the year, hour and minute, then the minutes (``AQC151351545F_00005...``); both must
agree. The grid is that of these composites, 710 x 640 cells of 1 km; the file does not tell where.

Source: MeteoSwiss; palette and grid as in the pysteps importer of the same product (Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019).
"""

import re
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import stamps
from echocast.io.damage import as_value_error
from echocast.readers._lookup import through_table

SUFFIXES = (".gif",)

_SHAPE = (640, 710)
_LEFT, _TOP, _CELL = 255_000.0, 480_000.0, 1000.0
_CRS = "EPSG:21781"
_NO_DATA = 255
_ZR = fields.ZR(316.0, 1.5, "MeteoSwiss, per 5 minutes")
_PRODUCTS = {"AQC": "Acquire, the radars' rain", "CPC": "CombiPrecip, radars and gauges"}
_STAMP = re.compile(r"(?<![A-Za-z])(?P<product>[A-Z]{3})(?P<time>\d{9})(?!\d)")
_NAMED = re.compile(r"[A-Z]{3}\d{9}[A-Z0-9]*_(\d{5})\.")
_COMMENT = re.compile(r"PRDT=(?P<product>[A-Z]{3})(?P<time>\d{9})\b")
_ACCUMULATED = re.compile(r"ACCUm=(\d+)")
_SCALE = re.compile(r"SCALE=(\S*)")
_KNOWN_SCALE = "mmh2LASSEN8bit"


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """A GIF whose comment names MeteoSwiss."""
    return head[:4] == b"GIF8" and b"meteoswiss" in head.lower()


def read(
    path: Path, *, variable: str | None = None, interval: float | None = None, time_pattern: str | None = None
) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it is not of a known product.

    Args:
        path: the file.
        variable: the three letters of a product that is packed like those known.
        interval: minutes that the amounts fell in, where neither name nor comment tells them.
        time_pattern: how the file's name spells its time; its comment may then tell another.
    """
    level, comment = _opened(path)
    time = stamps.by_pattern(path.name, time_pattern) if time_pattern else _time(path.name, comment)
    product = _product(path.name, comment, variable)
    minutes = interval or _minutes(path.name, comment)
    return fields.make(
        through_table(level, partial(_rate, per_hour=60.0 / minutes))[None],
        time=[time],
        y=_TOP - (np.arange(_SHAPE[0]) + 0.5) * _CELL,
        x=_LEFT + (np.arange(_SHAPE[1]) + 0.5) * _CELL,
        crs=_CRS,
        attrs={"source": f"MeteoSwiss composite {product}", "product": product, "zr": str(_ZR)},
    )


def _rate(level: np.ndarray, per_hour: float) -> np.ndarray:
    z = 10.0 ** ((level.astype(np.float32) - 71.5) / 20.0)
    rate = per_hour * (z / _ZR.a) ** (1.0 / _ZR.b)
    rate[(level < 2) | (level > 250)] = 0.0
    rate[level == _NO_DATA] = np.nan
    return np.asarray(rate)


def _opened(path: Path) -> tuple[np.ndarray, str]:
    """The palette indices and the comment."""
    with as_value_error(SyntaxError, TypeError), Image.open(path, formats=["GIF"]) as image:
        if (image.height, image.width) != _SHAPE or image.mode != "P":
            raise UnreadableFile(
                f"is a {image.mode} picture of {image.width} x {image.height};"
                f" these composites are palettes of {_SHAPE[1]} x {_SHAPE[0]}"
            )
        if getattr(image, "n_frames", 1) > 1 or len(image.getpalette() or ()) != 3 * 256:
            raise UnreadableFile(
                "is an animation, or its palette has not 256 colours: it was saved anew, and the numbers of its pixels"
                " may have changed; fetch the original"
            )
        comment = image.info.get("comment", b"")
        return np.array(image), comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)


def _product(name: str, comment: str, variable: str | None) -> str:
    """The product, which name and comment tell alike; raises `UnreadableFile` for one that is not known."""
    told = {found["product"] for found in (_STAMP.search(name), _COMMENT.search(comment)) if found}
    if len(told) > 1:
        raise UnreadableFile(f"its name and its comment tell different products ({', '.join(sorted(told))})")
    product = told.pop() if told else variable or "unknown"
    scale = _SCALE.search(comment)
    known = ", ".join(f"{letters} ({words})" for letters, words in _PRODUCTS.items())
    if product not in (*_PRODUCTS, variable):
        raise UnreadableFile(
            f"is of product {product}; known are {known}: --variable {product} reads it if it is packed like these"
        )
    if scale and not scale[1].startswith(_KNOWN_SCALE) and product != variable:
        raise UnreadableFile(f"its scale is {scale[1]!r}, known is {_KNOWN_SCALE!r}; --variable {product} insists")
    return product


def _minutes(name: str, comment: str) -> float:
    """The interval of the amounts, which name and comment tell alike."""
    named, commented = _NAMED.search(name), _ACCUMULATED.search(comment)
    told = {int(found[1]) for found in (named, commented) if found}
    if len(told) != 1 or 0 in told:
        listed = " and ".join(f"{minutes} min" for minutes in sorted(told)) or "no interval"
        raise UnreadableFile(
            f"its name and its comment tell {listed} for its amounts; give the minutes with --interval"
        )
    return float(told.pop())


def _time(name: str, comment: str) -> np.datetime64:
    """The time that the name and the comment tell alike."""
    found = {one["time"] for one in (*_STAMP.finditer(name), *_COMMENT.finditer(comment))}
    if len(found) > 1:
        raise UnreadableFile(
            f"its name and its comment tell different times ({', '.join(sorted(found))}); --time-pattern takes the one"
            " in its name"
        )
    try:
        return np.datetime64(datetime.strptime(found.pop() if found else "", "%y%j%H%M"), "ns")
    except ValueError as bad:
        raise UnreadableFile(
            "its name tells no time; these are named like AQC151351545F_00005.801.gif: give --time-pattern"
        ) from bad
