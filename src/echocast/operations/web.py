"""A folder of a web server: a page of links, asked for again only if it has changed.

A server that asks to wait (429, 503 with Retry-After) is not asked before. Sub-folders count too; of those that are
known the newest are looked at in each listing, and all once an hour.

>>> links('<a href="?C=M">by time</a> <a href="a.h5">a</a> <a href="/other/b.h5">b</a>', "http://host/radar/")
['http://host/radar/a.h5']
"""

import email.utils
import fnmatch
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

import urllib3

from echocast.errors import MissingDependency, Unreachable, UnreadableFile
from echocast.io import location as locations
from echocast.io.newest import series
from echocast.operations.readiness import Fingerprint

_ABOUT_S = 60.0
"""Times of change that a web server tells may jump by so much, as servers behind each other tell different ones."""
_LOOKED_AT_AGAIN = 6
"""Of the files that were seen, so many of the newest are asked for again in each listing."""
_FOLDERS_AGAIN = 2
_ALL_AGAIN_S = 3600.0
_DEEPEST = 8
_LONGEST_WAIT_S = 3600.0
_WAITS = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_NO_HEAD = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


class AskedToWait(Unreachable):
    """The server wants to be left alone for some time.

    Args:
        message: what to tell.
        seconds: for how long.
    """

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass
class _Page:
    """A page as it was last seen; a file, which is no page, has None for its links."""

    links: list[str] | None
    conditions: dict[str, str]


@dataclass
class WebFolder:
    """A folder of a web server with all below it, a glob of one, or a single file.

    Args:
        name: its URL.

    Raises:
        MissingDependency: what reads its files later is not installed.
    """

    name: str
    asked_to_wait: float = 0.0
    _pages: dict[str, _Page] = field(default_factory=dict)
    _all_at: float = -_ALL_AGAIN_S

    def __post_init__(self) -> None:
        """Take the address apart."""
        if not all(find_spec(package) for package in ("fsspec", "aiohttp")):
            raise MissingDependency("what reads http:// (fsspec with aiohttp)", "cloud")
        address, self._user = _without_user(self.name)
        self._headers = dict(urllib3.make_headers(basic_auth=unquote(self._user))) if self._user else {}
        path = address.partition("://")[2].partition("/")[2]  # a host may hold brackets too
        literal = address.removesuffix(path) + path.split("*")[0].split("[")[0]
        self._pattern = address if literal != address else ""
        self._root = f"{literal.rpartition('/')[0]}/" if self._pattern else address
        timeout = urllib3.Timeout(connect=5, read=15)
        retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=3)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=retries, maxsize=1)

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """The files there are now; a file that cannot be asked for just now is as it was, or not there yet.

        Raises:
            UnreadableFile: the server cannot be reached, or wants to be left alone.
        """
        self.asked_to_wait = 0.0
        wants_all = time.monotonic() - self._all_at >= _ALL_AGAIN_S
        names = sorted({url for url in self._walk(self._root, wants_all) if self._is_meant(url)})
        self._all_at = time.monotonic() if wants_all else self._all_at
        newest = {str(url) for files, _ in series(list[locations.Location](names)) for url in files[-_LOOKED_AT_AGAIN:]}
        found = {}
        for url in names:
            place = url.replace("://", f"://{self._user}@", 1) if self._user else url
            mark = known.get(place)
            if mark is None or url in newest:
                mark = self._marked(url, mark)
            if mark is not None:
                found[place] = mark
        return found

    def _walk(self, url: str, wants_all: bool, depth: int = 0) -> Iterator[str]:
        """The files below a page; a page that is a file gives itself."""
        page = self._page(url) if depth == 0 else self._page_or_nothing(url)
        if page.links is None:
            yield url
            return
        folders = [link for link in page.links if link.endswith("/") and self._may_hold(link) and depth < _DEEPEST]
        yield from (link for link in page.links if not link.endswith("/"))
        for number, folder in enumerate(folders):
            if wants_all or folder not in self._pages or number >= len(folders) - _FOLDERS_AGAIN:
                yield from self._walk(folder, wants_all, depth + 1)
            else:
                yield from self._remembered(folder)

    def _remembered(self, url: str) -> Iterator[str]:
        for link in (self._pages[url].links or ()) if url in self._pages else ():
            if link.endswith("/"):
                yield from self._remembered(link)
            else:
                yield link

    def _page_or_nothing(self, url: str) -> _Page:
        """The page of a sub-folder; one that is gone, or may not be read, holds nothing."""
        try:
            return self._page(url)
        except Unreachable:
            raise
        except UnreadableFile:
            self._pages.pop(url, None)
            return _Page([], {})

    def _page(self, url: str) -> _Page:
        """A page, asked for only if it has changed."""
        known = self._pages.get(url)
        answer = self._ask("GET", url, {} if known is None else known.conditions)
        try:
            if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
                return known
            is_page = "html" in answer.headers.get("Content-Type", "") and not _is_file(url)
            content = answer.data.decode("utf-8", "replace") if is_page else None
        except urllib3.exceptions.HTTPError as bad:  # half a page
            raise Unreachable(f"{_told(url)}: the answer is not whole ({type(bad).__name__})") from bad
        finally:
            answer.close()
        folder = urljoin(url, str(answer.geturl() or url)).rstrip("/") + "/"
        page = _Page(None if content is None else links(content, folder), _conditions(answer.headers))
        self._pages[url] = page
        return page

    def _marked(self, url: str, known: Fingerprint | None) -> Fingerprint | None:
        """The fingerprint of a file; the known one where the server does not answer for it."""
        if self.asked_to_wait:
            return known
        try:
            answer = self._ask("HEAD", url, {"If-None-Match": known.tag} if known is not None and known.tag else {})
        except AskedToWait as bad:
            self.asked_to_wait = max(1.0, bad.seconds)
            return known
        except UnreadableFile:
            return known
        answer.release_conn()
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return known
        return _fingerprint({} if answer.status in _NO_HEAD else answer.headers)

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            sent = {"Accept-Encoding": "identity", "User-Agent": "echocast"} | self._headers | headers
            answer = self._pool.request(method, url, headers=sent, preload_content=False)
        except urllib3.exceptions.HTTPError as bad:
            why = type(bad.reason if isinstance(bad, urllib3.exceptions.MaxRetryError) else bad).__name__
            raise Unreachable(f"{_told(url)}: cannot be reached ({why}); check address and network") from bad
        if answer.status < HTTPStatus.BAD_REQUEST or (method == "HEAD" and answer.status in _NO_HEAD):
            return answer
        answer.close()
        told = f"{_told(url)}: the server answers {answer.status}"
        if answer.status in _WAITS:
            raise AskedToWait(told, retry_after(answer.headers))
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unreachable(f"{told}; it may do so for a while only")
        raise UnreadableFile(f"{told}; check the address and what you may read")

    def _is_meant(self, url: str) -> bool:
        return not self._pattern or _matches(url, self._pattern)

    def _may_hold(self, folder: str) -> bool:
        """Whether a folder may hold files that the glob asks for."""
        if not self._pattern or "**" in self._pattern:
            return True
        wanted, depth = self._pattern.split("/"), folder.rstrip("/").count("/") + 1
        return depth < len(wanted) and _matches(folder.rstrip("/"), "/".join(wanted[:depth]))


