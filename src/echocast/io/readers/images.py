"""Pictures in a folder (PNG, GIF, NPY) whose meaning stands in an images.toml beside them.

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

In place of gain and offset, ``palette = [{ color = "#0000ff", value = 1.5 }, ...]`` gives the value of each colour;
``nodata`` and ``dry`` then hold colours, and a colour that is in none of them is refused.

Source: this project; Pillow and NumPy read the files.
"""

import tomllib
import warnings
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic
import pyproj
import xarray as xr
from PIL import Image

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.io.damage import as_value_error

SUFFIXES = (".png", ".gif", ".npy")
NOTE = "images.toml"

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"\x93NUMPY")
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_MOST_CELLS = 2**28
_Colour = Annotated[str, pydantic.Field(pattern="^#[0-9a-fA-F]{6}$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class _Entry(_Strict):
    color: _Colour
    value: float


class _Grid(_Strict):
    crs: str
    left: float
    top: float
    cell: float | None = pydantic.Field(None, gt=0)
    cell_x: float | None = pydantic.Field(None, gt=0)
    cell_y: float | None = pydantic.Field(None, gt=0)


class _Note(_Strict):
    pattern: str
    units: str
    grid: _Grid
    gain: float | None = None
    offset: float = 0.0
    palette: list[_Entry] | None = None
    nodata: list[int | _Colour] = []
    dry: list[int | _Colour] = []
    interval_minutes: float | None = pydantic.Field(None, gt=0)
    source: str = "pictures"


def recognises(head: bytes, path: Path) -> bool:
    """PNG, GIF or NPY with an images.toml beside it."""
    return head.startswith(_MAGIC) and (path.parent / NOTE).is_file()


def read(path: Path, *, zr: fields.ZR | None = None) -> xr.DataArray:
    """The field of one picture; raises `UnreadableFile` if images.toml is wrong or the picture does not fit it."""
    note = _note(path.parent / NOTE)
    try:
        time = np.datetime64(datetime.strptime(path.name, note.pattern), "ns")
    except ValueError as bad:
        raise UnreadableFile(f"its name is not as {NOTE} says ({note.pattern})") from bad
    values = _by_palette(path, note) if note.palette is not None else _by_scale(path, note)
    seconds = None if note.interval_minutes is None else 60.0 * note.interval_minutes
    rate = fields.to_rain_rate(values, note.units, zr=zr or fields.MARSHALL_PALMER, interval_s=seconds)
    width, height = note.grid.cell_x or note.grid.cell, note.grid.cell_y or note.grid.cell
    if width is None or height is None:
        raise UnreadableFile(f"{NOTE}: [grid] needs cell, or cell_x and cell_y")
    attrs = {"source": note.source}
    if fields.kind_of_unit(note.units) == "reflectivity":
        attrs["zr"] = str(zr or fields.MARSHALL_PALMER)
    return fields.make(
        rate[None],
        time=[time],
        y=note.grid.top - (np.arange(rate.shape[0]) + 0.5) * height,
        x=note.grid.left + (np.arange(rate.shape[1]) + 0.5) * width,
        crs=note.grid.crs,
        attrs=attrs,
    )


def _note(path: Path) -> _Note:
    try:
        note = _Note(**tomllib.loads(path.read_text(encoding="utf-8")))
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
    return note


def _by_scale(path: Path, note: _Note) -> np.ndarray:
    level = _pixels(path, colours=False)
    if level.ndim != 2:
        raise UnreadableFile(f"is a colour picture; {NOTE} gives a gain, which needs one number a pixel")
    values = ((note.gain or 0.0) * level.astype(np.float64) + note.offset).astype(np.float32)
    dry, nodata = ([v for v in some if isinstance(v, int)] for some in (note.dry, note.nodata))
    values[np.isin(level, dry)] = -32.0 if fields.kind_of_unit(note.units) == "reflectivity" else 0.0
    values[np.isin(level, nodata)] = np.nan
    return values


def _by_palette(path: Path, note: _Note) -> np.ndarray:
    colours = _pixels(path, colours=True)
    packed = colours[..., 0].astype(np.int64) << 16 | colours[..., 1].astype(np.int64) << 8 | colours[..., 2]
    zero = -32.0 if fields.kind_of_unit(note.units) == "reflectivity" else 0.0
    table = {_number(entry.color): entry.value for entry in note.palette or []}
    table |= {_number(c): zero for c in note.dry if isinstance(c, str)}
    table |= {_number(c): np.nan for c in note.nodata if isinstance(c, str)}
    seen, where = np.unique(packed, return_inverse=True)
    unknown = [f"#{int(c):06x}" for c in seen if int(c) not in table]
    if unknown:
        raise UnreadableFile(
            f"has colours that {NOTE} does not name: {', '.join(unknown[:8])}"
            f"{' and more' if len(unknown) > 8 else ''}; add them to palette, dry or nodata"
        )
    return np.array([table[int(c)] for c in seen], np.float32)[where].reshape(packed.shape)


def _number(colour: str) -> int:
    return int(colour[1:], 16)


def _pixels(path: Path, *, colours: bool) -> np.ndarray:
    with path.open("rb") as file:
        head = file.read(6)
        if head == b"\x93NUMPY":
            return _array(path)
        file.seek(max(0, path.stat().st_size - len(_PNG_END)))
        if head[1:4] == b"PNG" and file.read() != _PNG_END:
            raise ValueError("the picture's end is missing")
    with warnings.catch_warnings(), as_value_error(SyntaxError, TypeError):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=["PNG", "GIF"]) as picture:
            if picture.width * picture.height > _MOST_CELLS:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            return np.array(picture.convert("RGB") if colours else picture)


def _array(path: Path) -> np.ndarray:
    found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.size > _MOST_CELLS or found.dtype.kind not in "iuf":
        raise ValueError(f"an array of {found.dtype} and shape {found.shape}")
    return np.array(found)
