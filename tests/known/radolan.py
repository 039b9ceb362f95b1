"""DWD's binary composites: amounts and reflectivity of one and two bytes, flags, versions, plain, packed, in tars."""

import bz2
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from tests.known import Cell, Known, _draw

_SPHERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6370040 +b=6370040"
_WGS84 = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +datum=WGS84"
_GRIDS = {  # by rows and columns: the place of the lower left corner, on the sphere by DWD's reference 9 E 51 N
    (900, 900): (_SPHERE, -523_462.17, -4_658_644.72),
    (1100, 900): (_SPHERE, -443_462.17, -4_758_644.72),
    (1200, 1100): (_WGS84, -543_696.835_2, -4_822_088.861_9),
}
_PRODUCTS = {  # kind, precisions, minutes as the header says them
    "RX": ("bytes", (0,), "   5"),
    "WX": ("bytes", (0,), "   5"),
    "WN": ("dBZ", (-1,), "   5"),
    "RY": ("mm", (-2,), "   5"),
    "YW": ("mm", (-2,), "   5"),
    "RV": ("mm", (-2,), "   5"),
    "RW": ("mm", (-1, -2), "  60"),
    "RQ": ("mm", (-1,), "  60"),
    "SH": ("mm", (-1,), " 720"),
    "SF": ("mm", (-1,), "1440"),
    "W1": ("mm", (0, -1), "   7U1"),
    "W4": ("mm", (0,), "  30U1"),
}
_OTHERS = {"HG": "hydrometeors", "PG": "a picture", "FX": "a forecast", "ZZ": "none that is known"}
_NO_DATA, _CLUTTER, _SECONDARY = 0x29C4, 0x8000, 0x1000


def write(folder: Path, drawn: np.random.Generator) -> Known:
    product = str(drawn.choice(list(_PRODUCTS)))
    kind, precisions, interval = _PRODUCTS[product]
    forecast = product in ("RV", "WN", "RQ")
    shape = (1200, 1100) if product in ("RV", "WN") else (900, 900) if drawn.random() < 0.8 else (1100, 900)
    spots, time = _draw.spots(drawn, *shape), _draw.time(drawn)
    bright, power = int(drawn.integers(90, 140)), int(drawn.choice(precisions))
    level = np.zeros(shape, "u1" if kind == "bytes" else "<u2")
    level[spots.bright] = bright * 10 if kind == "dBZ" else bright
    if kind == "mm" and drawn.integers(2):
        level[spots.bright] |= _SECONDARY
    level[spots.missing] = drawn.choice([249, 250]) if kind == "bytes" else drawn.choice([_NO_DATA, _CLUTTER | 7])
    content = _content(product, time, level, f"PR E{power:+03d}INT{interval}", 0 if forecast else None)
    refused = None
    if drawn.random() < 0.05:
        other = str(drawn.choice(list(_OTHERS)))
        content, refused = other.encode() + content[2:], _OTHERS[other]
    later = _content(product, time, level[::-1], f"PR E{power:+03d}INT{interval}", 5) if forecast else None
    path = _packed(drawn, folder, content, later)
    proj4, left, bottom = _GRIDS[shape]

    def place(spot: tuple[int, int]) -> tuple[float, float]:
        return _draw.degrees(proj4, left + 1000 * (spot[1] + 0.5), bottom + 1000 * (shape[0] - spot[0] - 0.5))

    number, _, unit = interval.partition("U")
    hours = int(number) / 60 * (1440 if unit else 1)
    rate = bright * 10.0**power / hours if kind == "mm" else (10 ** ((bright / 2 - 32.5) / 10) / 200) ** 0.625
    cells = [Cell(*place(spots.bright), rate), Cell(*place(spots.dry), 0.0), Cell(*place(spots.missing), np.nan)]
    return Known(path, [time], cells, shape, refused=refused)


def _content(product: str, time: np.datetime64, level: np.ndarray, middle: str, lead: int | None) -> bytes:
    """A file as DWD writes it, from the south."""
    at = time.astype("datetime64[s]").item()
    version = " 5SW P300001H" if level.shape == (1200, 1100) else " 3SW   2.21.0"
    head = f"{product}{at:%d%H%M}10000{at:%m%y}BY{level.nbytes + 99:7d}VS{version}{middle}"
    head += f"GP{level.shape[0]:4d}x{level.shape[1]:4d}" + (f"VV {lead:03d}" if lead is not None else "")
    return f"{head}MF 00000001MS 13<boo,ros,vvx> \x03".encode() + level[::-1].tobytes()


def _packed(drawn: np.random.Generator, folder: Path, content: bytes, later: bytes | None) -> Path:
    form = str(drawn.choice(["bin", "bin", "bin", "gz", "bz2", "tar", "tar.gz"])) if later is None else "tar"
    path = folder / f"raa01-xy_10000-{drawn.integers(100)}.{form}"
    if form.startswith("tar"):
        with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as tar:
            members = [content] + ([later] if later is not None else [])
            for number in drawn.permutation(len(members)):
                about = tarfile.TarInfo(f"DE1200_XY{number:03d}")
                about.size = len(members[number])
                tar.addfile(about, io.BytesIO(members[number]))
        return path
    pack = {"bin": bytes, "gz": lambda data: gzip.compress(data, 1), "bz2": lambda data: bz2.compress(data, 1)}
    path.write_bytes(pack[form](content))
    return path
