"""FMI composite, PGM (plain or gzip): 8-bit reflectivity of Finland on a polar stereographic grid.

dBZ = (pixel - 64) / 2, 255 is no data; rain by Z = 223 R^1.53, FMI's own relation. Projection, corners and time are
read from the comments of the header. The corners are taken on the WGS 84 ellipsoid: so placed, the frames match FMI's
own GeoTIFFs of the same moments, which they do not on the sphere that the header's pixel size suggests. The product is
checked: its name, and where the header tells them, its parameter and type.

Source: Finnish Meteorological Institute, open data; Leinonen et al. 2012 for the Z-R relation.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile
from echocast.readers import _packed
from echocast.readers._lookup import through_table

SUFFIXES = (".pgm", ".pgm.gz")
GZIP = True

_ZR = fields.ZR_RELATIONS["fmi"]
_NO_DATA = 255
_RAIN = {
    "productname": ("lowest",),
    "producttype": ("cappi", "ppi", "lowest", "composite"),
    "param": ("correctedreflectivity", "reflectivity", "dbz", "dbzh"),
}
"""What the header of a composite of reflectivity near the ground says."""
_MOST_OFF = 0.03
"""How much the size of a cell by its corners may differ from the one that the header tells."""
_HEADER = re.compile(rb"P5\s(?P<comments>(?:\s*#[^\n]*\n)+)\s*(?P<width>\d+)\s+(?P<height>\d+)\s+(?P<maximum>\d+)\s")


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """A binary PGM whose comments speak of a radar composite."""
    return head[:2] == b"P5" and b"# obstime" in head and b"# projection" in head


def read(
    path: Path,
    *,
    variable: str | None = None,
    zr: fields.ZR | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file.

    Args:
        path: the file.
        variable: the name of a product that holds reflectivity of rain though it is not known.
        zr: in place of FMI's own relation.
        missing_value: more numbers that mean "not observed".
    """
    content = _packed.content(path)
    header = _HEADER.match(content)
    if header is None:
        raise UnreadableFile("has no PGM header with FMI's comments; is it another product?")
    comments = _comments(header["comments"].decode("latin-1"))
    _check_product(comments, variable)
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
    decode = partial(_rate, zr=zr or _ZR, missing=(_NO_DATA, *missing_value))
    return fields.make(through_table(level, decode), time=[time], y=y, x=x, crs=crs, attrs=attrs)


def _rate(level: np.ndarray, zr: fields.ZR, missing: tuple[float, ...]) -> np.ndarray:
    return fields.rain_rate(np.where(np.isin(level, missing), np.nan, (level.astype(np.float32) - 64.0) / 2.0), zr)


def _check_product(comments: dict[str, str], variable: str | None) -> None:
    """Raise `UnreadableFile` unless the header tells a product of reflectivity, or `variable` names it."""
    name = comments.get("productname", "")
    if variable is not None and variable.lower() == name.lower():
        return
    for key, known in _RAIN.items():
        said = comments.get(key, "lowest" if key == "producttype" else "reflectivity" if key == "param" else "")
        if said.lower() not in known:
            raise UnreadableFile(
                f"its {key} is {said!r}; known as reflectivity of rain is {', '.join(known)}: --variable"
                f" {name or 'NAME'} reads the product {name!r} all the same"
            )


def _comments(text: str) -> dict[str, str]:
    """The header's words; raises `ValueError` for one that it tells twice in different ways (but radars)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        word, _, rest = line.lstrip("# ").partition(" ")
        if found.get(word, rest.strip()) != rest.strip() and word in (*_RAIN, "obstime", "bottomleft", "topright"):
            raise ValueError(f"the header tells {word} twice: {found[word]!r} and {rest.strip()!r}")
        if word:
            found[word] = rest.strip()
    return found


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
    for word, size in (("metersperpixel_x", (right - left) / width), ("metersperpixel_y", (top - bottom) / height)):
        if word in comments and abs(float(comments[word]) / size - 1) > _MOST_OFF:
            raise GridMismatch(f"its corners make cells of {size:.0f} m, its {word} says {comments[word]}")
    y = top - (np.arange(height) + 0.5) * (top - bottom) / height
    return crs, y, x


def _corner(text: str) -> tuple[float, float]:
    longitude, latitude = text.split()[:2]
    return float(longitude), float(latitude)
