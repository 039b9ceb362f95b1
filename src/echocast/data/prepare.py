"""Steps between a file's field and the archive's: cut, coarsen, move to another grid, filter, mask.

A step is a function of a field that gives a field; its keyword-only arguments are the step's settings. What was done is
kept in the archive as text, and done again to every later frame. Rain is a mean over a cell, so what changes cells
keeps the rain that falls on an area (`coarsen`, `resize`: exactly; `regrid`: as finely as it samples), and a new cell
is missing where less than half of it was seen.

    >>> steps = parse(["crop left=0 right=200000 bottom=0 top=200000", "coarsen factor=2"])
    >>> [str(step) for step in steps]
    ['crop left=0 right=200000 bottom=0 top=200000', 'coarsen factor=2']
"""

import inspect
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float

from echocast import field as fields
from echocast import plugins
from echocast.data import files
from echocast.data.levels import Levels, Packed, pack
from echocast.data.places import Place
from echocast.errors import DataError

LEAST_SEEN = 0.5
"""The share of a new cell that must have been seen for it to have a value."""


@dataclass(frozen=True)
class Step:
    """One named step with its settings."""

    name: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={shlex.quote(str(value))}" for key, value in self.settings)])

    def __call__(self, field: xr.DataArray) -> xr.DataArray:
        return fields.check(STEPS[self.name](field, **dict(self.settings)))


def parse(texts: Iterable[str]) -> tuple[Step, ...]:
    """Steps from their texts, ``name key=value ...``; raises `DataError` for an unknown name, key or value."""
    return tuple(_parsed(text) for text in texts)


def apply(field: xr.DataArray, steps: Sequence[Step]) -> xr.DataArray:
    """The field after all steps, in their order; raises `DataError` if one cannot be done to it."""
    for step in steps:
        field = step(field)
    return field


@lru_cache(maxsize=1)
def levels_of(work: str) -> Levels:
    """The levels that this process has met in one piece of work: what one file knew the next need not look up anew."""
    del work
    return Levels()


def prepared(place: Place, choices: files.Choices, steps: tuple[Step, ...], work: str) -> list[Packed]:
    """The fields of one file, read, prepared and packed; what a worker process is asked for in a piece of work."""
    return list(each(place, choices, steps, work))


def each(place: Place, choices: files.Choices, steps: tuple[Step, ...], work: str) -> Iterator[Packed]:
    """The same, one stretch at a time."""
    for field in files.pieces(place, choices):
        yield pack(apply(field, steps), levels_of(work))


def crop(field: xr.DataArray, *, left: float, right: float, bottom: float, top: float) -> xr.DataArray:
    """The cells whose centres lie in a box, in the unit of the field's projection (m or degrees)."""
    inside_x = (field.x.values >= left) & (field.x.values <= right)
    inside_y = (field.y.values >= bottom) & (field.y.values <= top)
    if not inside_x.any() or not inside_y.any():
        x, y = field.x.values, field.y.values
        raise DataError(
            f"no cell lies in left={left:g} right={right:g} bottom={bottom:g} top={top:g};"
            f" the field goes from {x.min():g} to {x.max():g} and {y.min():g} to {y.max():g}"
        )
    return field[:, np.flatnonzero(inside_y), np.flatnonzero(inside_x)]


def centre(field: xr.DataArray, *, height: int, width: int) -> xr.DataArray:
    """The central `height` x `width` cells."""
    rows, columns = field.sizes["y"], field.sizes["x"]
    if not (0 < height <= rows and 0 < width <= columns):
        raise DataError(f"a centre of {height} x {width} cells does not lie in a field of {rows} x {columns}")
    a, b = (rows - height) // 2, (columns - width) // 2
    return field[:, a : a + height, b : b + width]


def coarsen(field: xr.DataArray, *, factor: int) -> xr.DataArray:
    """Means of blocks of `factor` x `factor` cells; rows and columns that fill no block are cut off at the end."""
    rows, columns = field.sizes["y"] // factor if factor > 0 else 0, field.sizes["x"] // max(factor, 1)
    if factor < 1 or min(rows, columns) < 1:
        raise DataError(f"factor={factor} does not go into a field of {field.sizes['y']} x {field.sizes['x']} cells")
    cut = field.values[:, : rows * factor, : columns * factor]
    blocks = cut.reshape(len(cut), rows, factor, columns, factor)
    seen = np.isfinite(blocks)
    count = seen.sum((2, 4))
    total = np.where(seen, blocks, 0.0).sum((2, 4), dtype=np.float64)
    mean = _where_seen(total, count.astype(np.float64), factor * factor)
    y = field.y.values[: rows * factor].reshape(rows, factor).mean(1)
    x = field.x.values[: columns * factor].reshape(columns, factor).mean(1)
    return _like(field, mean, y, x, fields.crs(field))


