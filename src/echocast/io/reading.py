"""Paths become fields: which files are meant, which reader takes each, and the newest frames of many.

>>> from pathlib import Path
>>> for path in find(["radar/"]):  # doctest: +SKIP
...     field = read(path)
"""

import gzip
import inspect
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, UnreadableFile
from echocast.io import damage, listing, plausible, unpacking
from echocast.io import location as locations
from echocast.io.listing import find
from echocast.io.location import Location
from echocast.io.newest import NewestFrames, Search

__all__ = ["ReadOptions", "Recogniser", "find", "formats", "newest", "pieces", "read", "read_all", "recognise"]

log = logging.getLogger(__name__)

_READERS = "echocast.readers"
_HEAD_BYTES = 4096
_MOST_PACKED = 2
"""An archive may hold compressed files, and no more than that."""


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
        UnreadableFile: no reader recognises it, or it is empty or incomplete.
    """
    head = b"" if path.is_dir() else _head(path)
    if not head and not path.is_dir():
        raise UnreadableFile(f"{path}: is empty; if it is still being written wait, else fetch it again")
    found = _reader_of(head, path, first)
    if found is None:
        raise UnreadableFile(
            f"{path}: {damage.why_unknown(head, path)} ({', '.join(formats())}); name one with --format"
        )
    return found


def _reader_of(head: bytes, path: Path, first: str | None = None) -> str | None:
    if first is not None and not _is_general(first) and _recognises(first, head, path):
        return first
    for name in sorted(plugins.load_all(_READERS), key=lambda name: (_is_general(name), name)):
        if _recognises(name, head, path):
            return name
    return None


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
    found = list(_fields(location, _options(options), _whole, recognise))
    if len(found) == 1:
        return found[0]
    joined = NewestFrames(sum(field.sizes["time"] for field in found))
    for field in found:
        joined.add(field, location)
    return joined.field()[0]


def read_all(
    inputs: Location | Iterable[Location],
    options: ReadOptions | str | None = None,
    *,
    frames: int | None = None,
    strict: bool = False,
) -> xr.DataArray:
    """The frames of a file, folder, glob, store or URL, or of several of these, as one field in the order of time.

    Args:
        inputs: one location, or several.
        options: see `ReadOptions`; a text is the reader's name.
        frames: only so many of the newest; all if None.
        strict: a file that would be passed over, because it cannot be read or lies on another grid, is an error; else
            the log tells of it.

    Raises:
        UnreadableFile: there is no such file, or none can be read.
        GridMismatch: a third of the files, or more, lie on other grids or are of other products.
        DataError: two files hold different frames of one time.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    return newest(find(given, strict=strict), frames or _ALL, options=options, strict=strict)[0]


_ALL = 10**9
"""More frames than there are."""


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
    options = options if isinstance(options, ReadOptions) else ReadOptions(format=options)
    return options if options.format is None else replace(options, format=plugins.full_name(_READERS, options.format))


def _fields(
    location: Location, options: ReadOptions, take: _Take, recognise: Callable[[Path], str]
) -> Iterator[xr.DataArray]:
    """Fields within the limit of rain; every error names the location."""
    with _reachable_by_a_reader(location) as path:
        if isinstance(path, str):
            yield from _of_reader("zarr", path, location, options, take)
        else:
            yield from _of_file(path, location, options, take, recognise)


def _of_file(
    path: Path, location: Location, options: ReadOptions, take: _Take, recognise: Callable[[Path], str], depth: int = 0
) -> Iterator[xr.DataArray]:
    """The fields of a local file, or of all files that are packed in it; messages call it `location`."""
    packed = None if path.is_dir() or not path.exists() else unpacking.kind(path)
    if packed is None or depth >= _MOST_PACKED or _takes_packed(path, packed, options.format):
        yield from _of_reader(options.format or recognise(path), path, location, options, take)
        return
    with unpacking.unpacked(path, listing.companions()) as folder:
        members = sorted(listing.inside(folder))
        if not members:
            raise UnreadableFile(f"{location}: holds no radar files; look at it")
        is_archive = len(members) > 1 or packed in ("zip", "tar")
        for member in members:
            called = f"{location}/{member.relative_to(folder)}" if is_archive else location
            with damage.renamed(member, called):
                yield from _of_file(member, called, options, take, recognise, depth + 1)