def links(page: str, folder: str) -> list[str]:
    """The URLs that a page of a folder links to and that lie below the folder, sorted; queries are no files."""
    parser = _Links()
    parser.feed(page)
    found = {urldefrag(urljoin(folder, link)).url for link in parser.found if "?" not in link}
    return sorted(url for url in found if url.startswith(folder) and url != folder)


def retry_after(headers: Mapping[str, Any]) -> float:
    """The seconds that a server asks to wait, told as a number or a date; 0 if it does not, an hour at most."""
    text = str(headers.get("Retry-After", "")).strip()
    try:
        wait = float(text) if text.isdigit() else email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), _LONGEST_WAIT_S)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link leads."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """What asks for a page only if it has changed: by its ETag, or by a time that is old enough to tell."""
    tag, changed, now = (headers.get(name, "") for name in ("ETag", "Last-Modified", "Date"))
    if tag:
        return {"If-None-Match": tag}
    try:
        age = email.utils.parsedate_to_datetime(now) - email.utils.parsedate_to_datetime(changed)
    except (ValueError, TypeError):
        return {}
    # A page that changed just now may change again within the same second (RFC 9110, 8.8.2.2).
    return {"If-Modified-Since": changed} if age.total_seconds() >= _ABOUT_S else {}


def _fingerprint(headers: Mapping[str, str]) -> Fingerprint:
    size = headers.get("Content-Length", "")
    known = int(size) if size.isdigit() else -1
    if tag := headers.get("ETag", ""):
        return Fingerprint(known, tag)
    try:
        changed = email.utils.parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()
    except (ValueError, TypeError):
        return Fingerprint(known)
    return Fingerprint(known, "", changed, _ABOUT_S)


def _matches(url: str, pattern: str) -> bool:
    """Whether a URL matches a glob whose ``*`` stops at slashes, and whose ``**`` does not."""
    if "**" in pattern:
        return fnmatch.fnmatchcase(url, pattern.replace("**/", "*").replace("**", "*"))
    parts, wanted = url.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _is_file(url: str) -> bool:
    return url.lower().endswith((".html", ".htm"))


def _without_user(url: str) -> tuple[str, str]:
    """A URL without its name and password, and those, empty if there are none."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), user


def _told(url: str) -> str:
    return url.partition("?")[0]
