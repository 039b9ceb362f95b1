"""Writes NetCDF-3 files with 64-bit offsets, in parts, without any library.

Why not SciPy's: it holds a file twice, cannot write a scalar, and costs half a second and 17 MB at the first answer.
Why not NetCDF-4: a server of many threads opens no HDF5. Every NetCDF library reads this.

Source: NetCDF classic format specification (CDF-2), without record dimension.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Attribute = str | np.ndarray
_KINDS = {"S": (2, ">S1"), "i": (4, ">i4"), "f4": (5, ">f4"), "f8": (6, ">f8")}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_PART = 65_536


@dataclass(frozen=True)
class Variable:
    """A variable.

    Args:
        dims: names of its dimensions.
        values: of their sizes; bytes of one letter, whole numbers of 32 bits, float32 or float64.
        attributes: texts, or arrays (n,).
    """

    dims: tuple[str, ...]
    values: np.ndarray
    attributes: Mapping[str, Attribute]


def parts(
    dimensions: Mapping[str, int], variables: Mapping[str, Variable], attributes: Mapping[str, Attribute]
) -> Iterator[bytes]:
    """The file in parts; what the caller gives must fit together."""
    head = _head(dimensions, variables, attributes, begin=0)
    yield _head(dimensions, variables, attributes, begin=len(head))
    for variable in variables.values():
        flat = variable.values.reshape(-1)
        kind = _kind(variable.values)[1]
        for first in range(0, flat.size, _PART):
            yield flat[first : first + _PART].astype(kind).tobytes()
        yield b"\0" * (-_bytes(variable) % 4)


def _head(
    dimensions: Mapping[str, int],
    variables: Mapping[str, Variable],
    attributes: Mapping[str, Attribute],
    *,
    begin: int,
) -> bytes:
    """The head of the file, where the first variable's values begin at `begin`; its length does not depend on that."""
    numbers = {name: number for number, name in enumerate(dimensions)}
    dims = [_name(name) + struct.pack(">i", size) for name, size in dimensions.items()]
    described = []
    for name, variable in variables.items():
        of_dims = struct.pack(f">i{len(variable.dims)}i", len(variable.dims), *(numbers[dim] for dim in variable.dims))
        size = _bytes(variable) + -_bytes(variable) % 4
        kind = struct.pack(">iiq", _kind(variable.values)[0], size, begin)
        described.append(_name(name) + of_dims + _attributes(variable.attributes) + kind)
        begin += size
    return (
        b"CDF\x02"
        + struct.pack(">i", 0)
        + _list(_DIMENSIONS, dims)
        + _attributes(attributes)
        + _list(_VARIABLES, described)
    )


def _attributes(attributes: Mapping[str, Attribute]) -> bytes:
    return _list(_ATTRIBUTES, [_name(name) + _value(value) for name, value in attributes.items()])


def _value(value: Attribute) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">ii", 2, len(text)) + _padded(text)
    number, kind = _kind(value)
    return struct.pack(">ii", number, value.size) + _padded(value.astype(kind).tobytes())


def _list(tag: int, entries: Sequence[bytes]) -> bytes:
    return struct.pack(">ii", tag if entries else 0, len(entries)) + b"".join(entries)


def _name(name: str) -> bytes:
    return struct.pack(">i", len(name.encode())) + _padded(name.encode())


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def _bytes(variable: Variable) -> int:
    return variable.values.size * np.dtype(_kind(variable.values)[1]).itemsize


def _kind(values: np.ndarray) -> tuple[int, str]:
    kind = values.dtype.kind
    return _KINDS[f"f{values.dtype.itemsize}" if kind == "f" else kind]
