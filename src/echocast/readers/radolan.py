"""DWD RADOLAN and RADKLIM binary: RY RW SF YW RV RE RQ W1 and others (mm), RX EX WX WN (dBZ); plain, gzip, bzip2, tar.

Product, time, precision, interval, size and version are read from the header of each file; an amount is divided by its
interval and its time is the interval's end. Of what is a forecast (RV, WN, RQ, RE, RS) the frame of the issue time is
taken. Products that are no rain (hydrometeor classes, pictures, shares of a mean) are refused by name. A tar may hold
many frames; nothing is unpacked to the disk. Clutter and what no radar sees is no coverage.

Source: DWD, RADOLAN/RADVOR composite format, version 2.5, and RADKLIM; polar stereographic grid on the sphere of
6370.04 km, or, for the grid DE1200 since version 5 of the format, on WGS 84, where DWD gives the corners of its outer
edge (1.46330 E 55.86209 N, 3.56699 E 45.69643 N, ...).
"""

import bz2
import io
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
from echocast.readers import _packed

SUFFIXES = (".gz", ".bin", ".tar", ".tar.bz2", ".tar.gz")
GZIP = True

_START = re.compile(rb"(?P<product>[A-Z][A-Z0-9])(?P<time>\d{6})(?P<site>\d{5})(?P<month>\d{4})BY")
_HEADER = re.compile(
    rb"(?P<product>[A-Z][A-Z0-9])(?P<time>\d{6})\d{5}(?P<month>\d{4})"
    rb"BY *(?P<bytes>\d+)VS *(?P<version>\d+) *SW.{9,11}?PR *E(?P<power>[+-]\d\d)"
    rb"INT *(?P<interval>\d+)(?:U *(?P<unit>\d))?GP *(?P<rows>\d+)x *(?P<columns>\d+)(?P<rest>[^\x03]*)",
    re.DOTALL,
)
_LEAD = re.compile(rb"VV *(\d+)")
_BYTES = (b"RX", b"EX", b"WX")
_REFLECTIVITY = (*_BYTES, b"WN")
_MINUTES = {
    **dict.fromkeys((b"RZ", b"RY", b"RV", b"YW", b"EZ", b"EY"), 5),
    **dict.fromkeys((b"RH", b"RB", b"RW", b"RL", b"RU", b"RQ", b"RE", b"RS", b"EH", b"EB", b"EW"), 60),
    **{b"SQ": 360, b"SH": 720, b"SF": 1440},
    **{b"W1": 7 * 1440, b"W2": 14 * 1440, b"W3": 21 * 1440, b"W4": 30 * 1440},
}
"""The amounts and their intervals; the header must say the same."""
_NO_RAIN = {
    b"HG": "a class of hydrometeors",
    **dict.fromkeys((b"FX", b"FZ"), "a forecast of reflectivity"),
    **dict.fromkeys((b"PG", b"PC", b"PZ", b"PF", b"PL", b"PX"), "a picture of classes of reflectivity"),
    **dict.fromkeys((b"PE", b"PD", b"PR", b"PV"), "a picture of echo tops or winds"),
    b"RD": "a difference of amounts",
    b"QY": "a quality",
}
_PER_INTERVAL = {None: 1.0, b"0": 1.0, b"1": 1440.0}
_VALUE, _NO_DATA, _NEGATIVE, _CLUTTER = 0x0FFF, 0x2000, 0x4000, 0x8000
_BYTE_CLUTTER = 249
_SPHERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6370040 +b=6370040 +units=m +no_defs"
_WGS84 = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +datum=WGS84 +units=m +no_defs"
_DE1200, _FIRST_ON_WGS84 = (1200, 1100), 5
_LOWER_LEFT = {
    (900, 900): (_SPHERE, -523_462.17, -4_658_644.72),
    (1100, 900): (_SPHERE, -443_462.17, -4_758_644.72),
    (1500, 1400): (_SPHERE, -673_462.17, -5_008_644.72),
    _DE1200: (_SPHERE, -543_462.17, -4_808_644.72),
}
_LOWER_LEFT_WGS84 = (_WGS84, -543_696.835_2, -4_822_088.861_9)
_CELL = 1000.0
_USTAR = b"ustar"
_TAR_NAME = re.compile(r"\.(tar|tgz|tbz2?)(\.\w+)?$")
_MOST_MEMBERS = 100_000


