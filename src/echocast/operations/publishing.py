"""The publisher: issues appear whole, and index.json never names what is not whole.

An issue is written in ``.work/``, each file and folder is waited for until it is on the disk, and only then it is
renamed to its place; index.json, which names it, is replaced last. So after a kill or a power cut, whatever index.json
names is there. At the start issues that index.json lacks and whose checksums hold are taken in, others are removed.
"""

import hashlib
import json
import logging
import secrets
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from echocast.atomic import sync_file, sync_folder, write_bytes
from echocast.operations import stamps
from echocast.operations.disk import disk_errors
from echocast.operations.frames import Frame
from echocast.operations.index import Issue, told
from echocast.operations.layout import VERSION, Layout, check_version

log = logging.getLogger(__name__)

_VERIFIED_AT_START = 12
"""Of so many of the newest issues of index.json all checksums are verified at the start, of others the sizes."""


class Publisher:
    """Writes issues and the index of a folder.

    Args:
        layout: the folder of the service.
        now: the time, in seconds since 1970, for index.json.

    Raises:
        DataError: index.json is of another version, or the folder cannot be written.
    """

    def __init__(self, layout: Layout, now: float) -> None:
        self.layout = layout
        self._content: dict[str, Any] = {}
        self.issues: dict[str, Issue] = {}
        self.forgotten_to = ""
        self.alerts: list[dict[str, Any]] = []
        with disk_errors(layout.root):
            layout.work.mkdir(parents=True, exist_ok=True)
            _emptied(layout.work)
        indexed, folders = self._indexed(), layout.issues()
        for number, folder in enumerate(reversed(folders)):
            self._take_in(folder, indexed.get(folder.name), is_new=number < _VERIFIED_AT_START)
        lost = set(indexed) - set(self.issues)
        if lost:
            log.warning("issues that are not whole were taken out of index.json: %s", ", ".join(sorted(lost)))

    def work_folder(self) -> Path:
        """A new empty folder to write an issue in; raises `DiskTrouble`."""
        folder = self.layout.work / secrets.token_hex(8)
        with disk_errors(folder):
            folder.mkdir(parents=True)
        return folder

    def publish(self, work: Path, name: str, meta: Mapping[str, Any]) -> Issue:
        """Put an issue in its place: its files in `work`, its id, and its meta.json but for the checksums.

        The caller writes the index afterwards; until then no reader knows of the issue.

        Raises:
            DiskTrouble: it could not be written; nothing is published.
        """
        place = self.layout.issue(name)
        try:
            with disk_errors(place):
                files = _all_checked(work)
                write_bytes(work / "meta.json", _json(dict(meta) | {"version": VERSION, "id": name, "files": files}))
                sync_file(work / "meta.json")
                sync_folder(work)
                _make_folders(place.parent, self.layout.root)
                if place.exists():
                    shutil.rmtree(place)  # not in the index: what was left of an earlier try
                work.rename(place)
                sync_folder(place.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        issue = _issue_of(place, self.layout)
        self.issues[name] = issue
        return issue

    def take_out(self, names: Iterable[str]) -> None:
        """Leave issues out of the next index; their folders stay."""
        for name in names:
            self.forgotten_to = max(self.forgotten_to, self.issues.pop(name).time)

    def put_back(self, issues: Iterable[Issue], forgotten_to: str) -> None:
        """Undo `take_out`: the index could not be written."""
        self.issues |= {issue.id: issue for issue in issues}
        self.forgotten_to = forgotten_to

    def take_back(self, issue: Issue) -> None:
        """Undo the publication of an issue that the index does not name yet."""
        del self.issues[issue.id]
        shutil.rmtree(self.layout.root / issue.path, ignore_errors=True)

    def newest_first(self) -> list[Issue]:
        """The issues, newest first; of one time the highest revision first."""
        return sorted(self.issues.values(), key=lambda one: (one.time, one.revision), reverse=True)

    def write_index(self, *, now: float, frames: Iterable[Frame], step: float | None, grid: Any = None) -> None:
        """Replace index.json; raises `DiskTrouble`."""
        self._content = {
            "version": VERSION,
            "generated": stamps.iso(now),
            "grid": grid if grid is not None else self._content.get("grid"),
            "step": step,
            "forgotten_to": self.forgotten_to,
            "issues": [asdict(one) for one in self.newest_first()],
            "frames": [_frame_entry(frame, self.layout) for frame in frames],
            "alerts": self.alerts,
        }
        with disk_errors(self.layout.index):
            write_bytes(self.layout.index, _json(self._content), sync=True)
            sync_folder(self.layout.root)
        self._link_latest()

    def _link_latest(self) -> None:
        newest = next(iter(self.newest_first()), None)
        if newest is None or (self.layout.latest.is_symlink() and self.layout.latest.readlink() == Path(newest.path)):
            return
        link = self.layout.work / secrets.token_hex(8)
        with suppress(OSError):  # a convenience for people; some file systems have no links
            link.symlink_to(newest.path)
            link.replace(self.layout.latest)

    def _indexed(self) -> dict[str, Issue]:
        """The issues that index.json names; empty if there is none or it is no index."""
        try:
            content = json.loads(self.layout.index.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as bad:
            log.warning("index.json cannot be read (%s); it is made again from the issues on the disk", bad)
            return {}
        check_version(content, self.layout.index)
        try:
            issues = [Issue(**told(one)) for one in content["issues"]]
        except (KeyError, TypeError) as bad:
            log.warning("index.json lacks %s; it is made again from the issues on the disk", bad)
            return {}
        self._content = content
        self.forgotten_to = str(content.get("forgotten_to", ""))
        return {one.id: one for one in issues}

    def _take_in(self, folder: Path, indexed: Issue | None, *, is_new: bool) -> None:
        """Take in an issue on the disk if it is whole, else remove it."""
        try:
            issue = _issue_of(folder, self.layout)
            is_known = indexed is not None and indexed.sha256 == issue.sha256
            check_issue(folder, checksums=not is_known or is_new)
        except (OSError, ValueError, KeyError, TypeError) as bad:
            log.warning("%s: is not whole and was removed (%s)", folder.name, bad)
            shutil.rmtree(folder, ignore_errors=True)
            return
        self.issues[issue.id] = issue


def check_issue(folder: Path, *, checksums: bool = True) -> None:
    """Raise `ValueError` or `OSError` unless all files of an issue are there and are what its meta.json says."""
    meta = json.loads((folder / "meta.json").read_bytes())
    for name, about in meta["files"].items():
        path = folder / name
        if path.stat().st_size != about["bytes"] or (checksums and _sha256(path) != about["sha256"]):
            raise ValueError(f"{name} is not what meta.json says")


def _issue_of(folder: Path, layout: Layout) -> Issue:
    """What index.json says of an issue: all of it stands in its meta.json."""
    content = (folder / "meta.json").read_bytes()
    meta = json.loads(content)
    check_version(meta, folder / "meta.json")
    if meta["id"] != folder.name:
        raise ValueError(f"it holds the issue {meta['id']}")
    return Issue(
        id=meta["id"],
        time=meta["time"],
        revision=int(meta["revision"]),
        published=meta["published"],
        expires=meta["expires"],
        leads=tuple(meta["leads"]),
        layers=tuple(meta["layers"]),
        degraded=bool(meta["degraded"]),
        path=layout.relative(folder),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content) + sum(int(about["bytes"]) for about in meta["files"].values()),
    )


def _frame_entry(frame: Frame, layout: Layout) -> dict[str, Any]:
    return {
        "time": stamps.iso_ns(frame.time),
        "id": frame.path.stem,
        "path": layout.relative(frame.path),
        "sha256": frame.sha256,
    }


def _all_checked(folder: Path) -> dict[str, dict[str, Any]]:
    """By name what `_checked` tells of each file of a folder; the disk works while the processor counts."""
    paths = sorted(folder.iterdir())
    with ThreadPoolExecutor() as pool:
        return {path.name: about for path, about in zip(paths, pool.map(_checked, paths), strict=True)}


def _checked(path: Path) -> dict[str, Any]:
    """Wait until a file is on the disk; its size and checksum."""
    sync_file(path)
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folders(folder: Path, root: Path) -> None:
    """Make folders, each on the disk before what it will hold."""
    missing = [one for one in (folder, *folder.parents) if root in one.parents and not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
