"""Numbers of points.bin as text, fast: they are of half precision, so there are few, and each is written once."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

_PART = 65_536


def written(values: np.ndarray, null: bytes) -> Iterator[bytes]:
    """Numbers of half precision with six significant digits and commas between, in parts.

    `null` is written for what is not finite.

    >>> b"".join(written(np.array([0.5, np.nan, 12.5], np.float32), b"null"))
    b'0.5,null,12.5'
    """
    flat = values.reshape(-1)
    for first in range(0, flat.size, _PART):
        yield (b"," if first else b"") + b",".join(texts(flat[first : first + _PART], null))


def texts(values: np.ndarray, null: bytes) -> list[bytes]:
    """Each number (n,) of half precision as text."""
    table = _table(null)
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values).astype(np.float16).view(np.uint16)
    return [table[number] for number in bits.tolist()]


@lru_cache(maxsize=4)
def _table(null: bytes) -> tuple[bytes, ...]:
    """The text of every number of half precision, by its bits."""
    numbers = np.arange(_PART, dtype=np.uint16).view(np.float16).astype(np.float64)
    return tuple(f"{one:.6g}".encode() if one - one == 0 else null for one in numbers.tolist())
