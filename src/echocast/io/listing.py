"""Which files are meant by paths, folders, globs and URLs."""

import fnmatch
import glob
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from echocast import plugins
from echocast.errors import UnreadableFile
from echocast.io import location as locations
from echocast.io.location import Location

T = TypeVar("T", bound=Location)

log = logging.getLogger(__name__)

_READERS = "echocast.readers"
_NOTES = (".md", ".json", ".toml", ".png", ".py", ".sh")
"""Endings of notes that a folder of radar files may also hold; files given by name are never passed over."""
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".download", ".swp", ".lock")
_TEXTS = (".txt", ".csv", ".log", ".xml", ".html", ".htm", ".yml", ".yaml", ".cfg", ".ini", ".md5", ".sha256", ".sum")
_PICTURES = (".png", ".gif", ".npy")
_TOLD = 5


def find(inputs: Iterable[Location], *, strict: bool = False) -> list[Location]:
    """What is meant by files, folders (with all below them), globs, Zarr stores and URLs of these, each once, sorted.

    In folders hidden files and notes (``.md``, ``.json``, ...) are passed over; so are unfinished files (``.part``,
    ``.tmp``, ...) and texts (``.txt``, ...), which the log tells; every other file is meant. A store is one place; its
    URL ends with a slash.

    Args:
        inputs: paths, globs and URLs.
        strict: an unfinished file or a text in a folder is an error.

    Raises:
        UnreadableFile: a path that does not exist, a folder or glob without files, a URL that cannot be reached.
    """
    found: dict[Location, None] = {}
    passed: dict[Location, str] = {}
    for given in inputs:
        is_url = locations.is_url(given)
        found |= dict.fromkeys(_at_url(str(given), passed) if is_url else _expand(str(given), passed))
    if passed:
        named = ", ".join(f"{path} ({why})" for path, why in list(passed.items())[:_TOLD])
        more = f" and {len(passed) - _TOLD} more" if len(passed) > _TOLD else ""
        if strict:
            raise UnreadableFile(f"{named}{more}; remove what is no radar file, or read without --strict")
        log.warning("passed over: %s%s", named, more)
    return sorted(found, key=str)


def inside(folder: Path, passed: dict[Location, str] | None = None) -> list[Path]:
    """The files and stores below a folder that are meant; what is passed over is added to `passed` with the reason."""
    return list(_inside(folder, {} if passed is None else passed, _is_pictured(folder)))


def _at_url(url: str, passed: dict[Location, str]) -> list[Location]:
    url = url.rstrip("/")
    if locations.scheme(url) == "file":
        return list(_expand(url.removeprefix("file://"), passed))
    if not any(sign in url for sign in "*[") and locations.has_file(url, *plugins.load(_READERS, "zarr").MARKS):
        return [f"{url}/"]
    return _finished(list(locations.list_files(url)), passed)


def _expand(given: str, passed: dict[Location, str]) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        found = inside(path, passed)
        if not found:
            raise UnreadableFile(f"{path}: holds no radar files; give a folder that does")
        return found
    if path.exists():
        return [path]
    matches = [Path(match) for match in glob.glob(given, recursive=True)]  # noqa: PTH207 (absolute patterns too)
    files = [match for match in matches if match.is_file() or _is_store(match)]
    if not files:
        raise UnreadableFile(f"{given}: no such file or folder, and no glob that matches one")
    return _finished(files, passed)


def _finished(found: list[T], passed: dict[Location, str]) -> list[T]:
    """Without unfinished files and texts; all of them where a glob asks for nothing else."""
    why = {path: _is_unfinished_or_text(locations.name(path)) for path in found}
    if all(why.values()):
        return found
    passed.update({path: reason for path, reason in why.items() if reason})
    return [path for path, reason in why.items() if not reason]


def _inside(folder: Path, passed: dict[Location, str], pictured: bool) -> Iterator[Path]:
    """A folder that is a store, else the files and stores below it; pictures count where images.toml describes them."""
    if _is_store(folder):
        yield folder
        return
    pictured = pictured or (folder / plugins.load(_READERS, "images").NOTE).is_file()
    beside = companions()
    for path in folder.iterdir():
        if path.name.startswith(".") or any(fnmatch.fnmatch(path.name, pattern) for pattern in beside):
            continue
        if path.is_dir():
            yield from _inside(path, passed, pictured)
        elif why := _is_unfinished_or_text(path.name):
            passed[path] = why
        elif not _is_note(path) or (pictured and path.suffix.lower() in _PICTURES):
            yield path


def companions() -> list[str]:
    """Patterns of the files that lie beside data and are read with them."""
    return [p for reader in plugins.load_all(_READERS).values() for p in getattr(reader, "COMPANIONS", ())]


def _is_pictured(folder: Path) -> bool:
    return plugins.load(_READERS, "images").note_of(folder) is not None


def _is_store(path: Path) -> bool:
    return path.is_dir() and plugins.load(_READERS, "zarr").recognises(b"", path)


def _is_note(path: Path) -> bool:
    return path.suffix.lower() in _NOTES or path.stem.upper() in ("README", "LICENSE")


def _is_unfinished_or_text(name: str) -> str:
    """Why a file of a folder is passed over, by its name; empty if it is not."""
    lower = name.lower()
    if lower.endswith((*_UNFINISHED, "~")):
        return "is still being written, by its name"
    if lower.endswith(_TEXTS) and not lower.startswith(("readme", "license")):
        return "is a text, by its name"
    return ""