def _takes_packed(path: Path, packed: str, name: str | None) -> bool:
    """Whether a reader reads a packed file as it is: the named one, or any."""
    try:
        head = _head(path)
    except UnreadableFile:
        return False
    found = name if name and name in formats() and _recognises(name, head, path) else None
    found = found or (_reader_of(head, path) if name is None else None)
    return found is not None and (packed != "gzip" or bool(getattr(plugins.load(_READERS, found), "GZIP", False)))


def _of_reader(
    name: str, path: Location, location: Location, options: ReadOptions, take: _Take
) -> Iterator[xr.DataArray]:
    reader = plugins.load(_READERS, name, error=DataError)
    arguments = options.reader_arguments()
    log.info("%s: read as %s", location, name)
    with damage.named_errors(path, name, partial(_remedy, path, options.format)):
        _check_options(name, reader, arguments)
        for field in take(reader, path, arguments):
            yield plausible.check(_within(field, options.max_rate, location), location)


def _remedy(path: Location, chosen: str | None) -> str:
    """What helps with a file that its reader cannot read: another reader, if one was chosen that does not know it."""
    other = _reader_of(_head(path), path) if chosen and isinstance(path, Path) and path.is_file() else None
    if other in (None, chosen):
        return "is it whole? fetch it again"
    return f"by its content it is {other}: leave out --format {chosen}"


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
    strict: bool = False,
    every: np.timedelta64 | None = None,
    at: np.datetime64 | None = None,
    prepare: Callable[[xr.DataArray], xr.DataArray] = lambda field: field,
    on_file: Callable[[Location], None] = lambda _: None,
    on_passed_over: Callable[[Location, str], None] = lambda *_: None,
) -> tuple[xr.DataArray, list[Location]]:
    """The newest frames of many files as one field, and the files that hold them.

    Files are read from the newest on, in the order that their names tell (`echocast.io.newest`), until there are as
    many frames as wanted and the next older file holds only older ones. Where names hold no time, the oldest file is
    read too, to confirm the order. If a file with an older name turns out to be newer, all files are read, which the
    log tells. So a file that was not needed may be damaged, or of another grid, without notice.

    A file that cannot be read, or that lies on another grid or is of another product than most, is passed over, which
    the log tells with the reason; the frames are then the newest of the others.

    Args:
        paths: files as `find` gives them.
        frames: how many frames are wanted; fewer come if there are fewer.
        options: see `ReadOptions`; a text is the reader's name.
        strict: a file that would be passed over is an error.
        every: only frames that are a multiple of it before the newest; by their names other files are not read.
        at: only frames up to this time; by their names later files are not read.
        prepare: applied to what is read of each file, such as a crop: only its result is kept in memory.
        on_file: called before each file is read.
        on_passed_over: called with each file that is passed over, and the reason.

    Raises:
        GridMismatch: a third of the files, or more, lie on another grid or are of another product than the others; two
            are named.
        DataError: two files hold different frames of one time; both are named. Or as `read` does.
        UnreadableFile: no file, or too many files, cannot be read.
    """
    recogniser, chosen = Recogniser(), _options(options)

    def content(path: Location) -> Iterator[xr.DataArray]:
        on_file(path)
        return map(prepare, pieces(path, chosen, recognise=recogniser))

    search = Search(paths, frames, content, strict=strict, time_pattern=chosen.time_pattern, every=every, at=at)
    field, used = search.found()
    for path, why in search.passed_over.items():
        log.warning("passed over: %s", why)
        on_passed_over(path, why)
    return field, used


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
        raise UnreadableFile(
            f"{path}: is broken gzip ({bad}); if it is still being written wait, else fetch it again"
        ) from bad
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad.strerror}); check the path and its permissions") from bad
