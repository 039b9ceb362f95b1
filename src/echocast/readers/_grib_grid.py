"""Where the cells of a message of GRIB lie, and its numbers as rows from the north, columns from the west.

Source: WMO manual on codes I.2, code tables 3.1 and flag table 3.4 (scanning mode).
"""

from dataclasses import dataclass

import numpy as np
import pyproj

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.readers._eccodes import Message

_PROJECTED = {
    "lambert": ("DxInMetres", "DyInMetres"),
    "polar_stereographic": ("DxInMetres", "DyInMetres"),
    "mercator": ("DiInMetres", "DjInMetres"),
}
_MOST_CELLS = 2**28


@dataclass(frozen=True)
class Grid:
    """Projection (as text), centres of rows from the north and of columns from the west, and how the file goes.

    Args:
        crs: for pyproj.
        y: from north to south.
        x: from west to east.
        westward: a row of the file goes west.
        northward: its rows go north.
        by_columns: the numbers follow each other along y.
        boustrophedon: every second row (or column) goes the other way.
    """

    crs: str
    y: np.ndarray
    x: np.ndarray
    westward: bool
    northward: bool
    by_columns: bool
    boustrophedon: bool

    @property
    def size(self) -> int:
        return self.y.size * self.x.size

    def laid_out(self, values: np.ndarray) -> np.ndarray:
        """The numbers of the file as (y, x)."""
        rows, columns = self.y.size, self.x.size
        lines = values.reshape((columns, rows) if self.by_columns else (rows, columns))
        if self.boustrophedon:
            lines = lines.copy()
            lines[1::2] = lines[1::2, ::-1]
        grid = lines.T if self.by_columns else lines
        return grid[:: -1 if self.northward else 1, :: -1 if self.westward else 1]

    def is_same(self, other: "Grid") -> bool:
        """Whether the cells lie at the same places."""
        same = self.crs == other.crs and self.y.size == other.y.size and self.x.size == other.x.size
        return same and np.array_equal(self.y, other.y) and np.array_equal(self.x, other.x)

    def __str__(self) -> str:
        return (
            f"{self.y.size} x {self.x.size} cells from {self.y[0]:g}, {self.x[0]:g} to {self.y[-1]:g}, {self.x[-1]:g}"
        )


def grid(message: Message) -> Grid:
    """The grid of a message; raises `UnreadableFile` for one that is neither of degrees nor of a known projection."""
    kind = message.text("gridType")
    if kind != "regular_ll" and not (kind in _PROJECTED and message.has("projString")):
        raise UnreadableFile(
            f"its grid is {kind!r}; regular_ll, {', '.join(_PROJECTED)} are read: put it on one of these first"
        )
    rows, columns = message.whole("Nj"), message.whole("Ni")
    if min(rows, columns) < 1 or rows * columns > _MOST_CELLS:
        raise ValueError(f"a grid of {columns} x {rows} cells")
    westward, northward = bool(message.whole("iScansNegatively")), bool(message.whole("jScansPositively"))
    by_columns, boustrophedon = (bool(message.whole(k)) for k in ("jPointsAreConsecutive", "alternativeRowScanning"))
    along = _degrees if kind == "regular_ll" else _metres
    crs, y, x = along(message, rows, columns, westward=westward, northward=northward)
    return Grid(crs, np.sort(y)[::-1], np.sort(x), westward, northward, by_columns, boustrophedon)


def _degrees(
    message: Message, rows: int, columns: int, *, westward: bool, northward: bool
) -> tuple[str, np.ndarray, np.ndarray]:
    """Latitudes and longitudes; a row may cross Greenwich, and then goes on beyond 360 or below 0."""
    y = np.linspace(*_ends(message, "latitude"), rows)
    if rows > 1 and (y[-1] > y[0]) != northward:
        raise ValueError(f"rows from {y[0]:g} N to {y[-1]:g} N, but the scanning mode says the other way")
    start, stop = _ends(message, "longitude")
    if columns > 1 and not westward and stop <= start:
        stop += 360.0
    if columns > 1 and westward and stop >= start:
        stop -= 360.0
    x = np.linspace(start, stop, columns)
    for name, axis in (("i", x), ("j", y)):
        _check_increment(message, name, axis)
    x = x + 360.0 if x.max() <= -180.0 else x
    return "EPSG:4326", y, (x - 360.0 if x.min() >= 180.0 else x)


def _ends(message: Message, axis: str) -> tuple[float, float]:
    return message.real(f"{axis}OfFirstGridPointInDegrees"), message.real(f"{axis}OfLastGridPointInDegrees")


def _check_increment(message: Message, name: str, axis: np.ndarray) -> None:
    key = f"{name}DirectionIncrementInDegrees"
    if axis.size < 2 or not message.whole("ijDirectionIncrementGiven") or not message.has(key):
        return
    given, found = message.real(key), float(abs(axis[-1] - axis[0])) / (axis.size - 1)
    if given > 0 and abs(found - given) > max(0.01 * given, 1.5e-3):
        raise ValueError(f"cells of {given:g} degrees along {name}, but {found:g} from the first to the last")


def _metres(
    message: Message, rows: int, columns: int, *, westward: bool, northward: bool
) -> tuple[str, np.ndarray, np.ndarray]:
    text = message.text("projString")
    crs: pyproj.CRS = fields.known_crs(text)
    width, height = (message.real(key) for key in _PROJECTED[message.text("gridType")])
    if not (width > 0 and height > 0):
        raise ValueError(f"cells of {width:g} x {height:g} m")
    place = (message.real(f"{axis}OfFirstGridPointInDegrees") for axis in ("longitude", "latitude"))
    left, first = fields.corner(crs, *place)
    y = first + np.arange(rows) * (height if northward else -height)
    return text, y, left + np.arange(columns) * (-width if westward else width)
