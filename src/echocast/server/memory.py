"""The memory of the process: large pieces go back to the system as soon as they are free.

The C library would keep much of it for later, for each thread apart. Where it is not glibc, nothing happens.
"""

import ctypes
import time

_TRIM, _MMAP, _ARENAS = -1, -3, -8
"""Of mallopt, as malloc.h has them."""
_LARGE = 2**20
"""Pieces of so many bytes are got from the system one by one, and given back one by one."""
_KEPT = 16 * _LARGE
_SECONDS_BETWEEN = 1.0


def settle() -> None:
    """Tell the C library; at the start, before there are threads."""
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        for name, value in ((_ARENAS, 2), (_MMAP, _LARGE), (_TRIM, _KEPT)):
            mallopt(name, value)


class Trimmer:
    """Gives free memory back, at most once a second."""

    def __init__(self) -> None:
        self._trim = getattr(_c_library(), "malloc_trim", None)
        self._last = 0.0

    def is_due(self) -> bool:
        """Whether `trim` would do something."""
        return self._trim is not None and time.monotonic() - self._last >= _SECONDS_BETWEEN

    def trim(self) -> None:
        """Give it back; takes some milliseconds, in which others run."""
        if self._trim is not None:
            self._last = time.monotonic()
            self._trim(0)


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # as on Windows
        return None