def resize(field: xr.DataArray, *, height: int, width: int) -> xr.DataArray:
    """The same area on `height` x `width` cells, each the mean of what it overlaps, weighted by the overlap."""
    if min(height, width) < 1:
        raise DataError(f"a field of {height} x {width} cells has none; both must be at least 1")
    down, across = (_overlaps(n, m) for n, m in ((field.sizes["y"], height), (field.sizes["x"], width)))
    seen = np.isfinite(field.values)
    total = np.einsum("hy,tyx,wx->thw", down, np.where(seen, field.values, 0.0), across, optimize=True)
    weight = np.einsum("hy,tyx,wx->thw", down, seen.astype(np.float64), across, optimize=True)
    area = (field.sizes["y"] / height) * (field.sizes["x"] / width)
    y, x = (_stretched(field.coords[axis].values, count) for axis, count in (("y", height), ("x", width)))
    return _like(field, _where_seen(total, weight, area), y, x, fields.crs(field))


def regrid(
    field: xr.DataArray, *, crs: str, left: float, top: float, cell: float, height: int, width: int
) -> xr.DataArray:
    """The field on another grid and projection.

    Each new cell is the mean of the old cells under points spread evenly over it, at least two per old cell and
    direction, which comes near to the mean by overlap and keeps the rain of an area; where new cells are finer than old
    ones it takes the nearest.

    Args:
        crs: what pyproj understands, such as EPSG:3067.
        left: outer edge of the grid, in the unit of `crs`.
        top: the same.
        cell: size of a cell in that unit.
        height: rows.
        width: columns.
    """
    if min(height, width) < 1 or not cell > 0:
        raise DataError(f"a grid of {height} x {width} cells of {cell:g} is none")
    try:
        target = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as bad:
        raise DataError(f"crs={crs!r} is no projection that pyproj knows ({bad})") from bad
    y, x = top - (np.arange(height) + 0.5) * cell, left + (np.arange(width) + 0.5) * cell
    where = _under(
        fields.crs(field).to_wkt(), target.to_wkt(), tuple(_axis(field.y.values)), tuple(_axis(field.x.values)),
        (left, top, cell, height, width),
    )  # fmt: skip
    if (where < 0).all():
        raise DataError(f"the grid at left={left:g} top={top:g} in {target.name!r} lies outside the field")
    values = np.concatenate(
        [field.values.reshape(len(field), -1), np.full((len(field), 1), np.nan, np.float32)], axis=1
    )
    new = np.empty((len(field), height, width), np.float32)
    for number, frame in enumerate(values):
        sampled = frame[where]
        seen = np.isfinite(sampled)
        total = np.where(seen, sampled, 0.0).sum(0, dtype=np.float64)
        new[number] = _where_seen(total, seen.sum(0).astype(np.float64), len(where)).reshape(height, width)
    return _like(field, new, y, x, target)


