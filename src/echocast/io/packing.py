"""Large grids compressed into a NetCDF-4 file chunk by chunk on all cores, rounded first if wanted.

HDF5 itself compresses on one core and needs a rounded copy of everything; here only one chunk at a time is copied.

    >>> import numpy as np
    >>> rounded(np.array([1.0, 0.1, np.nan], np.float32), 10).tolist()
    [1.0, 0.0999755859375, nan]

Source: Kouznetsov 2021, doi:10.5194/gmd-14-377-2021, for rounding to significant bits.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import islice, product

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from echocast.io.deflate import deflated

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


def with_grids(
    content: bytes, grids: Mapping[str, xr.Variable], to_round: Mapping[str, int] | None = None
) -> memoryview:
    """The NetCDF-4 file `content` with more variables, whose last two dims are y and x.

    Args:
        content: a file that has all their dims.
        grids: by name, float32; NaN where unknown.
        to_round: by name how many significant bits are kept of those that are rounded; their `comment` says so.
    """
    kept = to_round or {}
    file = BytesIO(content)
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
            made.attrs.update(grid.attrs | ({"comment": comment(kept[name])} if name in kept else {}))
    with h5py.File(file, "r+") as data:
        for name, grid in grids.items():
            for start, packed in _in_threads(grid, kept.get(name)):
                data[name].id.write_direct_chunk(start, packed)
    return file.getbuffer()


def _chunk(grid: xr.Variable) -> tuple[int, ...]:
    """One grid of y and x, or as many of its rows as a chunk may have."""
    height, width = grid.shape[-2:]
    return (*[1] * (grid.ndim - 2), min(height, max(1, _PIXELS // width)), width)


def _in_threads(grid: xr.Variable, bits: int | None) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Where each chunk starts, and the chunk packed: in order, a few ahead of who takes them."""
    chunk, values = _chunk(grid), grid.values
    starts = product(*(range(0, size, step) for size, step in zip(grid.shape, chunk, strict=True)))
    with ThreadPoolExecutor() as pool:

        def begun(start: tuple[int, ...]) -> tuple[tuple[int, ...], Future[bytes]]:
            part = values[start[:-2]][start[-2] : start[-2] + chunk[-2]]
            return start, pool.submit(_packed, part, chunk[-2], bits)

        waiting = deque(begun(start) for start in islice(starts, _AHEAD))
        while waiting:
            start, packed = waiting.popleft()
            yield start, packed.result()
            waiting.extend(begun(start) for start in islice(starts, 1))


def _packed(part: np.ndarray, rows: int, bits: int | None) -> bytes:
    """A chunk as HDF5 has it after its filters: the first bytes of all numbers, the second ones, ..., deflated."""
    values = np.full((rows, part.shape[1]), np.nan, np.float32)
    values[: len(part)] = part if bits is None else rounded(part, bits)
    shuffled = np.ascontiguousarray(values.view(np.uint8).reshape(-1, 4).T)
    return deflated(shuffled, LEVEL)