def recognises(head: bytes, path: Path) -> bool:
    """RADOLAN's header, or a tar whose first member has one or is named like a product of DWD."""
    if _is_bz2(head) and _first_member(path) is None:
        with bz2.open(path) as stream:
            head = stream.read(512)
    return _START.match(head) is not None or (_is_tar(head) and _tar_of_radolan(path))


def read(path: Path, *, zr: fields.ZR | None = None) -> xr.DataArray:
    """The field of one file; raises `UnreadableFile` if it holds no observation or is of an unknown grid."""
    frames: dict[np.datetime64, np.ndarray] = {}
    relation = zr or fields.MARSHALL_PALMER
    kind: tuple[str, str, str] | None = None
    grid = None
    for name, content in _contents(path):
        header = _header(name, content)
        if _lead(header):
            continue
        earth = "on WGS 84" if _is_on_wgs84(header) else "on the sphere"
        this = (header["product"].decode(), " x ".join(map(str, _shape(header))), earth)
        if kind not in (None, this):
            raise UnreadableFile(f"{name}is {' '.join(this)}, others in this file are {' '.join(kind or ())}; split it")
        kind, grid = this, grid or _grid(_shape(header), on_wgs84=_is_on_wgs84(header))
        rate, time = _rate(header, content, relation), _time(header)
        if time in frames and not np.array_equal(frames[time], rate, equal_nan=True):
            raise UnreadableFile(f"{name}is another {this[0]} of {time} than one before it; split the file")
        frames[time] = rate
    if kind is None or grid is None:
        raise UnreadableFile("holds no observation, only forecasts or nothing")
    order, (crs, y, x) = sorted(frames), grid
    attrs = {"source": f"DWD {kind[0]}", "product": kind[0]}
    if kind[0].encode() in _REFLECTIVITY:
        attrs["zr"] = str(relation)
    return fields.make(np.stack([frames[t] for t in order]), time=order, y=y, x=x, crs=crs, attrs=attrs)


def _header(name: str, content: bytes) -> re.Match[bytes]:
    """The header of a product that is rain; raises `UnreadableFile` for another, by its name."""
    start = _START.match(content)
    product = start["product"] if start else b""
    if start and product not in (*_REFLECTIVITY, *_MINUTES):
        known = " ".join(sorted(p.decode() for p in (*_REFLECTIVITY, *_MINUTES)))
        what = _NO_RAIN.get(product, "none that is known to be rain")
        raise UnreadableFile(f"{name}is the product {product.decode()} of DWD, {what}; {known} are read")
    header = _HEADER.match(content)
    if header is None:
        raise UnreadableFile(f"{name}has no whole RADOLAN header; is it another product?")
    return header


def _lead(header: re.Match[bytes]) -> int:
    """Minutes of a forecast; 0 of an observation."""
    found = _LEAD.search(header["rest"].partition(b"<")[0])
    return int(found[1]) if found else 0


def _time(header: re.Match[bytes]) -> np.datetime64:
    stamp = (header["time"][:2] + header["month"] + header["time"][2:]).decode()
    return np.datetime64(datetime.strptime(stamp, "%d%m%y%H%M"), "ns")


