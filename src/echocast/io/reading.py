"""Paths become fields: which files are meant, which reader takes each, one field of all.

>>> from pathlib import Path
>>> for path in find(["radar/"]):  # doctest: +SKIP
...     field = read(path)
"""

import fnmatch
import glob
import gzip
import inspect
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, MissingDependency, UnreadableFile
from echocast.io import location as locations
from echocast.io.location import Location

log = logging.getLogger(__name__)

_READERS = "echocast.io.readers"
_HEAD_BYTES = 4096
_NOT_DATA = (".md", ".json", ".toml", ".png", ".py", ".sh", ".partial")
"""Endings that a folder of radar files may also hold; files given by name are never passed over."""


def find(inputs: Iterable[Location]) -> list[Location]:
    """What is meant by files, folders (with all below them), globs, Zarr stores and URLs of these, each once, sorted.

    In folders hidden files and notes (``.md``, ``.json``, ...) are passed over; every other file is meant. A store is
    one place; its URL ends with a slash.

    Raises:
        UnreadableFile: a path that does not exist, a folder or glob without files, a URL that cannot be reached.
    """
    found: dict[Location, None] = {}
    for given in inputs:
        found |= dict.fromkeys(_at_url(str(given)) if locations.is_url(given) else _expand(str(given)))
    return sorted(found, key=str)


def formats() -> list[str]:
    """The names of the readers."""
    return plugins.names(_READERS)


@dataclass(frozen=True)
class ReadOptions:
    """What a user may choose about reading.

    Args:
        format: the reader's name; by default each file is recognised by its content.
        variable: the variable, quantity, band or parameter to take.
        units: the unit of a file that does not say it.
        zr: the relation between reflectivity and rain, in place of the file's own or the format's usual one.
        least_quality: cells of lower quality (0 to 1) become missing, where a file tells quality.
        limit: rates above this (mm/h) are clipped and counted in the log.
    """

    format: str | None = None
    variable: str | None = None
    units: str | None = None
    zr: fields.ZR | None = None
    least_quality: float | None = None
    limit: float = fields.MAX_RATE

    def wishes(self) -> dict[str, Any]:
        """What is to be handed to a reader."""
        named = {name: getattr(self, name) for name in ("variable", "units", "zr", "least_quality")}
        return {name: value for name, value in named.items() if value is not None}


def recognise(path: Path) -> str:
    """The name of the reader that knows a file by its content; raises `UnreadableFile` if none does."""
    head = b"" if path.is_dir() else _head(path)
    if not head and not path.is_dir():
        raise UnreadableFile(f"{path}: is empty; fetch it again")
    readers = plugins.load_all(_READERS)
    for name in sorted(readers, key=lambda name: (getattr(readers[name], "GENERAL", False), name)):
        if readers[name].recognises(head, path):
            return name
    raise UnreadableFile(
        f"{path}: is of no format that echocast knows ({', '.join(formats())}); name one with --format"
    )


def read(location: Location, choices: ReadOptions | str | None = None) -> xr.DataArray:
    """The checked field of one file, read by the named reader or by the one that recognises it.

    Args:
        location: a file, the folder of a store, or the URL of either.
        choices: see `ReadOptions`; a text is the reader's name.

    Raises:
        UnreadableFile: no reader can make sense of it.
        DataError: there is no reader of that name, or it has no such choice.
        MissingDependency: the reader needs a package that is not installed.
    """
    (field,) = _told(location, _choices(choices), lambda reader, path, wishes: iter([reader.read(path, **wishes)]))
    return field


def pieces(location: Location, choices: ReadOptions | str | None = None) -> Iterator[xr.DataArray]:
    """The same as `read`, a stretch of time at once where the reader can."""

    def stretches(reader: ModuleType, path: Location, wishes: dict[str, Any]) -> Iterator[xr.DataArray]:
        if hasattr(reader, "pieces"):
            yield from reader.pieces(path, **wishes)
        else:
            yield reader.read(path, **wishes)

    yield from _told(location, _choices(choices), stretches)


def _choices(choices: ReadOptions | str | None) -> ReadOptions:
    return choices if isinstance(choices, ReadOptions) else ReadOptions(format=choices)


