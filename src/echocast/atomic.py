"""Files that appear whole or not at all.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "report.txt"
...     with atomic_write(path) as partial:
...         _ = partial.write_text("all of it")
...     path.read_text()
'all of it'
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from echocast.errors import DataError


@contextmanager
def atomic_write(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, which replaces it when the block ends without an error.

    Args:
        path: the file to write, or to replace; its folder must exist.
        sync: also force the content to the disk before the replacement, so that a power cut cannot leave an empty file.

    Yields:
        The temporary path, with the same suffix; write the file there.

    Raises:
        DataError: there is no such folder, or the file cannot be written.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        if not path.parent.is_dir():
            raise DataError(f"{path}: there is no folder {path.parent}; make it first")
        yield partial
        if sync:
            _to_disk(partial)
        partial.replace(path)
    except OSError as bad:
        raise DataError(f"{path}: cannot be written ({bad.strerror or bad}); is the disk full or read-only?") from bad
    finally:
        with suppress(OSError):  # a read-only folder holds no partial file
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a whole file, or nothing; raises like `atomic_write`."""
    with atomic_write(path, sync=sync) as partial:
        partial.write_bytes(content)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