def _rate(header: re.Match[bytes], content: bytes, zr: fields.ZR) -> np.ndarray:
    """mm/h, north up; the file begins in the south."""
    end = content.find(b"\x03", header.end(), header.end() + 4096)
    if end < 0:
        raise ValueError("its header has no end")
    rows, columns = int(header["rows"]), int(header["columns"])
    wide = header["product"] not in _BYTES
    pixels = content[end + 1 :]
    if len(pixels) != rows * columns * (2 if wide else 1):
        raise ValueError(f"holds {len(pixels)} bytes for {columns} x {rows} cells")
    level = np.frombuffer(pixels, "<u2" if wide else "u1").reshape(rows, columns)[::-1]
    if not wide:
        dbz = np.where(level >= _BYTE_CLUTTER, np.nan, level.astype(np.float32) / 2.0 - 32.5)
        return fields.rain_rate(dbz, zr)
    rate = _table(header, zr)[level & _VALUE]
    rate[(level & _NEGATIVE) != 0] = 0.0
    rate[(level & (_NO_DATA | _CLUTTER)) != 0] = np.nan
    return np.asarray(rate)


def _table(header: re.Match[bytes], zr: fields.ZR) -> np.ndarray:
    """The rain rate of each number of 12 bits."""
    numbers, precision = np.arange(_VALUE + 1), 10.0 ** int(header["power"])
    if header["product"] in _REFLECTIVITY:
        return fields.rain_rate((numbers * precision / 2.0 - 32.5).astype(np.float32), zr)
    minutes = int(header["interval"]) * _PER_INTERVAL.get(header["unit"], 0.0)
    if minutes != _MINUTES[header["product"]]:
        raise ValueError(
            f"an interval of {minutes:g} min, but {header['product'].decode()} is of {_MINUTES[header['product']]} min"
        )
    return np.asarray((numbers * (precision * 60.0 / minutes)).astype(np.float32))


def _shape(header: re.Match[bytes]) -> tuple[int, int]:
    return int(header["rows"]), int(header["columns"])


def _is_on_wgs84(header: re.Match[bytes]) -> bool:
    return _shape(header) == _DE1200 and int(header["version"]) >= _FIRST_ON_WGS84


def _grid(shape: tuple[int, int], *, on_wgs84: bool = True) -> tuple[pyproj.CRS, np.ndarray, np.ndarray]:
    """Projection and cell centres; only DE1200 may be on the ellipsoid."""
    if shape not in _LOWER_LEFT:
        known = ", ".join(f"{rows} x {columns}" for rows, columns in _LOWER_LEFT)
        raise UnreadableFile(f"its grid of {shape[0]} x {shape[1]} is none of DWD's ({known})")
    proj4, left, bottom = _LOWER_LEFT_WGS84 if on_wgs84 and shape == _DE1200 else _LOWER_LEFT[shape]
    y = bottom + (np.arange(shape[0])[::-1] + 0.5) * _CELL
    return fields.known_crs(proj4), y, left + (np.arange(shape[1]) + 0.5) * _CELL


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """For messages the name within the file, and the (unpacked) content, of each frame."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[257:262] != _USTAR and _first_member(path) is None:
        yield "", _unpacked(path.read_bytes() if _is_bz2(head) else _packed.content(path))
        return
    with tarfile.open(path, "r|*") as tar:
        for number, member in enumerate(tar):
            if number >= _MOST_MEMBERS or member.size > _packed.MOST_BYTES:
                raise UnreadableFile("has too many or too big members; look at it")
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield f"{member.name[:80]} in it ", _unpacked(stream.read())


def _is_tar(head: bytes) -> bool:
    return head[257:262] == _USTAR or _is_bz2(head)


def _is_bz2(head: bytes) -> bool:
    return head[:3] == b"BZh"


def _unpacked(data: bytes) -> bytes:
    """Bytes, unpacked if they are gzip or bzip2, within the limit for one file."""
    if not _is_bz2(data):
        return _packed.unpacked(data)
    with bz2.BZ2File(io.BytesIO(data)) as stream:
        found = stream.read(_packed.MOST_BYTES + 1)
    if len(found) > _packed.MOST_BYTES:
        raise ValueError(f"it unpacks to more than {_packed.MOST_BYTES:,} bytes, the limit for one file")
    return found


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
    is_named_so = re.match(r"(DE1200_|raa01-)", Path(name).name) is not None and not _TAR_NAME.search(name)
    return _START.match(head) is not None or is_named_so
