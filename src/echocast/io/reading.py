"""Paths become fields: which files are meant, which reader takes each, and the newest frames of many.

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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, UnreadableFile
from echocast.io import damage, plausible
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.newest import NewestFrames, series

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


_FOR_READERS = ("variable", "units", "zr", "min_quality", "interval", "time_pattern", "missing_value")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file, where the file or its format leaves it open.

    Args:
        format: the reader's name; by default each file is recognised by its content.
        variable: the variable, quantity, band or parameter to take.
        units: the unit of a file that does not say it.
        zr: the relation between reflectivity and rain, in place of the file's own or the format's usual one.
        min_quality: cells of lower quality (0 to 1) become missing, where a file has a quality index.
        interval: the minutes that an amount fell in, where the file does not say it.
        time_pattern: how the file's name spells its time (UTC), in the signs of ``strptime``:
            ``radar_%Y%m%d%H%M.tif``.
        missing_value: numbers of the file, before scaling, that mean "not observed".
        max_rate: higher rain rates (mm/h) are clipped and counted in the log.
    """

    format: str | None = None
    variable: str | None = None
    units: str | None = None
    zr: fields.ZR | None = None
    min_quality: float | None = None
    interval: float | None = None
    time_pattern: str | None = None
    missing_value: tuple[float, ...] = ()
    max_rate: float = fields.MAX_RATE

    def reader_arguments(self) -> dict[str, Any]:
        """The keyword arguments for a reader: the options that were given."""
        return {name: value for name in _FOR_READERS if (value := getattr(self, name)) not in (None, ())}


def recognise(path: Path, first: str | None = None) -> str:
    """The name of the reader that recognises a file by its content.

    Args:
        path: a local file or the folder of a store.
        first: the reader to ask before all others. A reader of a general format is not asked first, since a reader
            of a special kind goes before it.

    Raises:
        UnreadableFile: no reader recognises it, or it is empty.
    """
    head = b"" if path.is_dir() else _head(path)
    if not head and not path.is_dir():
        raise UnreadableFile(f"{path}: is empty; fetch it again")
    if first is not None and not _is_general(first) and _recognises(first, head, path):
        return first
    for name in sorted(plugins.load_all(_READERS), key=lambda name: (_is_general(name), name)):
        if _recognises(name, head, path):
            return name
    raise UnreadableFile(
        f"{path}: is of no format that echocast knows ({', '.join(formats())}); name one with --format"
    )


class Recogniser:
    """`recognise` for many files: the reader of the last file of a folder with the same suffix is asked first."""

    def __init__(self) -> None:
        self._last: dict[tuple[Path, str], str] = {}

    def __call__(self, path: Path) -> str:
        """The name of the reader that recognises a file; raises as `recognise` does."""
        kind = (path.parent, path.suffix.lower())
        self._last[kind] = recognise(path, self._last.get(kind))
        return self._last[kind]


def read(location: Location, options: ReadOptions | str | None = None) -> xr.DataArray:
    """The checked field of one file, read by the named reader or by the one that recognises it.

    Args:
        location: a file, the folder of a store, or the URL of either.
        options: see `ReadOptions`; a text is the reader's name.

    Raises:
        UnreadableFile: it is damaged, or of no known format.
        DataError: what it holds is no field of rain (`WrongUnits`, `GridMismatch`, ...), there is no reader of that
            name, or it has no such option. The message names the file.
        MissingDependency: the reader needs a package that is not installed.
    """
    (field,) = _fields(location, _options(options), _whole, recognise)
    return field


def pieces(
    location: Location,
    options: ReadOptions | str | None = None,
    *,
    recognise: Callable[[Path], str] = recognise,
) -> Iterator[xr.DataArray]:
    """The same as `read`, part by part in time where the reader can.

    Args:
        location: a file, the folder of a store, or the URL of either.
        options: see `ReadOptions`; a text is the reader's name.
        recognise: finds the reader of a file; a `Recogniser` for many files of one kind.
    """
    yield from _fields(location, _options(options), _in_pieces, recognise)


_Take = Callable[[ModuleType, Any, dict[str, Any]], Iterator[xr.DataArray]]


def _whole(reader: ModuleType, path: Location, arguments: dict[str, Any]) -> Iterator[xr.DataArray]:
    yield reader.read(path, **arguments)


def _in_pieces(reader: ModuleType, path: Location, arguments: dict[str, Any]) -> Iterator[xr.DataArray]:
    if hasattr(reader, "pieces"):
        yield from reader.pieces(path, **arguments)
    else:
        yield reader.read(path, **arguments)


def _options(options: ReadOptions | str | None) -> ReadOptions:
    return options if isinstance(options, ReadOptions) else ReadOptions(format=options)


