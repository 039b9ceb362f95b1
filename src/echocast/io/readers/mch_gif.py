"""MeteoSwiss composite, palette GIF: 5-minute rain rate of Switzerland on the Swiss grid.

Palette index i stands for Z = 10^((i - 71.5) / 20) = 316 A^1.5 with A in mm per 5 minutes; 0, 1 and 251 to 254 are dry,
255 is no data. The file name holds the time: three letters of the product, then year, day of the year, hour and minute
(``AQC151351545...``). The grid is that of these composites, 710 x 640 cells of 1 km; the file does not tell where.

Source: MeteoSwiss; palette and grid as in the pysteps importer of the same product (Pulkkinen et al. 2019,
doi:10.5194/gmd-12-4185-2019).
"""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.damage import as_value_error
from echocast.io.readers._lookup import through_table

SUFFIXES = (".gif",)

_SHAPE = (640, 710)
_LEFT, _TOP, _CELL = 255_000.0, 480_000.0, 1000.0
_CRS = "EPSG:21781"
_NO_DATA = 255
_ZR = fields.ZR(316.0, 1.5, "MeteoSwiss, per 5 minutes")
_PER_HOUR = 12.0
_STAMP = re.compile(r"[A-Z]{3}(\d{9})")


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """A GIF whose comment names MeteoSwiss."""
    return head[:4] == b"GIF8" and b"meteoswiss" in head.lower()


def read(path: Path) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it is not of this product."""
    return fields.make(
        through_table(_pixels(path), _rate)[None],
        time=[_time(path)],
        y=_TOP - (np.arange(_SHAPE[0]) + 0.5) * _CELL,
        x=_LEFT + (np.arange(_SHAPE[1]) + 0.5) * _CELL,
        crs=_CRS,
        attrs={"source": f"MeteoSwiss composite {path.name[:3]}", "product": path.name[:3], "zr": str(_ZR)},
    )


def _rate(level: np.ndarray) -> np.ndarray:
    z = 10.0 ** ((level.astype(np.float32) - 71.5) / 20.0)
    rate = _PER_HOUR * (z / _ZR.a) ** (1.0 / _ZR.b)
    rate[(level < 2) | (level > 250)] = 0.0
    rate[level == _NO_DATA] = np.nan
    return np.asarray(rate)


def _pixels(path: Path) -> np.ndarray:
    with as_value_error(SyntaxError, TypeError), Image.open(path, formats=["GIF"]) as image:
        if (image.height, image.width) != _SHAPE or image.mode != "P":
            raise UnreadableFile(
                f"is a {image.mode} picture of {image.width} x {image.height};"
                f" these composites are palettes of {_SHAPE[1]} x {_SHAPE[0]}"
            )
        return np.array(image)


def _time(path: Path) -> np.datetime64:
    stamp = _STAMP.search(path.name)
    try:
        return np.datetime64(datetime.strptime(stamp[1] if stamp else "", "%y%j%H%M"), "ns")
    except ValueError as bad:
        raise UnreadableFile("its name tells no time; these are named like AQC151351545F_00005.801.gif") from bad
