"""Where radar files come from: folders, URLs, or an archive that is replayed. Each lists what there is now.

>>> source_of("s3://bucket/radar").name
's3://bucket/radar'
"""

import logging
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from echocast.errors import DataError, UnreadableFile
from echocast.io import listing
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.newest import series
from echocast.operations.readiness import Fingerprint
from echocast.operations.stamps import NS

log = logging.getLogger(__name__)

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".temp", ".download", ".swp", ".lock")
_HTTP_ABOUT_S = 60.0
"""Times of change that a web server tells may jump by so much."""
_LONGEST_BACKOFF_S = 300.0
_LOOKED_AT_AGAIN = 6
"""Of the files of a web server that were seen, so many of the newest are asked for again at each poll."""


@runtime_checkable
class Source(Protocol):
    """A place that radar files come to."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """The files there are now, by their locations; raises `UnreadableFile` where it cannot be reached.

        Args:
            known: fingerprints of before, which a source that has to ask for each may give again.
        """


def source_of(given: str) -> Source:
    """The source that a path or URL means; raises `DataError` for a URL that is not supported."""
    return (
        Remote(given.rstrip("/")) if locations.scheme(given) != "file" else Folder(Path(given.removeprefix("file://")))
    )


def is_looked_at(name: str) -> bool:
    """Whether a file's name is that of a finished file."""
    lower = name.lower()
    return not (lower.startswith((".", "~")) or lower.endswith(("~", *_UNFINISHED)))


@dataclass(frozen=True)
class Folder:
    """A local folder, with all below it; or a glob."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """All finished files; an empty folder gives none."""
        try:
            paths = listing.inside(self.path) if self.path.is_dir() else _globbed(self.path)
            found = {str(path): _of_file(path) for path in paths if is_looked_at(path.name)}
        except OSError as bad:
            raise UnreadableFile(f"{self.path}: cannot be listed ({bad.strerror}); check the path") from bad
        return {name: one for name, one in found.items() if one is not None}


@dataclass(frozen=True)
class Remote:
    """A prefix of S3 or GS, a folder of a web server, or a glob of these."""

    name: str

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """All finished files with their sizes and checksums."""
        try:
            marks = locations.list_marks(self.name)
        except UnreadableFile as bad:
            if "it is empty" in str(bad):
                return {}
            raise
        names = [url for url in marks if is_looked_at(locations.name(url))]
        asked = self._to_ask(names, known)
        found = {url: _fingerprint(url, marks[url]) if url in asked else known[url] for url in names}
        # A file whose mark cannot be had just now is as it was, or not there yet.
        return {url: one for url, mark in found.items() if (one := mark or known.get(url)) is not None}

    def _to_ask(self, names: list[str], known: Mapping[str, Fingerprint]) -> set[str]:
        """The files whose fingerprints are looked at: of a web server those that are new, and the newest."""
        if locations.scheme(self.name) not in ("http", "https"):
            return set(names)
        newest = [str(url) for files, _ in series(names) for url in files[-_LOOKED_AT_AGAIN:]]
        return {url for url in names if url not in known} | set(newest)


@dataclass(frozen=True)
class Replay:
    """An archive whose frames arrive one after the other, each `delay` seconds after its time.

    Args:
        store: the archive.
        times: of its frames that are not missing, in ns.
        now: the simulated time.
        delay: in seconds.
    """

    store: Location
    times: tuple[int, ...]
    now: Callable[[], float]
    delay: float = 0.0

    @property
    def name(self) -> str:
        """The archive's place."""
        return str(self.store)

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """The frames that have arrived by now, as ``ARCHIVE#TIME``."""
        until = (self.now() - self.delay) * NS
        return {f"{self.store}#{time}": Fingerprint(0, str(time)) for time in self.times if time <= until}


@dataclass
class Polled:
    """A source with the time of its next poll, which moves away while it fails.

    Args:
        source: where the files come from.
        poll: seconds between two polls.
        depth: of the files of the first listing, so many of the newest are read, as far as their names tell.
    """

    source: Source
    poll: float
    depth: int
    next_poll: float = 0.0
    errors: int = 0
    started: bool = False
    known: dict[str, Fingerprint] = field(default_factory=dict)

    def list(self, now: float, jitter: float = 0.0) -> dict[str, Fingerprint] | None:
        """What there is now, and None where it cannot be reached, which the log tells once."""
        try:
            found = self.source.files(self.known)
        except (DataError, OSError) as bad:
            self.errors += 1
            if self.errors == 1:
                log.warning("%s", bad)
            wait = min(self.poll * 2.0 ** min(self.errors - 1, 10), max(_LONGEST_BACKOFF_S, self.poll))
            self.next_poll = now + max(wait, _retry_after(bad))
            return None
        if self.errors:
            log.warning("%s: can be reached again", _without_query(self.source.name))
        self.errors, self.next_poll = 0, now + self.poll * (1 + jitter)
        self.known = found
        return found

    def first(self, found: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """Of the first listing the files that are worth reading: the newest of each series of names."""
        self.started = True
        kept = {name for files, _ in series(list[Location](found)) for name in files[-self.depth :]}
        return {name: one for name, one in found.items() if name in kept}


def _retry_after(bad: BaseException) -> float:
    """The seconds that a web server asks to wait; 0 if it does not."""
    headers = getattr(bad.__cause__, "headers", None) or {}
    text = str(headers.get("Retry-After", ""))
    return min(float(text), 3600.0) if text.isdigit() else 0.0


def _without_query(text: str) -> str:
    return text.partition("?")[0]


def _globbed(path: Path) -> list[Path]:
    try:
        return [Path(str(found)) for found in listing.find([str(path)])]
    except UnreadableFile:
        return []


def _of_file(path: Path) -> Fingerprint | None:
    """None where the file is gone, or is no file; a store, which is a folder, has the time of its last change."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    is_known = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
    return Fingerprint(about.st_size, f"{about.st_mtime_ns}-{about.st_ino}") if is_known else None


def _fingerprint(url: str, mark: locations.Mark | None) -> Fingerprint | None:
    """The fingerprint of a file at a URL; None where its server does not answer for it."""
    try:
        mark = locations.mark(url) if mark is None else mark
    except UnreadableFile as bad:
        log.info("%s", bad)
        return None
    if mark.tag:
        return Fingerprint(mark.size, mark.tag)
    return Fingerprint(mark.size, "", mark.modified, _HTTP_ABOUT_S)
