"""Which exceptions mean a damaged file: the one place that knows, for all readers.

A reader, or the library that it calls, raises what it likes about a damaged file. `named_errors` turns that into an
`UnreadableFile` which names the file. Errors of echocast keep their class and gain the file's name. Whatever is a
mistake in the code (`NameError`, `AttributeError`, `TypeError`, ...) or a lack of memory passes through unchanged.
A library that raises one of those about a damaged file is called inside `as_value_error`.

    >>> with named_errors("radar.h5", "odim"):
    ...     raise KeyError("what")
    Traceback (most recent call last):
        ...
    echocast.errors.UnreadableFile: radar.h5: cannot be read as odim (KeyError: 'what'); is it whole? fetch it again
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from echocast.errors import EchocastError, UnreadableFile
from echocast.io.location import Location

_DAMAGE = (OSError, ValueError, LookupError, EOFError, OverflowError, RuntimeError)
"""What readers, and most of the libraries that they call, raise about damaged data."""
_MISTAKES = (NotImplementedError, RecursionError)
"""Kinds of RuntimeError that say something about the code."""
_LIBRARIES = {
    "eccodes": "CodesInternalError",
    "icechunk": "IcechunkError",
    "lzma": "LZMAError",
    "PIL.Image": "DecompressionBombError",
    "rasterio.errors": "RasterioError",
    "struct": "error",
    "tarfile": "TarError",
    "zipfile": "BadZipFile",
    "zlib": "error",
}
"""Exceptions of libraries that are none of the above; a library that was never imported raises nothing."""
_MAX_REASON = 200
_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"CDF": "NetCDF",
    b"GRIB": "GRIB",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"P5": "PGM",
}
_WAIT = "if it is still being written wait, else fetch it again"


def is_damage(error: BaseException) -> bool:
    """Whether an exception that came out of a reader means a damaged file."""
    known = tuple(getattr(sys.modules[module], name) for module, name in _LIBRARIES.items() if module in sys.modules)
    return isinstance(error, (*_DAMAGE, *known)) and not isinstance(error, _MISTAKES)


def why_unknown(head: bytes, path: Path) -> str:
    """Why no reader takes a file that begins with `head`; made to be followed by the formats that there are."""
    if not head.strip(b"\x00"):
        return f"holds nothing but zeros; {_WAIT}. It is of no format that echocast knows"
    for magic, name in _BEGINNINGS.items():
        if head.startswith(magic):
            whole = name != "HDF5" or _is_whole_hdf5(path)
            if whole and name == "HDF5":
                return "is HDF5, but none of the formats that echocast knows"
            return f"begins as {name}, but is incomplete or broken; {_WAIT}. Else it is of none of the formats known"
    return "is of no format that echocast knows"


def _is_whole_hdf5(path: Path) -> bool:
    import h5py

    try:
        h5py.File(path).close()
    except (OSError, RuntimeError, ValueError):
        return False
    return True


@contextmanager
def named_errors(
    location: Location, reader: str, remedy: Callable[[], str] = lambda: "is it whole? fetch it again"
) -> Iterator[None]:
    """What goes wrong with one file names the file.

    Args:
        location: the file.
        reader: the name of the reader, for messages.
        remedy: what helps, asked for if the file is damaged.

    Raises:
        UnreadableFile: for every exception that means a damaged file, which is its cause.
        EchocastError: of the class that was raised, with the file's name before its message.
    """
    try:
        yield
    except EchocastError as error:
        if not str(error).startswith(f"{location}:"):
            _say(error, f"{location}: {error}")
        raise
    except FileNotFoundError as error:
        raise UnreadableFile(f"{location}: no such file") from error
    except PermissionError as error:
        raise UnreadableFile(f"{location}: cannot be read ({error.strerror}); check its permissions") from error
    except Exception as error:
        if not is_damage(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")[:_MAX_REASON]
        message = f"{location}: cannot be read as {reader} ({reason}); {remedy()}"
        raise UnreadableFile(message) from error


@contextmanager
def renamed(copy: Path, original: Location) -> Iterator[None]:
    """Errors about a temporary copy name its original."""
    try:
        yield
    except EchocastError as error:
        _say(error, str(error).replace(str(copy), str(original)))
        raise


@contextmanager
def as_value_error(*errors: type[Exception]) -> Iterator[None]:
    """Around one call of a library: what it raises about damaged data beside the usual becomes a `ValueError`."""
    try:
        yield
    except errors as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _say(error: EchocastError, message: str) -> None:
    error.args = (message, *error.args[1:])
    if isinstance(error, ImportError):  # which keeps its message beside its arguments
        error.msg = message