def disk(field: xr.DataArray, *, radius: float) -> xr.DataArray:
    """The mean over a disk of `radius` cells around each cell, of what was seen there (a circular averaging filter)."""
    if not 0 < radius < 500:
        raise DataError(f"radius={radius} is no radius of a disk in cells; give 1 to 499")
    reach = int(np.floor(radius))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (dy**2 + dx**2 <= radius**2).astype(np.float32)
    smooth = np.empty_like(field.values)
    for number, frame in enumerate(field.values):
        seen = np.isfinite(frame)
        total, weight = (
            cv2.filter2D(part.astype(np.float32), cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
            for part in (np.where(seen, frame, 0.0), seen)
        )
        smooth[number] = np.where(seen, np.maximum(total, 0.0) / np.maximum(weight, 1.0), np.nan)
    return field.copy(data=smooth)


def clip(field: xr.DataArray, *, most: float) -> xr.DataArray:
    """Rates above `most` (mm/h) set to it."""
    if not most > 0:
        raise DataError(f"most={most} is no limit of rain in mm/h")
    return fields.limited(field, most)[0]


def mask(field: xr.DataArray, *, file: str, as_: str = "missing") -> xr.DataArray:
    """Cells that a mask (`echocast archive clutter`) marks, made missing, or dry with ``as_=dry``."""
    if as_ not in ("missing", "dry"):
        raise DataError(f"as_={as_!r}; masked cells become missing or dry")
    marked = _mask(file)
    fields.check_same_grid(field, marked, file)
    data = np.where(marked.values[0] > 0, np.float32(np.nan if as_ == "missing" else 0.0), field.values)
    return field.copy(data=data if as_ == "missing" else np.where(np.isnan(field.values), np.nan, data))


STEPS: dict[str, Callable[..., xr.DataArray]] = {
    "crop": crop,
    "centre": centre,
    "coarsen": coarsen,
    "resize": resize,
    "regrid": regrid,
    "disk": disk,
    "clip": clip,
    "mask": mask,
}


def _parsed(text: str) -> Step:
    name, *words = shlex.split(text) or [""]
    if name not in STEPS:
        raise DataError(f"{name!r} is no step; there are: {', '.join(STEPS)}")
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DataError(f"step {text!r}: {word!r} is not of the form key=value")
        settings[key] = value
    parameters = inspect.signature(STEPS[name]).parameters

    def given(**known: Any) -> Step:
        return Step(name, tuple(known.items()))

    keywords = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    given.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    given.__annotations__ = {p.name: p.annotation for p in keywords}
    missing = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    lacking = [key for key in missing if key not in settings]
    if lacking:
        raise DataError(f"step {text!r} lacks {', '.join(lacking)}")
    return plugins.construct(given, settings, where=f"step {name}", error=DataError)


def _where_seen(total: np.ndarray, weight: np.ndarray, whole: float) -> Float[np.ndarray, "*shape"]:
    enough = weight >= LEAST_SEEN * whole - 1e-9
    return np.where(enough, total / np.maximum(weight, 1e-12), np.nan).astype(np.float32)


def _overlaps(old: int, new: int) -> np.ndarray:
    """How much of each old cell (in old cells) lies in each new one, (new, old)."""
    edges = np.linspace(0.0, old, new + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cells = np.arange(old)[None]
    return np.asarray(np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0.0, None))


def _stretched(axis: np.ndarray, count: int) -> np.ndarray:
    """The centres of `count` cells over the same extent."""
    step = (axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    start = axis[0] - step / 2
    return np.asarray(start + (np.arange(count) + 0.5) * step * len(axis) / count)


def _axis(values: np.ndarray) -> tuple[float, float, int]:
    """First centre, step and number of an even axis."""
    return float(values[0]), float(values[-1] - values[0]) / max(len(values) - 1, 1), len(values)


@lru_cache(maxsize=4)
def _under(
    source: str,
    target: str,
    y_axis: tuple[float, float, int],
    x_axis: tuple[float, float, int],
    grid: tuple[float, float, float, int, int],
) -> np.ndarray:
    """For each sampling point (first axis) and new cell the old cell's number; the one after the last for outside."""
    left, top, cell, height, width = grid
    old, new = pyproj.CRS.from_wkt(source), pyproj.CRS.from_wkt(target)
    back = pyproj.Transformer.from_crs(new, old, always_xy=True)
    middle = (left + cell * width / 2, top - cell * height / 2)
    a, b = (np.array(back.transform(middle[0] + d, middle[1] + e)) for d, e in ((0.0, 0.0), (cell, 0.0)))
    ratio = float(np.hypot(*(b - a))) / abs(x_axis[1] or 1.0)
    points = int(np.clip(np.ceil(2 * ratio), 1, 16)) if np.isfinite(ratio) else 1
    found = np.empty((points * points, height * width), np.int32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    for number in range(points * points):
        i, j = divmod(number, points)
        px = left + (columns + (j + 0.5) / points) * cell
        py = top - (rows + (i + 0.5) / points) * cell
        ox, oy = back.transform(px.ravel(), py.ravel())
        with np.errstate(invalid="ignore"):
            column = np.round((np.where(np.isfinite(ox), ox, 1e30) - x_axis[0]) / (x_axis[1] or 1.0))
            row = np.round((np.where(np.isfinite(oy), oy, 1e30) - y_axis[0]) / (y_axis[1] or 1.0))
        inside = (column >= 0) & (column < x_axis[2]) & (row >= 0) & (row < y_axis[2])
        found[number] = np.where(inside, row * x_axis[2] + column, -1)
    return found


@lru_cache(maxsize=4)
def _mask(file: str) -> xr.DataArray:
    if not Path(file).is_file():
        raise DataError(f"mask file={file}: no such file; make one with `echocast archive clutter STORE --out {file}`")
    return files.read(file)


def _like(field: xr.DataArray, values: np.ndarray, y: np.ndarray, x: np.ndarray, crs: pyproj.CRS) -> xr.DataArray:
    kept = {key: value for key, value in field.attrs.items() if key not in ("units", "grid_mapping")}
    return fields.make(values, time=field.time.values, y=y, x=x, crs=crs, attrs=kept)
