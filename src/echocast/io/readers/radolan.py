"""DWD RADOLAN and RADKLIM binary, plain, gzip or tar: RY RW RH SF YW and others (mm), RX EX WX (dBZ), RV (mm).

Product, time, precision, interval and size are read from the header of each file; an amount is divided by its interval
and its time is the interval's end. Of RV, which is a forecast for two hours, the frame of the issue time is taken.
A tar may hold many frames; nothing is unpacked to the disk. Clutter and what no radar sees is no coverage.

Source: DWD, RADOLAN/RADVOR composite format, version 2.5, and RADKLIM; polar stereographic grid on the sphere of
6370.04 km, or on WGS 84 for the grid DE1200, whose corners (1.46330 E 55.86209 N,
3.56699 E 45.69643 N, ...) DWD gives as those of its outer edge.
"""

import re
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io.damage import is_damage
from echocast.io.readers import _packed

SUFFIXES = (".gz", ".bin", ".tar", ".tar.bz2", ".tar.gz")
GZIP = True

_START = re.compile(rb"(?P<product>[A-Z][A-Z0-9])(?P<time>\d{6})(?P<site>\d{5})(?P<month>\d{4})BY")
_HEADER = re.compile(
    rb"(?P<product>[A-Z][A-Z0-9])(?P<time>\d{6})\d{5}(?P<month>\d{4})"
    rb"BY *(?P<bytes>\d+)VS *\d+ *SW.{9,11}?PR *E(?P<power>[+-]\d\d)"
    rb"INT *(?P<interval>\d+)(?:U(?P<unit>\d))?GP *(?P<rows>\d+)x *(?P<columns>\d+)(?:VV *(?P<lead>\d+))?",
    re.DOTALL,
)
_REFLECTIVITY = (b"RX", b"EX", b"WX")
_PER_INTERVAL = {None: 1.0, b"0": 1.0, b"1": 1440.0}
_VALUE, _NO_DATA, _NEGATIVE, _CLUTTER = 0x0FFF, 0x2000, 0x4000, 0x8000
_NO_ECHO_SEEN, _BYTE_CLUTTER = 250, 249
_SPHERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6370040 +b=6370040 +units=m +no_defs"
_WGS84 = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +datum=WGS84 +units=m +no_defs"
_LOWER_LEFT = {
    (900, 900): (_SPHERE, -523_462.17, -4_658_644.72),
    (1100, 900): (_SPHERE, -443_462.17, -4_758_644.72),
    (1500, 1400): (_SPHERE, -673_462.17, -5_008_644.72),
    (1200, 1100): (_WGS84, -543_696.835_2, -4_822_088.861_9),
}
_CELL = 1000.0
_MOST_MEMBERS = 100_000


def recognises(head: bytes, path: Path) -> bool:
    """RADOLAN's header, or a tar whose first member has one or is named like a product of DWD."""
    return _START.match(head) is not None or (_is_tar(head) and _tar_of_radolan(path))


