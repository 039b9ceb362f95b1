"""Files that appear whole or not at all.

A file is written beside its place under a name of its own, ``.NAME.RANDOM.partial.SUFFIX``, and then renamed. Two
processes that write the same file do not meet: the later one's file stays. A process that is killed leaves its partial
file behind, hidden; readers of folders pass hidden files over.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "report.txt"
...     with atomic_write(path) as partial:
...         _ = partial.write_text("all of it")
...     path.read_text()
'all of it'
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from echocast.errors import DataError


@contextmanager
def atomic_write(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, which replaces it when the block ends without an error.

    Args:
        path: the file to write, or to replace; its folder must exist.
        sync: also wait until the content is on the disk before the renaming, so that a power cut leaves no empty file.

    Yields:
        The temporary path, with the same suffix; write the file there.

    Raises:
        DataError: there is no such folder, or the file cannot be written.
    """
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        if not path.parent.is_dir():
            raise DataError(f"{path}: there is no folder {path.parent}; make it first")
        yield partial
        if sync:
            sync_file(partial)
        partial.replace(path)
    except OSError as bad:
        raise DataError(f"{path}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad
    finally:
        with suppress(OSError):  # a read-only folder holds no partial file
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a whole file or nothing; arguments and errors are those of `atomic_write`."""
    with atomic_write(path, sync=sync) as partial:
        partial.write_bytes(content)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; raises `OSError`."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk; raises `OSError`."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
