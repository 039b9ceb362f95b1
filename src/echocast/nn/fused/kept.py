"""Machine code that was compiled once, kept on disk for later processes.

A file is named by all that its code depends on, and read only where nobody but this user can have written it, and its
content is what was written. Whatever is wrong with it, the code is compiled anew.
"""

import hashlib
import logging
import os
import stat
from pathlib import Path

from echocast.atomic import atomic_write
from echocast.errors import DataError

_log = logging.getLogger(__name__)

_DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """Where the files lie: ``echocast/kernels`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echocast" / "kernels"


def name(*parts: str) -> str:
    """The name of code that depends on these texts alone."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read(name: str) -> bytes | None:
    """The code of this name; None where there is none that can be trusted."""
    path = folder() / name
    try:
        if not (_is_ours(path.parent) and _is_ours(path)):
            return None
        content = path.read_bytes()
    except (OSError, RuntimeError):  # no home, or nothing there
        return None
    code = content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == content[:_DIGEST] else None


def write(name: str, code: bytes) -> None:
    """Keep code under this name; where the disk does not take it, do without."""
    try:
        place = folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(place / name) as partial:
            partial.touch(mode=0o600)
            partial.write_bytes(hashlib.sha256(code).digest() + code)
    except (OSError, RuntimeError, DataError) as error:
        _log.debug("compiled kernels are not kept on disk: %s", error)


def _is_ours(path: Path) -> bool:
    """Whether nobody but this user can have written here."""
    found = path.stat()
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return False
    return os.name == "nt" or not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