def _told(
    location: Location,
    choices: ReadOptions,
    reading: Callable[[ModuleType, Any, dict[str, Any]], Iterator[xr.DataArray]],
) -> Iterator[xr.DataArray]:
    """Fields within the limit, and every error with the file's name."""
    location = location if isinstance(location, str) and location.endswith("/") else locations.normal(location)
    if isinstance(location, str) and not location.endswith("/"):
        with locations.local(location) as path:
            try:
                yield from _told(path, choices, reading)
            except UnreadableFile as bad:
                raise UnreadableFile(str(bad).replace(str(path), location)) from bad
        return
    name = "zarr" if isinstance(location, str) else choices.format or recognise(location)
    reader = plugins.load(_READERS, name, error=DataError)
    unknown = set(choices.wishes()) - set(inspect.signature(reader.read).parameters)
    if unknown:
        taken = ", ".join(sorted(set(inspect.signature(reader.read).parameters) - {"path"})) or "none"
        raise DataError(
            f"{location}: the reader {name!r} leaves no choice of {', '.join(sorted(unknown))}; of: {taken}"
        )
    try:
        for field in reading(reader, location, choices.wishes()):
            yield _within(field, choices.limit, location)
    except (UnreadableFile, MissingDependency):
        raise
    except DataError as bad:
        raise UnreadableFile(f"{location}: {bad}") from bad
    except FileNotFoundError as bad:
        raise UnreadableFile(f"{location}: no such file") from bad
    except OSError as bad:
        raise UnreadableFile(f"{location}: cannot be read ({bad})") from bad
    except Exception as bad:  # of what libraries raise of damaged files nobody knows the whole list
        why = " ".join(f"{type(bad).__name__}: {bad}".split())[:200]
        raise UnreadableFile(f"{location}: cannot be read as {name} ({why}); is it whole? fetch it again") from bad


def _within(field: xr.DataArray, limit: float, location: Location) -> xr.DataArray:
    """The field within the limits of rain; what was not is counted in the log and in its attributes."""
    limited, wrong = fields.limited(field, limit)
    if wrong:
        highest = float(np.nanmax(field.values))
        log.warning("%s: %d cells outside 0 to %g mm/h (up to %g) clipped", location, wrong, limit, highest)
        limited.attrs["clipped_cells"] = wrong
    return limited


def newest(
    paths: Sequence[Location],
    frames: int,
    *,
    choices: ReadOptions | str | None = None,
    on_file: Callable[[Location], None] = lambda _: None,
) -> tuple[xr.DataArray, list[Location]]:
    """The newest frames of many files as one field, and the files that hold them; never more than those in memory.

    Raises:
        GridMismatch: a file lies on another grid than the first; it is named.
        DataError: two files hold different frames of one time; both are named.
        UnreadableFile: a file cannot be read.
    """
    kept: dict[np.datetime64, tuple[xr.DataArray, Location]] = {}
    first: xr.DataArray | None = None
    for path in paths:
        on_file(path)
        field = read(path, choices)
        first = field if first is None else first
        fields.check_same_grid(first, field, str(path))
        for frame in frames_of(field[-frames:]):
            time = frame.time.values[0]
            if time in kept and not np.array_equal(kept[time][0].values, frame.values, equal_nan=True):
                raise DataError(f"{path}: differs from {kept[time][1]} of the same time {time}; remove one of them")
            kept.setdefault(time, (frame, path))
        for time in sorted(kept)[:-frames]:
            del kept[time]
    if not kept:
        raise UnreadableFile("there is no frame in what was given; give radar files")
    order = sorted(kept)
    return xr.concat([kept[time][0] for time in order], dim="time", join="override", combine_attrs="override"), [
        kept[time][1] for time in order
    ]


def frames_of(field: xr.DataArray) -> Iterator[xr.DataArray]:
    """A field's frames, one by one, each a field of its own."""
    for number in range(field.sizes["time"]):
        yield field[number : number + 1]


def _at_url(url: str) -> list[Location]:
    url = url.rstrip("/")
    if locations.scheme(url) == "file":
        return list(_expand(url.removeprefix("file://")))
    if not any(sign in url for sign in "*[") and locations.holds(url, *plugins.load(_READERS, "zarr").MARKS):
        return [f"{url}/"]
    return list(locations.listing(url))


def _expand(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        inside = list(_inside(path))
        if not inside:
            raise UnreadableFile(f"{path}: holds no radar files; give a folder that does")
        return inside
    if path.exists():
        return [path]
    matches = [Path(match) for match in glob.glob(given, recursive=True)]  # noqa: PTH207 (absolute patterns too)
    files = [match for match in matches if match.is_file() or _is_store(match)]
    if not files:
        raise UnreadableFile(f"{given}: no such file or folder, and no glob that matches one")
    return files


def _inside(folder: Path) -> Iterator[Path]:
    """A folder that is a store, else the files and stores below it."""
    if _is_store(folder):
        yield folder
        return
    companions = {p for reader in plugins.load_all(_READERS).values() for p in getattr(reader, "COMPANIONS", ())}
    pictured = (folder / "images.toml").is_file()
    for path in folder.iterdir():
        if path.name.startswith(".") or any(fnmatch.fnmatch(path.name, pattern) for pattern in companions):
            continue
        if path.is_dir():
            yield from _inside(path)
        elif not _passed_over(path) or (pictured and path.suffix.lower() == ".png"):
            yield path


def _is_store(path: Path) -> bool:
    return path.is_dir() and plugins.load(_READERS, "zarr").recognises(b"", path)


def _passed_over(path: Path) -> bool:
    return path.suffix.lower() in _NOT_DATA or path.stem.upper() in ("README", "LICENSE")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head[:2] != b"\x1f\x8b":
            return head
        with gzip.open(path, "rb") as packed:
            return packed.read(_HEAD_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as bad:
        raise UnreadableFile(f"{path}: is broken gzip ({bad}); fetch it again") from bad
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad.strerror}); check the path and its permissions") from bad
