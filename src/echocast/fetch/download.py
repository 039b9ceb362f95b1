"""Radar files of an open archive between two times, into a folder.

What is there already is not downloaded again. A file that the archive lacks is counted as missing; one that fails in
every attempt is named at the end, and the same command run again downloads only what is not there. How one file is
downloaded is in `echocast.fetch.transfer`.

    >>> get("mrms", "2024-06-01T00:00", "2024-06-01T01:00", Path("mrms"))  # doctest: +SKIP
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from echocast import plugins
from echocast.errors import DataError
from echocast.fetch.sources import Address
from echocast.fetch.transfer import Connection, DownloadOptions, NotFound, TransferFailed

log = logging.getLogger(__name__)

_SOURCES = "echocast.fetch.sources"


@dataclass
class Report:
    """What a download did: files downloaded, there before, missing at the source, and failed with the reason."""

    downloaded: int = 0
    there: int = 0
    missing: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many files are done with, in whatever way."""
        return self.downloaded + self.there + self.missing + len(self.failed)


def sources() -> list[str]:
    """The names of the archives that are known."""
    return plugins.names(_SOURCES)


def get(
    source: str,
    start: str,
    end: str,
    folder: Path,
    *,
    mirror: str | None = None,
    options: DownloadOptions | None = None,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Download the files of a source between two times, both included, into a folder.

    Args:
        source: one of `sources()`.
        start: UTC, as 2024-06-01T12:00 or 2024-06-01.
        end: the same; a date without a time means its last minute.
        folder: made if it is not there.
        mirror: another address with the same layout.
        options: files at the same time, attempts, limits.
        on_file: called after each file with the number of files done and in all.

    Raises:
        DataError: no such source, no such time, or the folder cannot be written.
    """
    module = plugins.load(_SOURCES, source, error=DataError)
    first, last = _time(start, end_of_day=False), _time(end, end_of_day=True)
    if last < first:
        raise DataError(f"--from {start} is after --to {end}; swap them")
    base = (mirror or module.BASE).rstrip("/")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Connection(options or DownloadOptions()) as connection:
            wanted = _addresses(module, first, last, base, connection)
            return _Download(base, folder, connection, on_file).run(wanted)
    except OSError as bad:
        raise DataError(f"{folder}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad


def _time(text: str, *, end_of_day: bool) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as bad:
        raise DataError(f"{text!r} is no time; write it as 2024-06-01T12:00 (UTC)") from bad
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return found.replace(hour=23, minute=59) if end_of_day and len(text.strip()) <= len("2024-06-01") else found


def _addresses(
    module: ModuleType, first: datetime, last: datetime, base: str, connection: Connection
) -> Sequence[Address]:
    """The files of a source between two times; raises `DataError` if there are none or the source is not right."""

    def listing(page: str) -> str:
        url = f"{base}/{page}"
        try:
            return connection.text(url)
        except (TransferFailed, NotFound) as bad:
            raise DataError(f"{url}: cannot be listed ({bad}); try again later, or give --mirror") from bad

    found = list(module.addresses(first, last, listing))
    if not found:
        raise DataError(f"{base}: has no file from {first} to {last} UTC; it may begin later or end earlier")
    for address in found:
        if Path(address.name).name != address.name or address.name.startswith("."):
            raise DataError(f"{base}: names a file {address.name!r}, which is no plain file name")
    return found


class _Download:
    """Downloads many files, several at the same time, and counts."""

    def __init__(self, base: str, folder: Path, connection: Connection, on_file: Callable[[int, int], None]) -> None:
        self._base, self._folder, self._connection, self._on_file = base, folder, connection, on_file
        self._report, self._lock, self._total = Report(), threading.Lock(), 0

    def run(self, addresses: Sequence[Address]) -> Report:
        """Download them all."""
        self._total = len(addresses)
        with ThreadPoolExecutor(self._connection.options.parallel) as threads:
            futures = [threads.submit(self._one, address) for address in addresses]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._connection.stop()
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        return self._report

    def _one(self, address: Address) -> None:
        if self._connection.stopped:
            return
        path = self._folder / address.name
        if path.exists():
            self._count(there=1)
            return
        try:
            self._connection.file(f"{self._base}/{address.path}", path)
        except NotFound:
            if address.listed:
                self._count(failed={address.name: "the server listed it but does not have it"})
            else:
                self._count(missing=1)
        except TransferFailed as bad:
            log.warning("%s: %s", address.name, bad)
            self._count(failed={address.name: str(bad)})
        else:
            self._count(downloaded=1, size=path.stat().st_size)

    def _count(
        self,
        *,
        downloaded: int = 0,
        there: int = 0,
        missing: int = 0,
        size: int = 0,
        failed: dict[str, str] | None = None,
    ) -> None:
        with self._lock:
            report = self._report
            report.downloaded += downloaded
            report.there += there
            report.missing += missing
            report.bytes += size
            report.failed |= failed or {}
            self._on_file(report.done, self._total)
