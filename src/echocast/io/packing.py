"""Large grids compressed into a NetCDF-4 file chunk by chunk on all cores, rounded first if wanted.

HDF5 itself compresses on one core and needs a rounded copy of everything; here only one chunk at a time is copied.

    >>> import numpy as np
    >>> rounded(np.array([1.0, 0.1, np.nan], np.float32), 10).tolist()
    [1.0, 0.0999755859375, nan]

Source: Kouznetsov 2021, doi:10.5194/gmd-14-377-2021, for rounding to significant bits.
"""

import io
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from echocast.io.deflate import deflated
from echocast.io.forecast_leads import Leads
from echocast.parallel import thread_count

LEVEL = 1
"""Level of deflate: 4 makes a file of members 3 to 5 % smaller in twice the time."""
_MANTISSA = 24
"""Significant bits of single precision."""
_PIXELS = 1_000_000
"""Most pixels in a chunk: 4 MB is what a reader must decompress for one pixel."""
_AHEAD = 8
"""Most chunks that wait to be written."""


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """The nearest single-precision numbers of so many significant bits (1 to 23), which compress well."""
    made = np.array(values, np.float32)
    unknown = np.isnan(made)
    dropped, pattern = _MANTISSA - bits, made.view(np.uint32)
    pattern += np.uint32(1 << (dropped - 1))
    pattern &= np.uint32(0xFFFFFFFF & -(1 << dropped))
    made[unknown] = np.nan  # some would have turned into -0
    return made


def comment(bits: int) -> str:
    """What is said of a variable whose values were rounded."""
    return f"rounded to {bits} significant bits: within {100 * 2.0**-bits:.1g} %"


def add_grids(
    path: Path,
    grids: Mapping[str, xr.Variable],
    to_round: Mapping[str, int] | None = None,
    leads: Leads | None = None,
) -> None:
    """Add variables, whose last two dims are y and x, to a NetCDF-4 file that has all their dims.

    Args:
        path: the file.
        grids: by name, float32; NaN where unknown.
        to_round: by name how many significant bits are kept of those that are rounded; their `comment` says so.
        leads: the values of those whose variable in `grids` holds none.

    Raises:
        OSError: it cannot be written.
    """
    kept = to_round or {}
    with _Disk(path, "r+") as file:
        with h5netcdf.File(file, "r+") as data:
            for name, grid in grids.items():
                made = data.create_variable(
                    name,
                    grid.dims,
                    np.float32,
                    fillvalue=np.float32(np.nan),
                    chunks=_chunk(grid),
                    compression="gzip",
                    compression_opts=LEVEL,
                    shuffle=True,
                )
                told = [grid.attrs.get("comment"), comment(kept[name]) if name in kept else None]
                made.attrs.update(grid.attrs | ({"comment": "; ".join(filter(None, told))} if any(told) else {}))
        with h5py.File(file, "r+") as data:
            for name, start, packed in _in_threads(_parts(grids, leads), kept):
                data[name].id.write_direct_chunk(start, packed)
                file.check()
        file.check()


class _Disk(io.FileIO):
    """A file whose first failure is told by `check`: HDF5 cannot be stopped half-way through a write."""

    _failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of it, or keep why that failed."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest) and self._failure is None:
                rest = rest[super().write(rest) :]
        except OSError as bad:
            self._failure = bad
        return size

    def check(self) -> None:
        """Raise the first failure."""
        if self._failure is not None:
            raise self._failure


class _Part(NamedTuple):
    """What becomes a chunk of a variable."""

    name: str
    start: tuple[int, ...]
    values: np.ndarray
    rows: int
    """Of a whole chunk; the last one of a grid may have fewer."""


def _chunk(grid: xr.Variable) -> tuple[int, ...]:
    """One grid of y and x, or as many of its rows as a chunk may have."""
    height, width = grid.shape[-2:]
    return (*[1] * (grid.ndim - 2), min(height, max(1, _PIXELS // width)), width)


def _parts(grids: Mapping[str, xr.Variable], leads: Leads | None) -> Iterator[_Part]:
    """All chunks: first of what is in memory, then lead by lead."""
    for name, grid in grids.items():
        if leads is None or name not in leads.names:
            yield from _parts_of(name, grid.values, (), _chunk(grid))
    if leads is None:
        return
    for number, frames in leads.counted(grids):
        for name, values in frames.items():
            axis = grids[name].dims.index("lead")
            for index in np.ndindex(grids[name].shape[:axis]):
                yield from _parts_of(name, values[index], (*index, number), _chunk(grids[name]))


def _parts_of(name: str, values: np.ndarray, before: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[_Part]:
    """The chunks of a part of a variable, whose first indices are `before`."""
    rows = chunk[-2]
    for index in np.ndindex(values.shape[:-2]):
        for first in range(0, values.shape[-2], rows):
            yield _Part(name, (*before, *index, first, 0), values[index][first : first + rows], rows)


def _in_threads(parts: Iterator[_Part], kept: Mapping[str, int]) -> Iterator[tuple[str, tuple[int, ...], bytes]]:
    """The variable of each chunk, where it starts, and the chunk packed: in order, a few ahead of who takes them."""
    with ThreadPoolExecutor(thread_count()) as pool:

        def begun(part: _Part) -> tuple[_Part, Future[bytes]]:
            return part, pool.submit(_packed, part.values, part.rows, kept.get(part.name))

        waiting = deque(begun(part) for part in islice(parts, _AHEAD))
        while waiting:
            part, packed = waiting.popleft()
            yield part.name, part.start, packed.result()
            waiting.extend(begun(part) for part in islice(parts, 1))


def _packed(part: np.ndarray, rows: int, bits: int | None) -> bytes:
    """A chunk as HDF5 has it after its filters: the first bytes of all numbers, the second ones, ..., deflated."""
    values = np.full((rows, part.shape[1]), np.nan, np.float32)
    values[: len(part)] = part if bits is None else rounded(part, bits)
    shuffled = np.ascontiguousarray(values.view(np.uint8).reshape(-1, 4).T)
    return deflated(shuffled, LEVEL)
