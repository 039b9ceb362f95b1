"""Numbers of a file: decoded by a table, and those that may mean "not observed" though the file does not say so."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from echocast import fields
from echocast.errors import DataError

_LIKELY = (-9999.0, -999.0, -99999.0, -32768.0, -9999000.0, 9999.0, 99999.0)
_LOWEST = {"reflectivity": -80.0, "rate": -1.0 + 1e-6, "amount": -1.0 + 1e-6}
"""Below this no radar hears (dBZ) and no rain falls (mm/h, mm): the number means something else."""
_MOST = 1e5


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


def check_undeclared(
    raw: np.ndarray, unknown: np.ndarray, gain: float, offset: float, units: str, declared: Sequence[float]
) -> None:
    """Refuse numbers that can hardly be measurements, where nothing says what they mean.

    Args:
        raw: the numbers of a file, before scaling.
        unknown: which cells are known to be without a measurement.
        gain: value = gain * raw + offset, in `units`.
        offset: see `gain`.
        units: what the values are in.
        declared: the numbers that the file or the user says to be no measurements.

    Raises:
        DataError: there is such a number; the message shows it and names ``--missing-value``.
    """
    rest = raw[~unknown]
    if not rest.size or np.isnan(declared).any():
        return
    low, high = rest.min(), rest.max()
    for number in (low, high):
        if _is_suspicious(number, gain, offset, units, bool(declared)):
            count = int((rest == number).sum())
            raise DataError(
                f"holds the number {number:g} in {count} cells, which can hardly be {units}, and does not say what it"
                f" means; --missing-value {number:g} says that nothing is observed there (--missing-value nan: that"
                " every number is a measurement)"
            )


def _is_suspicious(number: Any, gain: float, offset: float, units: str, declared: bool) -> bool:
    value = abs(gain) * float(number) + offset if gain else 0.0
    kind = fields.kind_of_unit(units)
    if float(number) in _LIKELY or not _LOWEST[kind] < value < _MOST:
        return True
    if number.dtype.kind not in "iu" or declared:
        return False
    limits = np.iinfo(number.dtype)
    at_the_end = int(number) == limits.max or (limits.min < 0 and int(number) == limits.min)
    return at_the_end and (kind == "reflectivity" or limits.bits > 8)
