"""Names in the folder of the service: nothing else in it is ever touched.

::

    DIR/index.json    the only mutable name that a reader needs
    DIR/status.json   how the service is
    DIR/latest        link to the newest issue, for people
    DIR/issues/2026/11/28/20261128T051000Z-1a2b3c4d/   an issue: its files and meta.json
    DIR/frames/20261128T051000Z-9f8e7d6c.bin           an observed frame
    DIR/.work/        what is being written;  DIR/.lock   who writes
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echocast.errors import DataError
from echocast.operations.stamps import name_stamp

VERSION = "1.0"
"""Of index.json and meta.json: readers refuse another number before the dot, and ignore keys that they do not know."""

ISSUE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
FRAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}\.bin")


@dataclass(frozen=True)
class Layout:
    """The names below a folder."""

    root: Path

    @property
    def index(self) -> Path:
        """The index of what is published."""
        return self.root / "index.json"

    @property
    def status(self) -> Path:
        """The state of the service."""
        return self.root / "status.json"

    @property
    def latest(self) -> Path:
        """The link to the newest issue."""
        return self.root / "latest"

    @property
    def lock(self) -> Path:
        """The file that the only writer holds."""
        return self.root / ".lock"

    @property
    def work(self) -> Path:
        """Where issues are written before they are published."""
        return self.root / ".work"

    @property
    def frames(self) -> Path:
        """The observed frames."""
        return self.root / "frames"

    @property
    def seen(self) -> Path:
        """The source files that are dealt with."""
        return self.frames / "seen.json"

    def issue(self, name: str) -> Path:
        """The folder of an issue by its id."""
        return self.root / "issues" / name[:4] / name[4:6] / name[6:8] / name

    def issues(self) -> list[Path]:
        """The folders of all issues on the disk, oldest first."""
        found = (self.root / "issues").glob("[0-9]*/[0-9]*/[0-9]*/*")
        return sorted(path for path in found if ISSUE.fullmatch(path.name) and path.is_dir())

    def relative(self, path: Path) -> str:
        """A path as index.json names it."""
        return path.relative_to(self.root).as_posix()


def issue_id(time_ns: int, digest: str) -> str:
    """The id of an issue, or the name of a frame: its time and the first digits of a digest."""
    return f"{name_stamp(time_ns)}-{digest[:8]}"


def check_version(content: Mapping[str, Any], path: Path) -> None:
    """Raise `DataError` unless a file's version is one that this program knows."""
    version = str(content.get("version", ""))
    if version.partition(".")[0] != VERSION.partition(".")[0]:
        raise DataError(
            f"{path}: is of version {version or 'unknown'}, this program writes {VERSION}; use another"
            " folder, or the echocast that wrote it"
        )
