"""Pictures in a folder (PNG, GIF, NPY) whose meaning stands in an images.toml beside them, or in a folder above.

::

    pattern = "radar_%Y%m%d_%H%M.png"   # strptime's signs; the time is UTC
    units = "dBZ"                       # or mm/h, or mm with interval_minutes
    gain = 0.5                          # value = gain * pixel + offset
    offset = -32.0
    nodata = [255]                      # pixels without coverage
    dry = [0]                           # pixels without rain

    [grid]
    crs = "EPSG:3067"
    left = 50000.0                      # outer edges, in the unit of the CRS
    top = 7800000.0
    cell = 1000.0                       # or cell_x and cell_y

A pixel is the grey that it shows, 0 to 255 (0 to 65535 in a PNG of 16 bits), also where the picture has a palette;
``pixel = "index"`` says that it is the number in the palette. Transparent pixels are without coverage. A pattern with a
slash, ``%Y/%m/%d/%H%M.png``, describes the path from the folder of images.toml; ``*`` in it stands for anything.

In place of gain and offset, ``palette = [{ color = "#0000ff", value = 1.5 }, ...]`` gives the value of each colour;
``nodata`` and ``dry`` then hold colours, and a colour that is in none of them is refused.

Source: this project; Pillow and NumPy read the files.
"""

import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import xarray as xr
from PIL import Image

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.io import stamps
from echocast.io.damage import as_value_error

if TYPE_CHECKING:
    from echocast.readers._images_note import Grid, Note

SUFFIXES = (".png", ".gif", ".npy")
NOTE = "images.toml"
COMPANIONS = (NOTE,)

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"\x93NUMPY")
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_MOST_CELLS = 2**28
_FOLDERS_UP = 8


def note_of(folder: Path) -> Path | None:
    """The images.toml of a folder: its own, or that of the nearest folder above it that has one."""
    here = folder.absolute()
    found = (place / NOTE for place in (here, *here.parents[:_FOLDERS_UP]))
    return next((path for path in found if path.is_file()), None)


def recognises(head: bytes, path: Path) -> bool:
    """PNG, GIF or NPY with an images.toml beside it or in a folder above it."""
    return head.startswith(_MAGIC) and note_of(path.parent) is not None


def read(
    path: Path, *, zr: fields.ZR | None = None, interval: float | None = None, time_pattern: str | None = None
) -> xr.DataArray:
    """The field of one picture; raises `UnreadableFile` if images.toml is wrong or the picture does not fit it."""
    place = note_of(path.parent)
    if place is None:
        raise UnreadableFile(f"{NOTE} is needed beside the pictures or in a folder above; write one")
    note = _note(place)
    time = _time(path, place.parent, time_pattern or note.pattern)
    values = _by_palette(path, note) if note.palette is not None else _by_scale(path, note)
    minutes = interval or note.interval_minutes
    relation = zr or fields.MARSHALL_PALMER
    rate = fields.to_rain_rate(values, note.units, zr=relation, interval_s=60.0 * minutes if minutes else None)
    attrs = {"source": note.source}
    if fields.kind_of_unit(note.units) == "reflectivity":
        attrs["zr"] = str(relation)
    y, x = _axes(note.grid, rate.shape)
    return fields.make(rate[None], time=[time], y=y, x=x, crs=note.grid.crs, attrs=attrs)


def _note(path: Path) -> "Note":
    import pydantic  # a tenth of a second, for what few folders have

    from echocast.readers._images_note import Note

    try:
        note = Note(**tomllib.loads(path.read_text(encoding="utf-8")))
        fields.known_crs(note.grid.crs)
    except pydantic.ValidationError as bad:
        first = bad.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnreadableFile(f"{NOTE}: {where}: {first['msg']}; `echocast formats images` shows one") from None
    except (OSError, ValueError, pyproj.exceptions.CRSError) as bad:
        raise UnreadableFile(f"{NOTE} is needed beside the pictures and cannot be read ({bad})") from bad
    try:
        fields.kind_of_unit(note.units)
    except WrongUnits as bad:
        raise WrongUnits(f"{NOTE}: {bad}") from None
    if (note.gain is None) == (note.palette is None):
        raise UnreadableFile(f"{NOTE}: needs either gain (and offset) or palette")
    wanted, other = ("colours", int) if note.palette is not None else ("numbers", str)
    wrong = [value for value in (*note.nodata, *note.dry) if isinstance(value, other)]
    if wrong:
        raise UnreadableFile(f"{NOTE}: nodata and dry are {wanted} here, not {wrong[0]!r}")
    return note


