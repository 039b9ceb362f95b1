"""Locations of data: a local path, or a URL of s3, gs, http or https.

Files at a URL are copied one at a time to a temporary file of the same name, since most libraries read only local
files. The credentials and the endpoint of S3 are those of the usual environment variables (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ...); without credentials a bucket is read anonymously. URLs need fsspec's file systems (extra
``cloud``).

    >>> is_url("s3://bucket/radar"), is_url("radar/2016")
    (True, False)
"""

import email.utils
import fnmatch
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echocast.errors import DataError, MissingDependency, Unreachable, UnreadableFile

Location = str | Path
"""A local path, or a URL as text."""

SCHEMES = ("s3", "gs", "http", "https")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")
_MOST_BYTES = 2**33
_CHUNK = 2**20
_NOT_OF_THE_NETWORK = (MemoryError, NameError, AttributeError, TypeError, AssertionError)
"""Errors of the code or the machine, which pass through."""


def is_url(location: Location) -> bool:
    """Whether a location is a URL rather than a local path."""
    return isinstance(location, str) and _URL.match(location) is not None


def scheme(location: Location) -> str:
    """The scheme of a URL, "file" of a local path; raises `DataError` for one that is not supported."""
    found = _URL.match(str(location)) if is_url(location) else None
    if found is None or found[1] == "file":
        return "file"
    if found[1] not in SCHEMES:
        raise DataError(
            f"{location}: {found[1]}:// is not supported; give a local path or a URL of: {', '.join(SCHEMES)}"
        )
    return found[1]


def normalise(location: Location) -> Location:
    """A local location as a `Path`, a URL as text without a slash at its end."""
    if scheme(location) == "file":
        return Path(str(location).removeprefix("file://"))
    return str(location).rstrip("/")


def name(location: Location) -> str:
    """The last part of a location."""
    return location.name if isinstance(location, Path) else location.rstrip("/").rpartition("/")[2].partition("?")[0]


def list_files(url: str) -> list[str]:
    """The URLs of the files that a URL stands for: itself, all below a folder, all that match a glob; sorted.

    Always what is there now: no listing is kept. A folder of a web server is one whose page lists links; of these the
    ones below it count, also in folders below.

    Raises:
        UnreadableFile: there is nothing, or it cannot be reached.
    """
    files = _file_system(url)
    with _reachable(url):
        if any(sign in url for sign in "*["):
            found = [str(path) for path in files.glob(url)]
        elif scheme(url) in ("http", "https"):
            found = _linked(files, url)
        elif files.isfile(url):
            return [url]
        else:
            found = [str(path) for path in files.find(url)]
    urls = sorted(_absolute(path, url) for path in found)
    urls = [u for u in urls if not fnmatch.fnmatch(name(u), ".*")]
    if not urls:
        raise UnreadableFile(f"{url}: there is no such file or folder, or it is empty; check the address")
    return urls


@dataclass(frozen=True)
class Mark:
    """What tells that a file at a URL has changed.

    Args:
        size: in bytes, -1 if it is not told.
        tag: its checksum (ETag), if one is told.
        modified: the time of its last change in seconds since 1970, if it is told.
    """

    size: int
    tag: str = ""
    modified: float | None = None


def mark(url: str) -> Mark | None:
    """What tells that the file at a URL has changed; None where its server tells neither a checksum nor a time.

    Raises:
        UnreadableFile: there is none, or it cannot be reached.
    """
    files = _file_system(url)
    with _reachable(url):
        found = _mark(files.info(url))
    return found if found.tag or found.modified is not None else None


def list_marks(url: str, *, after: str = "") -> dict[str, Mark]:
    """The files that a prefix or glob of S3 or GS stands for, each with its mark; none where there is nothing.

    Args:
        url: the prefix or glob.
        after: of S3, only files whose URLs sort after this one are asked for; elsewhere it is not looked at.

    Raises:
        UnreadableFile: it cannot be reached.
    """
    files, is_glob = _file_system(url), any(sign in url for sign in "*[")
    with _reachable(url):
        if scheme(url) == "s3":
            found = dict(_keys(files, url, after.partition("://")[2]))
        else:
            found = files.glob(url, detail=True) if is_glob else files.find(url, detail=True)
    files_only = {path: about for path, about in sorted(found.items()) if about.get("type", "file") == "file"}
    marks = {_absolute(path, url): _mark(about) for path, about in files_only.items()}
    return {u: mark for u, mark in marks.items() if not (fnmatch.fnmatch(name(u), ".*") or u.endswith("/"))}


