"""Where radar files come from: folders, URLs, or an archive that is replayed. Each lists what there is now.

>>> source_of("s3://bucket/radar").name
's3://bucket/radar'
"""

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from echocast.errors import DataError, UnreadableFile
from echocast.io import listing
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.newest import series
from echocast.operations.aside import Aside
from echocast.operations.bucket import Bucket
from echocast.operations.logs import without_secrets
from echocast.operations.readiness import Fingerprint
from echocast.operations.settings import Settings
from echocast.operations.stamps import NS
from echocast.operations.web import AskedToWait, WebFolder

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".temp", ".download", ".swp", ".lock")
_LONGEST_BACKOFF_S = 300.0
_LONGEST_LISTING_S = 60.0


@runtime_checkable
class Source(Protocol):
    """A place that radar files come to."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """All files there are now, finished or not, by their locations.

        Args:
            known: fingerprints of before, which a source that has to ask for each may give again.

        Raises:
            UnreadableFile: it cannot be reached.
        """


def source_of(given: str) -> Source:
    """The source that a path or URL means; raises `DataError` for a URL that is not supported."""
    match locations.scheme(given):
        case "file":
            return Folder(Path(given.removeprefix("file://")))
        case "http" | "https":
            return WebFolder(given)
    return Bucket(given.rstrip("/"))


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
        """All files; an empty folder gives none."""
        try:
            paths = listing.inside(self.path) if self.path.is_dir() else _globbed(self.path)
            found = {str(path): _of_file(path) for path in paths}
        except OSError as bad:
            raise UnreadableFile(f"{self.path}: cannot be listed ({bad.strerror}); check the path") from bad
        return {name: one for name, one in found.items() if one is not None}


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
        trouble: why the last listing failed; empty if it did not.
        kind: what kind of trouble: ``unreachable``, ``wait`` (the server asks to) or ``timeout``.
    """

    source: Source
    poll: float
    depth: int
    next_poll: float = 0.0
    errors: int = 0
    started: bool = False
    trouble: str = ""
    kind: str = ""
    known: dict[str, Fingerprint] = field(default_factory=dict)
    _aside: Aside = field(default_factory=Aside)

    @property
    def name(self) -> str:
        """What it is called in messages, without keys and passwords."""
        return str(without_secrets(self.source.name))

    def list(
        self, now: float, jitter: float = 0.0, on_wait: Callable[[], None] = lambda: None
    ) -> dict[str, Fingerprint] | None:
        """What there is now, and None where it cannot be reached; `trouble` then says why.

        Args:
            now: the time by the clock of intervals.
            jitter: the next poll is later by this share of `poll`.
            on_wait: called several times a second while the source is asked.
        """
        try:
            work = partial(self.source.files, self.known)
            found = self._aside.call(work, deadline=_LONGEST_LISTING_S, on_wait=on_wait)
        except (DataError, OSError) as bad:
            self.errors += 1
            is_silent = isinstance(bad, TimeoutError)
            self.trouble = f"{self.name}: {bad}" if is_silent else str(bad)
            self.kind = "timeout" if is_silent else "wait" if isinstance(bad, AskedToWait) else "unreachable"
            wait = min(self.poll * 2.0 ** min(self.errors - 1, 10), max(_LONGEST_BACKOFF_S, self.poll))
            self.next_poll = now + max(wait, getattr(bad, "seconds", 0.0))
            return None
        self.errors, self.trouble = 0, ""
        self.next_poll = now + max(self.poll * (1 + jitter), getattr(self.source, "asked_to_wait", 0.0))
        self.known = {name: one for name, one in found.items() if is_looked_at(locations.name(name))}
        return self.known

    def first(self, found: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """Of the first listing the files that are worth reading: the newest of each series of names."""
        self.started = True
        kept = {name for files, _ in series(list[Location](found)) for name in files[-self.depth :]}
        return {name: one for name, one in found.items() if name in kept}


def depth_of(settings: Settings) -> int:
    """How many of the newest files of a first listing are worth reading."""
    return settings.frames + 24 + int(settings.catch_up / 300)


def polled_of(settings: Settings, known: Sequence[Polled] = ()) -> list[Polled]:
    """The sources of some settings; those that are known go on as they are. Raises `DataError` for a wrong URL."""
    before = {one.source.name: one for one in known}
    given = [source_of(one) for one in settings.sources]
    return [before.get(one.name) or Polled(one, settings.poll, depth_of(settings)) for one in given]


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