def _time(path: Path, folder: Path, pattern: str) -> np.datetime64:
    """The time of a picture: of its name, or of its path from a folder where the pattern has a slash."""
    name = path.absolute().relative_to(folder).as_posix() if "/" in pattern else path.name
    try:
        return stamps.by_pattern(name, pattern)
    except UnreadableFile as bad:
        raise UnreadableFile(
            f"its name is not as {NOTE} says ({bad}); correct pattern, or give --time-pattern"
        ) from bad


def _axes(grid: "Grid", shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    width, height = grid.cell_x or grid.cell, grid.cell_y or grid.cell
    if width is None or height is None:
        raise UnreadableFile(f"{NOTE}: [grid] needs cell, or cell_x and cell_y")
    return grid.top - (np.arange(shape[0]) + 0.5) * height, grid.left + (np.arange(shape[1]) + 0.5) * width


def _by_scale(path: Path, note: "Note") -> np.ndarray:
    level, unseen = _levels(path, index=note.pixel == "index")
    values = ((note.gain or 0.0) * level.astype(np.float64) + note.offset).astype(np.float32)
    values[np.isin(level, note.dry)] = _zero(note)
    values[np.isin(level, note.nodata) | unseen] = np.nan
    return values


def _by_palette(path: Path, note: "Note") -> np.ndarray:
    with _opened(path) as picture:
        colours = np.array(picture.convert("RGBA"))
    packed = colours[..., 0].astype(np.int64) << 16 | colours[..., 1].astype(np.int64) << 8 | colours[..., 2]
    packed[colours[..., 3] == 0] = -1
    table = {_number(entry.color): entry.value for entry in note.palette or []}
    table |= {_number(str(c)): _zero(note) for c in note.dry} | {_number(str(c)): np.nan for c in note.nodata}
    table[-1] = np.nan
    seen, where = np.unique(packed, return_inverse=True)
    unknown = [f"#{int(c):06x}" for c in seen if int(c) not in table]
    if unknown:
        raise UnreadableFile(
            f"has colours that {NOTE} does not name: {', '.join(unknown[:8])}"
            f"{' and more' if len(unknown) > 8 else ''}; add them to palette, dry or nodata"
        )
    return np.array([table[int(c)] for c in seen], np.float32)[where].reshape(packed.shape)


def _zero(note: "Note") -> float:
    return -32.0 if fields.kind_of_unit(note.units) == "reflectivity" else 0.0


def _number(colour: str) -> int:
    return int(colour[1:], 16)


def _levels(path: Path, *, index: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a picture as numbers, and which are transparent."""
    with path.open("rb") as file:
        head = file.read(26)
    if head[:6] == b"\x93NUMPY":
        level = _array(path)
        return level, np.zeros(level.shape, bool)
    with _opened(path) as picture:
        if picture.mode.startswith("I"):  # a grey PNG of 16 bits
            level = np.array(picture)
            return level, level == picture.info.get("transparency", -1)
        if head[1:4] == b"PNG" and head[24] == 16:
            raise UnreadableFile("is a PNG of 16 bits with colour or alpha; write it as plain grey, or 8 bits")
        colours = np.array(picture.convert("RGBA"))
        if index:
            if picture.mode != "P":
                raise UnreadableFile(f'is a picture without palette; {NOTE} says pixel = "index": leave that out')
            return np.array(picture), colours[..., 3] == 0
    unseen = colours[..., 3] == 0
    if ((colours[..., :1] != colours[..., 1:3]).any(-1) & ~unseen).any():
        raise UnreadableFile(
            f"is a colour picture; {NOTE} gives a gain, which needs one number a pixel: give a palette, or"
            ' pixel = "index" if the number in the picture\'s own palette is meant'
        )
    return colours[..., 0], unseen


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A whole picture of one frame; raises `ValueError` if it is damaged, `UnreadableFile` if it is an animation."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - len(_PNG_END)))
        if head[1:4] == b"PNG" and file.read() != _PNG_END:
            raise ValueError("the picture's end is missing")
    with warnings.catch_warnings(), as_value_error(SyntaxError, TypeError):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=["PNG", "GIF"]) as picture:
            if picture.width * picture.height > _MOST_CELLS:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                raise UnreadableFile(
                    f"is an animation of {frames} pictures, but its name tells one time; save each as a file of its own"
                )
            yield picture


def _array(path: Path) -> np.ndarray:
    found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.size > _MOST_CELLS or found.dtype.kind not in "iuf" or found.ndim != 2:
        raise ValueError(f"an array of {found.dtype} and shape {found.shape}, not numbers of rows and columns")
    return np.array(found)
