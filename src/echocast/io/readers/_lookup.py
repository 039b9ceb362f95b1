"""Decoding by table: of 8 and 16 bits each possible number is decoded only once."""

from collections.abc import Callable

import numpy as np


def through_table(raw: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `decode` makes of each number of a file; of 8 and 16 bits each possible number is decoded only once."""
    bits = 8 * raw.dtype.itemsize
    if raw.dtype.kind not in "iu" or bits > 16 or raw.size < 2**bits:
        return decode(raw)
    unsigned = raw.astype(raw.dtype.newbyteorder("="), copy=False).view(f"u{raw.dtype.itemsize}")
    every = np.arange(2**bits, dtype=unsigned.dtype).view(f"{raw.dtype.kind}{raw.dtype.itemsize}")
    return np.asarray(decode(every)[unsigned])
