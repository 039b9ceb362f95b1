"""What the system says of the disk, as one error that says that trying later may help."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echocast.errors import DataError


class DiskTrouble(DataError):
    """The disk is full, read-only or broken."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Within the block, errors of the system, and those of `echocast.atomic`, are `DiskTrouble` that names a path."""
    try:
        yield
    except OSError as bad:
        why = bad.strerror or str(bad)
        raise DiskTrouble(f"{path}: cannot be written ({why}); is the disk full or read-only?") from bad
    except DataError as bad:
        if isinstance(bad.__cause__, OSError):
            raise DiskTrouble(str(bad)) from bad
        raise
