"""Deflate: by ISA-L where it is installed (extra ``operations``), which is several times faster, else by zlib.

What either writes the other reads.

>>> inflated(deflated(b"rain" * 9)) == b"rain" * 9
True
"""

import zlib

import numpy as np

try:
    from isal import isal_zlib
except ImportError:  # slower, and otherwise the same
    isal_zlib = None  # type: ignore[assignment]

_LEVEL = 1


def deflated(content: bytes | memoryview | np.ndarray, level: int = _LEVEL) -> bytes:
    """A zlib stream of bytes, or of those of an array without gaps; level 0 to 3."""
    content = content.data if isinstance(content, np.ndarray) else content
    if isal_zlib is not None:
        return isal_zlib.compress(content, level)
    return zlib.compress(content, max(1, level))


def inflated(content: bytes, size: int = 16_384) -> bytes:
    """What a zlib stream holds, about `size` bytes; raises `zlib.error` for bytes that are damaged."""
    if isal_zlib is None:
        return zlib.decompress(content, bufsize=size)
    try:
        return isal_zlib.decompress(content, bufsize=size)
    except isal_zlib.error as bad:  # type: ignore[misc]  # its stubs say that it is no class
        raise zlib.error(str(bad)) from bad
