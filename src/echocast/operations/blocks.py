"""Files of deflated blocks one after the other, which are read at any place, from any thread, without a lock."""

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import UnreadableFile
from echocast.io import deflate


class Spans:
    """Where blocks of some sizes lie, one after the other."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._ends = np.cumsum([0, *sizes], dtype=np.int64)

    def __getitem__(self, number: int) -> tuple[int, int]:
        """Where a block begins, and its bytes."""
        return int(self._ends[number]), int(self._ends[number + 1] - self._ends[number])


class BlockFile:
    """A file of blocks, opened at the first read and held open: what is removed meanwhile can still be read.

    Args:
        path: the file.
        meta: what its writer told.
        form: the format that it must have.

    Raises:
        UnreadableFile: it is of another format.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], form: str) -> None:
        if meta.get("format") != form:
            raise UnreadableFile(f"{path}: its format is {meta.get('format')!r}, this program reads {form!r}")
        self.path = path
        self._file: int | None = None

    def open(self) -> None:
        """Open the file now, so that it can be read even when it is removed; raises `UnreadableFile`."""
        if self._file is None:
            try:
                self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as bad:
                raise UnreadableFile(f"{self.path}: cannot be read ({bad.strerror})") from bad

    def close(self) -> None:
        """Close it; a later read opens it again."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()

    def _inflated(self, span: tuple[int, int], size: int) -> bytes:
        """The content of a block of about so many bytes; raises `UnreadableFile`."""
        self.open()
        assert self._file is not None  # opened above
        try:
            return deflate.inflated(os.pread(self._file, span[1], span[0]), size)
        except (OSError, zlib.error) as bad:
            raise UnreadableFile(f"{self.path}: is damaged or cannot be read ({bad})") from bad