def _keys(files: Any, url: str, after: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys below an S3 prefix, or that match a glob, which sort after one: `files` itself cannot start there."""
    import fsspec.utils

    bucket, _, wanted = url.partition("://")[2].rstrip("/").partition("/")
    literal = re.split(r"[*[?]", wanted)[0]
    pattern = re.compile(fsspec.utils.glob_translate(wanted)) if literal != wanted else None
    asked = {"Bucket": bucket, "Prefix": literal, "StartAfter": after.partition("/")[2]}
    while True:
        page = files.call_s3("list_objects_v2", **{name: value for name, value in asked.items() if value})
        for about in page.get("Contents", ()):
            key = about["Key"]
            if pattern.match(key) if pattern else not wanted or key == wanted or key.startswith(f"{wanted}/"):
                yield f"{bucket}/{key}", {"size": about["Size"], **about}
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _mark(about: dict[str, Any]) -> Mark:
    size, tag = about.get("size"), about.get("ETag") or about.get("etag") or about.get("md5Hash") or ""
    changed: Any = about.get("LastModified") or about.get("Last-Modified") or about.get("mtime")
    if isinstance(changed, str):
        changed = email.utils.parsedate_to_datetime(changed)
    seconds = None if changed is None else changed.timestamp() if hasattr(changed, "timestamp") else float(changed)
    return Mark(-1 if size is None else int(size), str(tag), seconds)


def _linked(files: Any, url: str) -> list[str]:
    """A file of a web server; of a folder, which answers with a page of links, the files below it."""
    if "html" not in str(files.info(url).get("mimetype", "")) or name(url).lower().endswith((".html", ".htm")):
        return [url]
    return [path for path in files.find(f"{url}/") if "?" not in path]


def has_file(url: str, *names: str) -> bool:
    """Whether a folder at a URL holds a file of one of these names."""
    files = _file_system(url)
    with _reachable(url):
        return any(files.exists(f"{url}/{name}") for name in names)


@contextmanager
def local_copy(location: Location, most_bytes: int = _MOST_BYTES) -> Iterator[Path]:
    """A local path to the data of a location: its own, or that of a copy, for the time of the block, if it is a URL.

    Raises:
        UnreadableFile: it cannot be fetched, or is larger than `most_bytes`.
    """
    location = normalise(location)
    if isinstance(location, Path):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="echocast-") as folder:
        path = Path(folder) / (name(location) or "index")
        with _reachable(location), _file_system(location).open(location, "rb") as source, path.open("wb") as target:
            fetched = 0
            while part := source.read(_CHUNK):
                fetched += len(part)
                if fetched > most_bytes:
                    raise UnreadableFile(f"{location}: is larger than {most_bytes:,} bytes, the limit for one file")
                target.write(part)
        yield path


def zarr_store(url: str) -> Any:
    """A Zarr store at a URL, to be read only."""
    from zarr.storage import FsspecStore

    files = _file_system(url, asynchronous=True)
    return FsspecStore(files, read_only=True, path=url.partition("://")[2] if scheme(url) in ("s3", "gs") else url)


def s3_options() -> dict[str, Any]:
    """Endpoint, region and whether credentials are there, from the usual environment variables."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    known = (
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    )
    return {"endpoint": endpoint, "region": region, "anonymous": not any(os.environ.get(v) for v in known)}


def _file_system(url: str, **more: Any) -> Any:
    try:
        import fsspec

        if scheme(url) == "s3":
            options = s3_options()
            client = {"region_name": options["region"]}
            more |= {"anon": options["anonymous"], "endpoint_url": options["endpoint"], "client_kwargs": client}
        # Listings and their checksums are never kept: new and replaced objects must be seen as they are.
        return fsspec.filesystem(scheme(url), use_listings_cache=False, **more)
    except ImportError as bad:
        raise MissingDependency(f"what reads {scheme(url)}:// (fsspec with s3fs, gcsfs or aiohttp)", "cloud") from bad


def _absolute(path: str, url: str) -> str:
    return path if is_url(path) else f"{scheme(url)}://{path}"


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as bad:
        if type(bad.__cause__).__name__.startswith("ClientConnector"):  # aiohttp could not even connect
            raise Unreachable(f"{url}: cannot be reached ({bad.__cause__}); check address and network") from bad
        raise UnreadableFile(f"{url}: there is no such file; check the address") from bad
    except PermissionError as bad:
        raise UnreadableFile(
            f"{url}: reading is not allowed ({bad}); check the credentials in the environment"
        ) from bad
    except (DataError, *_NOT_OF_THE_NETWORK):
        raise
    except Exception as bad:  # each file system has its own errors
        why = " ".join(f"{type(bad).__name__}: {bad}".split())[:160]
        raise Unreachable(f"{url}: cannot be reached ({why}); check the address and the network") from bad
