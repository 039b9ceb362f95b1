"""Files of open archives, fetched with patience: retries, resuming, checksums, few at a time.

A file appears under its name only when it is whole: its length is the one announced, and its content has the MD5 that
the server told (an S3 ETag, or Content-MD5). What is there already is not fetched again. What breaks off goes on where
it stopped, if the server can; what does not exist is a gap of the archive and counted; what fails again and again is
named at the end, and the same command run again finishes the work.

    >>> get("mrms", "2024-06-01T00:00", "2024-06-01T01:00", Path("mrms"))  # doctest: +SKIP
"""

import base64
import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import urllib3

from echocast import plugins
from echocast._version import __version__
from echocast.errors import DataError
from echocast.fetch.sources._address import Address

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Files that are fetched at the same time; servers of weather services are shared by all."""

_SOURCES = "echocast.fetch.sources"
_CONNECT_S, _SILENCE_S = 10.0, 20.0
_SLOWEST_BYTES_S = 2000.0
_PATIENCE_S = 20.0
_TRIES = 6
_MOST_BYTES = 2**33
_MOST_LISTING_BYTES = 2**26
_CHUNK = 2**16
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass
class Fetched:
    """What a download did: files fetched, there before, missing at the source, and failed with why."""

    fetched: int = 0
    there: int = 0
    missing: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manners:
    """How patient to be.

    Args:
        at_once: files at the same time.
        tries: attempts for each file before it counts as failed.
        first_pause_s: pause after the first failure; it doubles with each, and a server's Retry-After goes before.
        silence_s: seconds without a byte that end an attempt.
        patience_s: seconds after which an attempt slower than `slowest` ends.
        slowest: bytes a second.
    """

    at_once: int = AT_ONCE
    tries: int = _TRIES
    first_pause_s: float = 1.0
    silence_s: float = _SILENCE_S
    patience_s: float = _PATIENCE_S
    slowest: float = _SLOWEST_BYTES_S


class _Again(Exception):
    """An attempt failed in a way that another may not."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class _Gone(Exception):
    """The server says that there is no such file."""


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
    manners: Manners = Manners(),
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> Fetched:
    """Fetch the files of a source between two times, both included, into a folder.

    Args:
        source: one of `sources()`.
        start: UTC, as 2024-06-01T12:00 or 2024-06-01.
        end: the same; a date without a time means its last minute.
        folder: made if it is not there.
        mirror: another address with the same layout.
        manners: how patient to be.
        on_file: called after each file with the number of files done and in all.

    Raises:
        DataError: no such source, no such time, or the folder cannot be written.
    """
    module = plugins.load(_SOURCES, source, error=DataError)
    first, last = _moment(start, end_of_day=False), _moment(end, end_of_day=True)
    if last < first:
        raise DataError(f"--from {start} is after --to {end}; swap them")
    base = (mirror or module.BASE).rstrip("/")
    pool = urllib3.PoolManager(
        num_pools=2,
        maxsize=manners.at_once,
        headers={"User-Agent": f"echocast/{__version__}"},
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=manners.silence_s),
        retries=urllib3.Retry(total=0, redirect=5, raise_on_redirect=True),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wanted = _wanted(module, first, last, base, pool, manners)
        return _all(wanted, base, folder, pool, manners, on_file)
    except OSError as bad:
        raise DataError(f"{folder}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad
    finally:
        pool.clear()


def _moment(text: str, *, end_of_day: bool) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as bad:
        raise DataError(f"{text!r} is no time; write it as 2024-06-01T12:00 (UTC)") from bad
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return found.replace(hour=23, minute=59) if end_of_day and len(text.strip()) <= len("2024-06-01") else found


def _wanted(
    module: ModuleType, first: datetime, last: datetime, base: str, pool: urllib3.PoolManager, manners: Manners
) -> list[Address]:
    def listing(page: str) -> str:
        url = f"{base}/{page}"
        content = bytearray()

        def attempt() -> None:
            content.clear()
            with _opened(pool, url, {}) as answer:
                for part in answer.stream(_CHUNK):
                    content.extend(part)
                    if len(content) > _MOST_LISTING_BYTES:
                        raise _Again("the listing has no end")

        try:
            _patiently(attempt, manners)
        except (_Again, _Gone) as bad:
            raise DataError(f"{url}: cannot be listed ({bad}); try again later, or give --mirror") from bad
        return content.decode("utf-8", "replace")

    found = list(module.addresses(first, last, listing))
    if not found:
        raise DataError(
            f"{base}: has no file from {first} to {last} UTC; what lies there may begin later or end sooner"
        )
    for one in found:
        if Path(one.name).name != one.name or one.name.startswith("."):
            raise DataError(f"{base}: names a file {one.name!r}, which is no plain name")
    return found


def _all(
    wanted: Iterable[Address],
    base: str,
    folder: Path,
    pool: urllib3.PoolManager,
    manners: Manners,
    on_file: Callable[[int, int], None],
) -> Fetched:
    report, lock, wanted = Fetched(), threading.Lock(), list(wanted)
    stop = threading.Event()

    def one(address: Address) -> None:
        if stop.is_set():
            return
        path = folder / address.name
        if path.exists():
            counted = "there"
        else:
            try:
                _patiently(lambda: _fetch(f"{base}/{address.path}", path, pool, manners), manners, stop)
                counted = "fetched"
            except _Gone:
                counted = "failed" if address.sure else "missing"
            except _Again as bad:
                counted = "failed"
                log.warning("%s: %s", address.name, bad)
                with lock:
                    report.failed[address.name] = str(bad)
        with lock:
            if counted == "failed":
                report.failed.setdefault(address.name, "the server listed it and then had it no more")
            else:
                setattr(report, counted, getattr(report, counted) + 1)
            report.bytes += path.stat().st_size if counted == "fetched" else 0
            on_file(report.fetched + report.there + report.missing + len(report.failed), len(wanted))

    with ThreadPoolExecutor(manners.at_once) as hands:
        promises = [hands.submit(one, address) for address in wanted]
        try:
            for promise in promises:
                promise.result()
        except BaseException:
            stop.set()
            hands.shutdown(wait=True, cancel_futures=True)
            raise
    return report


def _patiently(attempt: Callable[[], None], manners: Manners, stop: threading.Event | None = None) -> None:
    """Try until it works, with growing pauses; raises the last failure."""
    for number in range(manners.tries):
        try:
            attempt()
            return
        except _Again as bad:
            if number == manners.tries - 1 or (stop is not None and stop.is_set()):
                raise
            pause = manners.first_pause_s * 2**number * random.uniform(0.75, 1.25)
            pause = min(bad.after_s, 60.0) if bad.after_s is not None else min(pause, 60.0)
            log.info("%s; once more in %.1f s", bad, pause)
            if stop is not None:
                stop.wait(pause)
            else:
                time.sleep(pause)


def _fetch(url: str, path: Path, pool: urllib3.PoolManager, manners: Manners) -> None:
    """One attempt: from where the last one stopped, whole and right at its end."""
    partial = path.with_name(f".{path.name}.partial")
    begun = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    with _opened(pool, url, headers) as answer:
        if answer.status != 206:
            begun = 0
        elif not (answer.headers.get("Content-Range") or "").startswith(f"bytes {begun}-"):
            partial.unlink(missing_ok=True)
            raise _Again("the server answered with another part than asked for")
        announced = answer.headers.get("Content-Length")
        expected = begun + int(announced) if announced and announced.isdigit() else None
        started = time.monotonic()
        with partial.open("ab" if begun else "wb") as file:
            try:
                for part in answer.stream(_CHUNK):
                    file.write(part)
                    spent = time.monotonic() - started
                    if spent > manners.patience_s and (file.tell() - begun) / spent < manners.slowest:
                        raise _Again(f"slower than {manners.slowest:g} bytes a second")
                    if file.tell() > _MOST_BYTES:
                        raise _Again("the file has no end")
            except (urllib3.exceptions.HTTPError, TimeoutError) as bad:
                raise _Again(f"broke off after {file.tell():,} bytes ({type(bad).__name__})") from bad
        etag, md5 = answer.headers.get("ETag") or "", answer.headers.get("Content-MD5")
    size = partial.stat().st_size
    if expected is not None and size != expected:
        if size > expected:
            partial.unlink()
        raise _Again(f"broke off after {size:,} of {expected:,} bytes")
    told = _MD5.fullmatch(etag)
    wanted = base64.b64decode(md5).hex() if md5 and begun == 0 else told[1] if told else None
    if wanted is not None and hashlib.md5(partial.read_bytes(), usedforsecurity=False).hexdigest() != wanted:
        partial.unlink()
        raise _Again("its content is not what the server's checksum says")
    partial.replace(path)


def _opened(pool: urllib3.PoolManager, url: str, headers: dict[str, str]) -> "_Answer":
    try:
        answer = pool.request("GET", url, headers=headers, preload_content=False)
    except urllib3.exceptions.HTTPError as bad:
        raise _Again(f"{url}: does not answer ({type(bad).__name__})") from bad
    return _Answer(answer)


class _Answer:
    """An answer that is good, or an error; its connection goes back at the end."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer, self.status, self.headers = answer, answer.status, answer.headers
        if answer.status in (200, 206):
            return
        after = answer.headers.get("Retry-After")
        answer.close()
        if answer.status in (403, 404, 410):  # S3 says 403 for what is missing where listing is not allowed
            raise _Gone(f"status {answer.status}")
        seconds = float(after) if after and after.isdigit() else 0.0 if answer.status == 416 else None
        raise _Again(f"the server answered with status {answer.status}", seconds)

    def stream(self, amount: int) -> Iterable[bytes]:
        """The content in parts."""
        return self._answer.stream(amount, decode_content=False)

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
