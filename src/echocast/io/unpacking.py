"""Compressed files and archives (gzip, bzip2, xz, zip, tar), unpacked for the time of a block, for all readers.

What a file is packed with is told by its first bytes, not by its name. All that it holds is unpacked into a temporary
folder, within bounds, together with links to the files that a reader needs beside it.

>>> with unpacked(Path("radar.zip")) as folder:  # doctest: +SKIP
...     print(sorted(folder.iterdir()))
"""

import bz2
import fnmatch
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any

from echocast.errors import UnreadableFile

MOST_BYTES = 2**32
"""What one file may unpack to, all its members together."""
MOST_MEMBERS = 100_000

_limit: ContextVar[int | None] = ContextVar("bytes_limit", default=None)

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_ENDINGS = {"gzip": (".gz", ".gzip"), "bzip2": (".bz2",), "xz": (".xz",)}
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_CHUNK = 2**20
_TAR_BLOCK = 512


@contextmanager
def bytes_limit(most: int) -> Iterator[None]:
    """Within the block one file may unpack to so many bytes only: for a service that reads what others send."""
    token = _limit.set(most)
    try:
        yield
    finally:
        _limit.reset(token)


def _most_bytes() -> int:
    return _limit.get() or MOST_BYTES


def kind(path: Path) -> str | None:
    """What a file is packed with: ``"gzip"``, ``"bzip2"``, ``"xz"``, ``"zip"`` or ``"tar"``; None if it is not packed.

    Raises:
        UnreadableFile: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_BLOCK)
    except OSError as bad:
        raise UnreadableFile(f"{path}: cannot be read ({bad.strerror}); check the path and its permissions") from bad
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "tar" if _is_tar(head) else None)


@contextmanager
def unpacked(path: Path, companions: Iterable[str] = ()) -> Iterator[Path]:
    """A folder with all that a packed file holds.

    Args:
        path: a file of one of the kinds that `kind` tells.
        companions: patterns of files beside the file, or one folder above, that are linked into the folder.

    Raises:
        UnreadableFile: it is broken, locked by a password, or larger than the bounds.
    """
    packed = kind(path)
    with tempfile.TemporaryDirectory(prefix="echocast-") as place:
        folder = Path(place)
        try:
            if packed == "zip":
                _unpack_zip(path, folder)
            elif packed is not None:
                _unpack(path, packed, folder)
        except UnreadableFile as bad:
            raise UnreadableFile(f"{path}: {bad}") from None
        except _BROKEN as bad:
            why = " ".join(f"{type(bad).__name__}: {bad}".split())[:160]
            raise UnreadableFile(
                f"{path}: is broken {packed} ({why}); if it is still being written wait, else fetch it again"
            ) from bad
        for beside in _beside(path, companions):
            if not (folder / beside.name).exists():
                (folder / beside.name).symlink_to(beside.absolute())
        yield folder


def _unpack(path: Path, packed: str, folder: Path) -> None:
    with _stream(path, packed) as stream:
        is_tar = _is_tar(stream.read(_TAR_BLOCK))
    if is_tar:
        with tarfile.open(path, "r|*") as tar:
            left = _most_bytes()
            for number, member in enumerate(tar):
                _check_count(number)
                source = tar.extractfile(member) if member.isfile() else None
                if source is not None:
                    left -= _copy(source, _inside(folder, member.name), left)
        return
    name = path.name
    for ending in _ENDINGS[packed]:
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    with _stream(path, packed) as stream:
        _copy(stream, folder / (name or "data"), _most_bytes())


def _unpack_zip(path: Path, folder: Path) -> None:
    left = _most_bytes()
    with zipfile.ZipFile(path) as archive:
        _check_count(len(archive.infolist()))
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as source:
                    left -= _copy(source, _inside(folder, member.filename), left)


def _stream(path: Path, packed: str) -> Any:
    if packed == "gzip":
        return gzip.open(path, "rb")
    if packed == "bzip2":
        return bz2.open(path, "rb")
    return lzma.open(path, "rb") if packed == "xz" else path.open("rb")


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _inside(folder: Path, name: str) -> Path:
    """Where a member goes: never outside the folder, whatever it is called."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    target = folder.joinpath(*parts or ["data"])
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _copy(source: Any, target: Path, most: int) -> int:
    """Write what a stream gives, at most so many bytes; how many they were."""
    written = 0
    with target.open("wb") as file:
        while part := source.read(_CHUNK):
            written += len(part)
            if written > most:
                raise UnreadableFile(
                    f"unpacks to more than {_most_bytes():,} bytes, the limit for one file; unpack it first"
                )
            file.write(part)
    return written


def _check_count(members: int) -> None:
    if members > MOST_MEMBERS:
        raise UnreadableFile(f"holds more than {MOST_MEMBERS:,} files; unpack it first")


def _beside(path: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        for folder in (path.parent, path.absolute().parent.parent):
            yield from (one for one in folder.glob(pattern) if fnmatch.fnmatch(one.name, pattern) and one.is_file())
