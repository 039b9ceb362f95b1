"""ecCodes as the GRIB reader uses it: loaded after PROJ, without messages of its own, one message at a time."""

import atexit
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TextIO

import numpy as np
import pyproj  # noqa: F401 (ecCodes brings a PROJ of its own, which takes the place of pyproj's if it is loaded first)

from echocast.errors import MissingDependency

MISSING = -1e30
"""What ecCodes puts where nothing is observed: no number that a field can hold, unlike its own 9999."""


@dataclass(frozen=True)
class Message:
    """One message of GRIB; a key that it has not raises ecCodes' own error, which means damage."""

    codes: ModuleType
    handle: int

    def has(self, key: str) -> bool:
        return bool(self.codes.codes_is_defined(self.handle, key))

    def whole(self, key: str) -> int:
        return int(self.codes.codes_get(self.handle, key, int))

    def real(self, key: str) -> float:
        return float(self.codes.codes_get_double(self.handle, key))

    def text(self, key: str) -> str:
        return str(self.codes.codes_get(self.handle, key, str))

    def values(self, count: int) -> np.ndarray:
        """The numbers in the order of the file, `MISSING` where there is none."""
        if self.codes.codes_get_size(self.handle, "values") != count:
            raise ValueError(f"{self.codes.codes_get_size(self.handle, 'values')} values on a grid of {count} cells")
        self.codes.codes_set(self.handle, "missingValue", MISSING)
        return np.asarray(self.codes.codes_get_array(self.handle, "values", np.float64))


def library() -> ModuleType:
    """ecCodes, silent from now on; raises `MissingDependency` where it is not installed."""
    try:
        import eccodes
    except (ImportError, RuntimeError) as bad:
        raise MissingDependency("eccodes", "grib") from bad
    _silence(eccodes)
    module: ModuleType = eccodes
    return module


@cache
def _silence(codes: ModuleType) -> TextIO | None:
    """Send its lines to nowhere, once, as they say nothing that is not raised too.

    Who wants them sets ``ECCODES_DEBUG`` or ``ECCODES_LOG_STREAM``.
    """
    set_logging = getattr(codes, "codes_context_set_logging", None)  # older releases print their lines
    if set_logging is None or any(name in os.environ for name in ("ECCODES_DEBUG", "ECCODES_LOG_STREAM")):
        return None
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115 (ecCodes needs it until the end)
    atexit.register(nowhere.close)
    set_logging(nowhere)
    return nowhere


def messages(content: bytes, codes: ModuleType) -> Iterator[Message]:
    """The messages of a file one after the other, each as long as it says; each is released before the next.

    Between messages there may be zeros.
    """
    start = 0
    while start < len(content):
        if content[start] == 0:
            start += 1
            continue
        if content[start : start + 4] != b"GRIB":
            raise ValueError(f"{len(content) - start} bytes that are no message, from byte {start}")
        message = content[start : start + _length(content, start)]
        if len(message) != _length(content, start) or message[-4:] != b"7777":
            raise ValueError(f"a message of {_length(content, start)} bytes is cut off at byte {len(content)}")
        handle = codes.codes_new_from_message(message)
        try:
            yield Message(codes, handle)
        finally:
            codes.codes_release(handle)
        start += len(message)


def _length(content: bytes, start: int) -> int:
    edition_2 = content[start + 7 : start + 8] == b"\x02"
    first, last = (8, 16) if edition_2 else (4, 7)
    return int.from_bytes(content[start + first : start + last], "big")
