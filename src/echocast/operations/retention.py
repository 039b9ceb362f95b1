"""Which issues are kept: those of the last hours, within a number of bytes; never without the newest.

Ages are counted from the newest issue and not from the clock, so that neither a feed that stopped nor a clock that
jumped empties the folder. What is let go leaves index.json first, and the disk some time later, since readers may still
hold it.

>>> kept_out([(0.0, 10, "a"), (3600.0, 10, "b"), (7200.0, 10, "c")], keep=3600.0, most_bytes=None)
['a']
>>> kept_out([(0.0, 10, "a"), (3600.0, 10, "b"), (7200.0, 10, "c")], keep=7200.0, most_bytes=15)
['a', 'b']
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from echocast.atomic import sync_folder
from echocast.operations.disk import disk_errors
from echocast.operations.layout import Layout, netcdf_seconds


def kept_out(issues: Sequence[tuple[float, int, str]], *, keep: float, most_bytes: int | None) -> list[str]:
    """The names of the issues to let go, oldest first.

    Args:
        issues: time in seconds, bytes, name.
        keep: seconds before the newest issue for which issues are kept.
        most_bytes: all kept issues together may hold no more; None: any number.
    """
    out: list[str] = []
    held = 0
    newest_first = sorted(issues, reverse=True)
    for number, (time, size, name) in enumerate(newest_first):
        held += size
        is_over = most_bytes is not None and held > most_bytes
        if number and (out or is_over or newest_first[0][0] - time > keep):
            out.append(name)
    return out[::-1]


@dataclass
class Removal:
    """Files and folders that leave the disk after a time of grace.

    Args:
        grace: seconds.
    """

    grace: float
    _due: dict[Path, float] = field(default_factory=dict)

    def add(self, paths: Iterable[Path], now: float) -> None:
        """Paths that no index names any more, at a time that never jumps."""
        for path in paths:
            self._due.setdefault(path, now + self.grace)

    def keep(self, path: Path) -> None:
        """A path is named again."""
        self._due.pop(path, None)

    def tidy(self, now: float, *, at_once: bool = False) -> None:
        """Remove what is due; all of it if `at_once`, where the disk is full."""
        for path in [path for path, due in self._due.items() if at_once or due <= now]:
            del self._due[path]
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@dataclass
class NetcdfFiles:
    """The NetCDF files of issues that are gone, in a folder of their own, named by no index.

    Args:
        layout: the folder of the service.
    """

    layout: Layout

    def keep(self, folder: Path) -> None:
        """Keep the NetCDF files of an issue that is about to go; raises `DiskTrouble`.

        They are linked and not copied where the disk can do it, so that this needs no room.
        """
        for file in folder.glob("*.nc"):
            place = self.layout.netcdf(folder.name, file)
            with disk_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                try:
                    os.link(file, place)
                except OSError:  # some file systems have no links
                    shutil.copyfile(file, place)
                sync_folder(place.parent)

    def tidy(self, newest: float, keep: float, most_bytes: int | None = None) -> None:
        """Remove what is too old or too much, the oldest first, and empty folders.

        Args:
            newest: the time of the newest issue, in seconds since 1970.
            keep: seconds before it for which files are kept.
            most_bytes: all of them together may hold no more; None: any number.
        """
        held = 0
        for path in reversed(self.layout.netcdfs()):
            held += path.stat().st_size if most_bytes is not None else 0
            if netcdf_seconds(path) < newest - keep or (most_bytes is not None and held > most_bytes):
                path.unlink(missing_ok=True)
                self._remove_empty(path.parent)

    def remove_oldest(self, share: float) -> None:
        """Remove the oldest, a share of their number, at least one: for a full disk."""
        found = self.layout.netcdfs()
        for path in found[: max(1, round(share * len(found)))]:
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.layout.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