def read(path: Path, *, zr: fields.ZR | None = None) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it holds no observation or is of an unknown grid."""
    frames: dict[np.datetime64, np.ndarray] = {}
    product, shape = b"", (0, 0)
    for name, content in _contents(path):
        header = _HEADER.match(content)
        if header is None:
            raise UnreadableFile(f"{name}has no whole RADOLAN header; is it another product?")
        if int(header["lead"] or 0):
            continue
        this = (header["product"], (int(header["rows"]), int(header["columns"])))
        if frames and this != (product, shape):
            raise UnreadableFile(f"{name}is {this}, the others in this file are {(product, shape)}")
        product, shape = this
        frames[_time(header)] = _rate(header, content, zr or fields.MARSHALL_PALMER)
    if not frames:
        raise UnreadableFile("holds no observation, only forecasts or nothing")
    crs, y, x = _grid(shape)
    order = sorted(frames)
    attrs = {"source": f"DWD {product.decode()}", "product": product.decode()}
    if product in _REFLECTIVITY:
        attrs["zr"] = str(zr or fields.MARSHALL_PALMER)
    return fields.make(np.stack([frames[t] for t in order]), time=order, y=y, x=x, crs=crs, attrs=attrs)


def _time(header: re.Match[bytes]) -> np.datetime64:
    stamp = (header["time"][:2] + header["month"] + header["time"][2:]).decode()
    return np.datetime64(datetime.strptime(stamp, "%d%m%y%H%M"), "ns")


def _rate(header: re.Match[bytes], content: bytes, zr: fields.ZR) -> np.ndarray:
    """mm/h, north up; the file begins in the south."""
    end = content.find(b"\x03", header.end(), header.end() + 4096)
    if end < 0:
        raise ValueError("its header has no end")
    rows, columns = int(header["rows"]), int(header["columns"])
    wide = header["product"] not in _REFLECTIVITY
    pixels = content[end + 1 :]
    if (rows, columns) not in _LOWER_LEFT or len(pixels) != rows * columns * (2 if wide else 1):
        raise ValueError(f"holds {len(pixels)} bytes for {columns} x {rows} cells")
    level = np.frombuffer(pixels, "<u2" if wide else "u1").reshape(rows, columns)[::-1]
    if not wide:
        dbz = np.where(level >= _BYTE_CLUTTER, np.nan, level.astype(np.float32) / 2.0 - 32.5)
        return fields.rain_rate(dbz, zr)
    minutes = int(header["interval"]) * _PER_INTERVAL.get(header["unit"], 0.0)
    if minutes <= 0:
        raise ValueError(f"an interval of {minutes:g} min")
    per_hour = 10.0 ** int(header["power"]) * 60.0 / minutes
    table = (np.arange(_VALUE + 1) * per_hour).astype(np.float32)
    rate = table[level & _VALUE]
    rate[(level & _NEGATIVE) != 0] = 0.0
    rate[(level & (_NO_DATA | _CLUTTER)) != 0] = np.nan
    return np.asarray(rate)


def _grid(shape: tuple[int, int]) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    if shape not in _LOWER_LEFT:
        known = ", ".join(f"{rows} x {columns}" for rows, columns in _LOWER_LEFT)
        raise UnreadableFile(f"its grid of {shape[0]} x {shape[1]} is none of DWD's ({known})")
    proj4, left, bottom = _LOWER_LEFT[shape]
    y = bottom + (np.arange(shape[0])[::-1] + 0.5) * _CELL
    return fields.known_crs(proj4), y, left + (np.arange(shape[1]) + 0.5) * _CELL


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """For messages the name within the file, and the (unpacked) content, of each frame."""
    with path.open("rb") as file:
        head = file.read(512)
    if not _is_tar(head) and _first_member(path) is None:
        yield "", _packed.content(path)
        return
    with tarfile.open(path, "r|*") as tar:
        for number, member in enumerate(tar):
            if number >= _MOST_MEMBERS or member.size > _packed.MOST_BYTES:
                raise UnreadableFile("has too many or too big members; look at it")
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield f"{member.name[:80]} in it ", _packed.unpacked(stream.read())


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar" or head[:3] == b"BZh"


def _first_member(path: Path) -> tuple[str, bytes] | None:
    try:
        with tarfile.open(path, "r|*") as tar:
            member = tar.next()
            stream = tar.extractfile(member) if member is not None and member.isfile() else None
            return None if member is None or stream is None else (member.name, stream.read(512))
    except Exception as error:
        if not is_damage(error):
            raise
        return None  # it is no tar


def _tar_of_radolan(path: Path) -> bool:
    first = _first_member(path)
    if first is None:
        return False
    name, head = first
    return _START.match(head) is not None or re.match(r"(DE1200_|raa01-)", Path(name).name) is not None
