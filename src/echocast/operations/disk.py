"""What the system says of the disk, as one error that says that trying later may help."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echocast.errors import DataError


class DiskTrouble(DataError):
    """The disk is full, read-only or broken.

    Args:
        message: what to tell.
        is_full: whether room on the disk would mend it.
    """

    def __init__(self, message: str, is_full: bool = False) -> None:
        super().__init__(message, is_full)
        self.is_full = is_full

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Within the block, errors of the system, and those of `echocast.atomic`, are `DiskTrouble` that names a path."""
    try:
        yield
    except OSError as bad:
        why = bad.strerror or str(bad)
        raise DiskTrouble(f"{path}: cannot be written ({why}); is the disk full or read-only?", _is_full(bad)) from bad
    except DataError as bad:
        if isinstance(bad.__cause__, OSError):
            raise DiskTrouble(str(bad), _is_full(bad.__cause__)) from bad
        raise


def _is_full(bad: OSError) -> bool:
    return bad.errno in (errno.ENOSPC, errno.EDQUOT)
