"""FMI composite, PGM (plain or gzip): 8-bit reflectivity of Finland on a polar stereographic grid.

dBZ = (pixel - 64) / 2, 255 is no data; rain by Z = 223 R^1.53, FMI's own relation. Projection, corners and time are
read from the comments of the header. The corners are taken on the WGS 84 ellipsoid: so placed, the frames match FMI's
own GeoTIFFs of the same moments, which they do not on the sphere that the header's pixel size suggests.

Source: Finnish Meteorological Institute, open data; Leinonen et al. 2012 for the Z-R relation.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.readers import _packed
from echocast.io.readers._lookup import through_table

SUFFIXES = (".pgm", ".pgm.gz")

_ZR = fields.ZR(223.0, 1.53, "FMI")
_NO_DATA = 255
_HEADER = re.compile(rb"P5\s(?P<comments>(?:\s*#[^\n]*\n)+)\s*(?P<width>\d+)\s+(?P<height>\d+)\s+(?P<maximum>\d+)\s")


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """A binary PGM whose comments speak of a radar composite."""
    return head[:2] == b"P5" and b"# obstime" in head and b"# projection" in head


def read(path: Path, *, zr: fields.ZR | None = None) -> xr.DataArray:
    """The field of one file."""
    content = _packed.content(path)
    header = _HEADER.match(content)
    if header is None:
        raise UnreadableFile("has no PGM header with FMI's comments; is it another product?")
    comments = dict(_comments(header["comments"].decode("latin-1")))
    width, height = int(header["width"]), int(header["height"])
    pixels = content[header.end() :]
    if len(pixels) != width * height or int(header["maximum"]) != _NO_DATA:
        raise UnreadableFile(
            f"holds {len(pixels)} of {width} x {height} pixels; it is truncated or no 8-bit PGM: fetch it again"
        )
    time = np.datetime64(_stamp(comments["obstime"]), "ns")
    crs, y, x = _grid(comments, width, height)
    level = np.frombuffer(pixels, np.uint8).reshape(1, height, width)
    attrs = {"source": f"FMI composite {comments.get('productname', '')}".strip(), "zr": str(zr or _ZR)}
    return fields.make(through_table(level, partial(_rate, zr=zr or _ZR)), time=[time], y=y, x=x, crs=crs, attrs=attrs)


def _rate(level: np.ndarray, zr: fields.ZR) -> np.ndarray:
    return fields.rain_rate(np.where(level == _NO_DATA, np.nan, (level.astype(np.float32) - 64.0) / 2.0), zr)


def _comments(text: str) -> list[tuple[str, str]]:
    lines = [line.lstrip("# ").split(maxsplit=1) for line in text.splitlines() if line.strip("# ")]
    return [(words[0], words[1] if len(words) > 1 else "") for words in lines]


def _stamp(text: str) -> str:
    if not re.fullmatch(r"\d{12}", text.strip()):
        raise ValueError(f"obstime {text!r}")
    t = text.strip()
    return f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:{t[10:12]}"


def _grid(comments: dict[str, str], width: int, height: int) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    """Projection and cell centres, y from north to south."""
    if comments["type"] != "stereographic":
        raise ValueError(f"projection {comments['type']!r}")
    lat_0, lat_ts, lon_0 = (float(comments[n]) for n in ("centrallatitude", "truelatitude", "centrallongitude"))
    crs = fields.known_crs(f"+proj=stere +lat_0={lat_0} +lat_ts={lat_ts} +lon_0={lon_0} +datum=WGS84 +type=crs")
    left, bottom = fields.corner(crs, *_corner(comments["bottomleft"]))
    right, top = fields.corner(crs, *_corner(comments["topright"]))
    x = left + (np.arange(width) + 0.5) * (right - left) / width
    y = top - (np.arange(height) + 0.5) * (top - bottom) / height
    return crs, y, x


def _corner(text: str) -> tuple[float, float]:
    longitude, latitude = text.split()[:2]
    return float(longitude), float(latitude)
