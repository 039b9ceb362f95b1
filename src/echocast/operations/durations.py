"""Durations and sizes as people write them.

>>> as_seconds("1h"), as_seconds("90s"), as_seconds(5), as_bytes("256MB")
(3600.0, 90.0, 5.0, 256000000)
"""

import re
from typing import Any

_SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PARTS = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")


def as_seconds(value: Any) -> float:
    """The seconds of a number, or of a text such as ``5min``; raises `ValueError`."""
    return _number(value, _SECONDS, "a duration such as 10s, 5min, 1h or 7d")


def as_bytes(value: Any) -> int:
    """The bytes of a number, or of a text such as ``256MB``; raises `ValueError`."""
    return int(_number(value, {unit: float(size) for unit, size in _BYTES.items()}, "a size such as 256MB or 4GiB"))


def _number(value: Any, units: dict[str, float], what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _PARTS.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise ValueError(f"is not {what}")
    return float(found[1]) * units[found[2]]
