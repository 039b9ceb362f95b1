"""One file from a server: attempts, pauses, resuming and checksums.

A file appears under its name only when it is whole: its length is the one that the server announced, and its content
has the MD5 that the server told (an S3 ETag, or Content-MD5). Until then it is ``.NAME.partial``, which stays when a
transfer breaks off, so that the next attempt, or the next run, resumes it; that is why `echocast.atomic` does not fit.
"""

import base64
import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import urllib3

from echocast._version import __version__

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_MAX_PAUSE_S = 60.0
_MAX_BYTES = 2**33
_MAX_PAGE_BYTES = 2**26
_CHUNK = 2**16
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True)
class DownloadOptions:
    """How files are downloaded.

    Args:
        parallel: files at the same time; servers of weather services are shared by all.
        attempts: for each file before it counts as failed.
        first_pause_s: pause after the first failed attempt; it doubles with each, unless the server says Retry-After.
        idle_timeout_s: seconds without a byte after which an attempt ends.
        slow_after_s: seconds after which an attempt ends if it is slower than `min_bytes_per_s` on average.
        min_bytes_per_s: bytes a second.
    """

    parallel: int = 4
    attempts: int = 6
    first_pause_s: float = 1.0
    idle_timeout_s: float = 20.0
    slow_after_s: float = 20.0
    min_bytes_per_s: float = 2000.0


class TransferFailed(Exception):
    """An attempt failed in a way that another may not."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class NotFound(Exception):
    """The server says that there is no such file."""


class Connection:
    """Downloads from one server, several at the same time; used as a context manager.

    Args:
        options: attempts, pauses, limits.
    """

    def __init__(self, options: DownloadOptions) -> None:
        self.options = options
        self._stopped = threading.Event()
        self._pool = urllib3.PoolManager(
            num_pools=2,
            maxsize=options.parallel,
            headers={"User-Agent": f"echocast/{__version__}"},
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=options.idle_timeout_s),
            retries=urllib3.Retry(total=0, redirect=5, raise_on_redirect=True),
        )

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let no transfer begin another attempt."""
        self._stopped.set()

    def text(self, url: str) -> str:
        """A page as text; raises `TransferFailed` or `NotFound`."""
        content = bytearray()

        def attempt() -> None:
            content.clear()
            with self._open(url, {}) as answer:
                for part in answer.stream(_CHUNK):
                    content.extend(part)
                    if len(content) > _MAX_PAGE_BYTES:
                        raise TransferFailed(f"the page is larger than {_MAX_PAGE_BYTES:,} bytes")

        self._with_retries(attempt)
        return content.decode("utf-8", "replace")

    def file(self, url: str, path: Path) -> None:
        """A file, whole; raises `TransferFailed` or `NotFound`."""
        self._with_retries(lambda: self._attempt(url, path))

    def _with_retries(self, attempt: Callable[[], None]) -> None:
        """Attempts with growing pauses until one succeeds; raises the last failure."""
        for number in range(self.options.attempts):
            try:
                attempt()
                return
            except TransferFailed as bad:
                if number == self.options.attempts - 1 or self.stopped:
                    raise
                pause = self.options.first_pause_s * 2**number * random.uniform(0.75, 1.25)
                pause = min(pause if bad.after_s is None else bad.after_s, _MAX_PAUSE_S)
                log.info("%s; another attempt in %.1f s", bad, pause)
                self._stopped.wait(pause)

    def _attempt(self, url: str, path: Path) -> None:
        """One attempt: from where the last one stopped to the end, checked."""
        partial = path.with_name(f".{path.name}.partial")
        begun = partial.stat().st_size if partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
        with self._open(url, headers) as answer:
            if answer.status != 206:
                begun = 0
            elif not (answer.headers.get("Content-Range") or "").startswith(f"bytes {begun}-"):
                partial.unlink(missing_ok=True)
                raise TransferFailed("the server answered with another part than asked for")
            self._append(answer, partial, begun)
            announced = answer.headers.get("Content-Length")
            expected = begun + int(announced) if announced and announced.isdigit() else None
            etag, md5 = answer.headers.get("ETag") or "", answer.headers.get("Content-MD5")
        _check_size(partial, expected)
        told = _MD5.fullmatch(etag)
        _check_md5(partial, base64.b64decode(md5).hex() if md5 and begun == 0 else told[1] if told else None)
        partial.replace(path)

    def _append(self, answer: "_Answer", partial: Path, begun: int) -> None:
        """Write what comes behind the first `begun` bytes."""
        started = time.monotonic()
        with partial.open("ab" if begun else "wb") as file:
            try:
                for part in answer.stream(_CHUNK):
                    file.write(part)
                    spent = time.monotonic() - started
                    slow = (file.tell() - begun) / max(spent, 1e-9) < self.options.min_bytes_per_s
                    if spent > self.options.slow_after_s and slow:
                        raise TransferFailed(f"slower than {self.options.min_bytes_per_s:g} bytes a second")
                    if file.tell() > _MAX_BYTES:
                        raise TransferFailed(f"the file is larger than {_MAX_BYTES:,} bytes")
            except (urllib3.exceptions.HTTPError, TimeoutError) as bad:
                raise TransferFailed(f"broke off after {file.tell():,} bytes ({type(bad).__name__})") from bad

    def _open(self, url: str, headers: dict[str, str]) -> "_Answer":
        try:
            answer = self._pool.request("GET", url, headers=headers, preload_content=False)
        except urllib3.exceptions.HTTPError as bad:
            raise TransferFailed(f"{url}: does not answer ({type(bad).__name__})") from bad
        return _Answer(answer)


class _Answer:
    """A server's answer with content, closed at the end of the block; any other answer raises."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer, self.status, self.headers = answer, answer.status, answer.headers
        if answer.status in (200, 206):
            return
        after = answer.headers.get("Retry-After")
        answer.close()
        if answer.status in (403, 404, 410):  # S3 says 403 for what is missing where listing is not allowed
            raise NotFound(f"status {answer.status}")
        seconds = float(after) if after and after.isdigit() else 0.0 if answer.status == 416 else None
        raise TransferFailed(f"the server answered with status {answer.status}", seconds)

    def stream(self, amount: int) -> Iterable[bytes]:
        """The content in parts."""
        return self._answer.stream(amount, decode_content=False)

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _check_size(partial: Path, expected: int | None) -> None:
    size = partial.stat().st_size
    if expected is None or size == expected:
        return
    if size > expected:
        partial.unlink()
    raise TransferFailed(f"broke off after {size:,} of {expected:,} bytes")


def _check_md5(partial: Path, expected: str | None) -> None:
    if expected is not None and hashlib.md5(partial.read_bytes(), usedforsecurity=False).hexdigest() != expected:
        partial.unlink()
        raise TransferFailed("its content does not have the checksum that the server told")
