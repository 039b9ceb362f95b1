"""Paths become fields: which files are meant, which reader takes each, one field of all.

>>> from pathlib import Path
>>> for path in find(["radar/"]):  # doctest: +SKIP
...     field = read(path)
"""

import glob
import gzip
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import field as fields
from echocast import plugins
from echocast.errors import DataError, UnreadableFile

log = logging.getLogger(__name__)

_READERS = "echocast.data.readers"
_HEAD_BYTES = 4096
_NOT_DATA = (".md", ".json", ".toml", ".png", ".py", ".sh", ".partial")
"""Endings that a folder of radar files may also hold; files given by name are never passed over."""


def find(inputs: Iterable[str | Path]) -> list[Path]:
    """The files that are meant by paths of files, folders (with all below them) and globs, each once, sorted.

    In folders hidden files and notes (``.md``, ``.json``, ...) are passed over; every other file is meant.

    Raises:
        UnreadableFile: a path that does not exist, a folder or glob without files.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        found |= dict.fromkeys(_expand(str(given)))
    return sorted(found)


def formats() -> list[str]:
    """The names of the readers."""
    return plugins.names(_READERS)


def recognise(path: Path) -> str:
    """The name of the reader that knows a file by its content; raises `UnreadableFile` if none does."""
    head = _head(path)
    if not head:
        raise UnreadableFile(f"{path}: is empty; fetch it again")
    for name in formats():
        if plugins.load(_READERS, name).recognises(head, path):
            return name
    raise UnreadableFile(
        f"{path}: is of no format that echocast knows ({', '.join(formats())}); name one with --format"
    )


def read(path: str | Path, format: str | None = None) -> xr.DataArray:  # noqa: A002 (the option's name)
    """The checked field of one file, read by the named reader or by the one that recognises it.

    Raises:
        UnreadableFile: no reader can make sense of it.
        DataError: there is no reader of that name.
    """
    path = Path(path)
    reader = plugins.load(_READERS, format or recognise(path), error=DataError)
    try:
        field: xr.DataArray = reader.read(path)
    except UnreadableFile:
        raise
    except DataError as bad:
        raise UnreadableFile(f"{path}: {bad}") from bad
    except FileNotFoundError as bad:
        raise UnreadableFile(f"{path}: no such file") from bad
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad})") from bad
    return field


def newest(
    paths: Sequence[Path],
    frames: int,
    *,
    format: str | None = None,  # noqa: A002
    on_file: Callable[[Path], None] = lambda _: None,
) -> tuple[xr.DataArray, list[Path]]:
    """The newest frames of many files as one field, and the files that hold them; never more than those in memory.

    Raises:
        GridMismatch: a file lies on another grid than the first; it is named.
        DataError: two files hold different frames of one time; both are named.
        UnreadableFile: a file cannot be read.
    """
    kept: dict[np.datetime64, tuple[xr.DataArray, Path]] = {}
    first: xr.DataArray | None = None
    for path in paths:
        on_file(path)
        field = read(path, format)
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


def _expand(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        inside = [p for p in path.rglob("*") if p.is_file() and not _passed_over(p.relative_to(path))]
        if not inside:
            raise UnreadableFile(f"{path}: holds no radar files; give a folder that does")
        return inside
    if path.exists():
        return [path]
    matches = [Path(match) for match in glob.glob(given, recursive=True)]  # noqa: PTH207 (absolute patterns too)
    files = [match for match in matches if match.is_file()]
    if not files:
        raise UnreadableFile(f"{given}: no such file or folder, and no glob that matches one")
    return files


def _passed_over(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return hidden or path.suffix.lower() in _NOT_DATA or path.stem.upper() in ("README", "LICENSE")


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
