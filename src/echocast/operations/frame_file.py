"""The file of an observed frame: a line of JSON, then coordinates and values, deflated, bytes of a kind together.

The line tells time, quantity, shape and projection. Needs NumPy alone, so that a server reads frames without xarray;
`echocast.operations.frames` makes fields of them.

>>> content = encoded({"time": 0}, np.array([1.0, 0.0]), np.array([5.0]), np.array([[2], [np.nan]], np.float32))
>>> raw = decoded(content)
>>> raw.head["time"], raw.values.tolist()
(0, [[2.0], [nan]])
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import UnreadableFile

FORMAT = "echocast-frame-1"
_LEVEL = 1


@dataclass(frozen=True)
class RawFrame:
    """What the file holds.

    Args:
        head: the line of JSON.
        y: centres of rows, in the unit of the projection.
        x: centres of columns.
        values: float32, NaN where nothing is observed; its shape is that of the head.
    """

    head: dict[str, Any]
    y: np.ndarray
    x: np.ndarray
    values: np.ndarray


def encoded(head: Mapping[str, Any], y: np.ndarray, x: np.ndarray, values: np.ndarray) -> bytes:
    """The content of a file."""
    parts = [y.astype("<f8"), x.astype("<f8"), values.astype("<f4")]
    packed = [zlib.compress(_beside(part), _LEVEL) for part in parts]
    line = dict(head) | {"format": FORMAT, "shape": list(values.shape), "parts": [len(part) for part in packed]}
    return json.dumps(line).encode() + b"\n" + b"".join(packed)


def decoded(content: bytes, *, with_values: bool = True) -> RawFrame:
    """What a file holds; raises `ValueError`, `KeyError`, `TypeError` or `zlib.error` for what is none."""
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    if head["format"] != FORMAT:
        raise ValueError(f"its format is {head['format']!r}")
    ends = np.cumsum([0, *head["parts"]])
    parts = zip(ends[:-1], ends[1:], ("<f8", "<f8", "<f4"), strict=True)
    y, x, *values = (_apart(zlib.decompress(rest[a:b]), kind) for a, b, kind in parts if with_values or kind == "<f8")
    return RawFrame(head, y, x, values[0].reshape(head["shape"]) if values else np.empty(0, np.float32))


def read(path: Path, *, with_values: bool = True) -> RawFrame:
    """The frame of a file, its values too unless told otherwise (they are empty then); raises `UnreadableFile`."""
    try:
        return decoded(path.read_bytes(), with_values=with_values)
    except (OSError, ValueError, KeyError, TypeError, zlib.error) as bad:
        raise UnreadableFile(f"{path}: is no frame of echocast ({bad})") from bad


def _beside(values: np.ndarray) -> bytes:
    """The bytes of numbers, first all first bytes, then all second ones: they deflate better."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def _apart(content: bytes, kind: str) -> np.ndarray:
    size = np.dtype(kind).itemsize
    numbers = np.frombuffer(content, np.uint8).reshape(size, -1).T
    return np.ascontiguousarray(numbers).view(kind).reshape(-1).astype(np.dtype(kind).newbyteorder("="))
