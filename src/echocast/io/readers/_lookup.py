"""Decoding by table: of 8 and 16 bits each possible number is decoded only once."""

from collections.abc import Callable

import numpy as np


def through_table(raw: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `decode` makes of each number of a file; of 8 and 16 bits each possible number is decoded only once."""
    levels, index = levels_of(raw)
    return decode(raw) if index is None else np.asarray(decode(levels)[index])


def levels_of(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Each possible number of 8 or 16 bits, and for each cell its place among them; else the numbers themselves."""
    bits = 8 * raw.dtype.itemsize
    if raw.dtype.kind not in "iu" or bits > 16 or raw.size < 2**bits:
        return raw, None
    unsigned = raw.astype(raw.dtype.newbyteorder("="), copy=False).view(f"u{raw.dtype.itemsize}")
    return np.arange(2**bits, dtype=unsigned.dtype).view(f"{raw.dtype.kind}{raw.dtype.itemsize}"), unsigned
