"""The files of the map page, held in memory under names that tell their content: no request reaches the disk.

A file of ``static/`` is served as ``/static/HASH.SUFFIX``, and every mention of it in another (``"./name"``) becomes that
name; so it never changes and may be kept for ever. The page itself is ``/``, its service worker ``/sw.js``.

>>> page = files()
>>> page["/"].media_type, page["/"].is_immutable
('text/html; charset=utf-8', False)
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_AT_THE_ROOT = {"index.html": "/", "sw.js": "/sw.js"}
_MENTION = re.compile(r'(?<=")\./([\w./-]+)(?=")')


@dataclass(frozen=True)
class PageFile:
    """A file of the page: its content, plain and deflated; whether its name tells the content."""

    content: bytes
    gzipped: bytes
    media_type: str
    is_immutable: bool

    @property
    def etag(self) -> str:
        """Of the plain content."""
        return f'"{_digest(self.content)}"'

    @property
    def gzip_etag(self) -> str:
        """Of the deflated content: another representation has another tag (RFC 9110, 8.8.3.3)."""
        return f'"{_digest(self.content)}-gz"'


@lru_cache(maxsize=1)
def files() -> dict[str, PageFile]:
    """All files of the page by the path of their address."""
    every = dict(_found(resources.files(__package__) / "static", ""))
    places: dict[str, str] = {}
    made: dict[str, PageFile] = {}

    def place(name: str) -> str:
        """The address of a file, once those that it mentions have theirs."""
        if name not in places:
            suffix = name.rpartition(".")[2]
            content = every[name]
            if suffix in ("html", "js", "css") and not name.startswith("vendor/"):
                folder = name.rpartition("/")[0]
                text = _MENTION.sub(lambda found: place(f"{folder}/{found[1]}".lstrip("/")), content.decode())
                content = text.encode()
            places[name] = _AT_THE_ROOT.get(name, f"/static/{_digest(content)}.{suffix}")
            is_immutable = name not in _AT_THE_ROOT
            deflated = gzip.compress(content, 9, mtime=0)
            made[places[name]] = PageFile(content, deflated, _MEDIA_TYPES[suffix], is_immutable)
        return places[name]

    for name in every:
        place(name)
    return made


def _found(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{prefix}{entry.name}"
        found += _found(entry, f"{name}/") if entry.is_dir() else [(name, entry.read_bytes())]
    return found


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=10).hexdigest()