def _fields(
    location: Location, options: ReadOptions, take: _Take, recognise: Callable[[Path], str]
) -> Iterator[xr.DataArray]:
    """Fields within the limit of rain; every error names the location."""
    arguments = options.reader_arguments()
    with _reachable_by_a_reader(location) as path:
        name = "zarr" if isinstance(path, str) else options.format or recognise(path)
        reader = plugins.load(_READERS, name, error=DataError)
        log.info("%s: read as %s", location, name)
        with damage.named_errors(path, name):
            _check_options(name, reader, arguments)
            for field in take(reader, path, arguments):
                yield plausible.check(_within(field, options.max_rate, location), location)


@contextmanager
def _reachable_by_a_reader(location: Location) -> Iterator[Location]:
    """A local path, or the URL of a store (it ends with a slash); another URL is copied for the time of the block."""
    if isinstance(location, str) and location.endswith("/") and locations.is_url(location):
        yield location
        return
    with locations.local_copy(location) as path, damage.renamed(path, location):
        yield path


def _check_options(name: str, reader: ModuleType, arguments: dict[str, Any]) -> None:
    known = set(inspect.signature(reader.read).parameters) - {"path"}
    unknown = ", ".join(sorted(set(arguments) - known))
    if unknown:
        raise DataError(f"the reader {name!r} has no option {unknown}; it has: {', '.join(sorted(known)) or 'none'}")


def _within(field: xr.DataArray, max_rate: float, location: Location) -> xr.DataArray:
    """The field within the limits of rain; what was not is counted in the log and in its attributes."""
    if field.name != fields.NAME:
        return field
    limited, wrong = fields.limited(field, max_rate)
    if wrong:
        highest = float(np.nanmax(field.values))
        log.warning("%s: %d cells outside 0 to %g mm/h (up to %g) clipped", location, wrong, max_rate, highest)
        limited.attrs["clipped_cells"] = wrong
    return limited


def newest(
    paths: Sequence[Location],
    frames: int,
    *,
    options: ReadOptions | str | None = None,
    on_file: Callable[[Location], None] = lambda _: None,
) -> tuple[xr.DataArray, list[Location]]:
    """The newest frames of many files as one field, and the files that hold them.

    Files are read from the newest on, in the order that their names tell (`echocast.io.newest`), until there are as
    many frames as wanted and the next older file holds only older ones. Where names hold no time, the oldest file is
    read too, to confirm the order. If a file with an older name turns out to be newer, all files are read, which the
    log tells. So a file that was not needed may be damaged, or of another grid, without notice.

    Args:
        paths: files as `find` gives them.
        frames: how many frames are wanted; fewer come if there are fewer.
        options: see `ReadOptions`; a text is the reader's name.
        on_file: called before each file is read.

    Raises:
        GridMismatch: a file lies on another grid than the newest; both are named.
        DataError: two files hold different frames of one time; both are named. Or as `read` does.
        UnreadableFile: a file cannot be read.
    """
    found, recogniser, unread = NewestFrames(frames), Recogniser(), dict.fromkeys(paths)

    def newest_time(path: Location) -> np.datetime64:
        """Read a file; the time of its newest frame."""
        del unread[path]
        on_file(path)
        times = []
        for field in pieces(path, options, recognise=recogniser):
            found.add(field, path)
            times.append(field.time.values[-1])
        return max(times)

    def is_in_order(files: list[Location], timed: bool) -> bool:
        """Read a series from its end as far as needed; whether its files are as old as their names tell."""
        time = newest_time(files[-1])
        for path in reversed(files[:-1]):
            if found.is_complete_after(time):  # so are all that are left, if names tell the truth
                return timed or bool(newest_time(files[0]) <= time)
            later, time = time, newest_time(path)
            if time > later:
                return False
        return True

    for files, timed in series(list(unread)):
        if not is_in_order(files, timed):
            log.warning("%s: names of files do not tell which are newer, so all %d are read", files[0], len(paths))
            for path in list(unread):
                newest_time(path)
            break
    return found.field()


def _at_url(url: str) -> list[Location]:
    url = url.rstrip("/")
    if locations.scheme(url) == "file":
        return list(_expand(url.removeprefix("file://")))
    if not any(sign in url for sign in "*[") and locations.has_file(url, *plugins.load(_READERS, "zarr").MARKS):
        return [f"{url}/"]
    return list(locations.list_files(url))


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


def _is_general(name: str) -> bool:
    return bool(getattr(plugins.load(_READERS, name), "GENERAL", False))


def _recognises(name: str, head: bytes, path: Path) -> bool:
    try:
        return bool(plugins.load(_READERS, name).recognises(head, path))
    except Exception as error:
        if not damage.is_damage(error):
            raise
        return False


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
