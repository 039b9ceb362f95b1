"""Frames as numbers of levels: radar data know few values, so a frame is 16-bit numbers and a table of what they mean.

A composite of 8 bits holds at most 256 rates, one of MRMS about a thousand. The table maps a level to the very float32
that was there, so nothing is rounded; level 0 is NaN. Values are found by hashing their bits into a table without
collisions, made anew when a value turns up that is not in it.

    >>> import numpy as np
    >>> levels = Levels()
    >>> codes = levels.encode(np.array([[0.0, 1.5], [np.nan, 1.5]], np.float32))
    >>> codes.tolist(), levels.table[codes].tolist()
    ([[1, 2], [0, 2]], [[0.0, 1.5], [nan, 1.5]])
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numcodecs import blosc

from echocast import field as fields

LEVEL, TABLE = "level", "rainfall_rate_of_level"
"""The names of the two variables in a store."""
MOST = 2**16 - 1
"""Levels that 16 bits can number, the missing one not counted."""

_MISSING = np.float32(np.nan).view(np.uint32)
_TRIES = 64
_STRETCH = 2**17


class TooMany(ValueError):
    """More different values than 16 bits can number; the caller keeps the values themselves."""


class Levels:
    """A table of rates that grows; `encode` gives the level of each value, ``table[codes]`` the values back.

    Args:
        table: what was there before, NaN first.
    """

    def __init__(self, table: np.ndarray | None = None) -> None:
        self.table = np.array([np.nan], np.float32) if table is None else np.asarray(table, np.float32)
        self._hash()

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The level of each value, uint16 of the same shape; raises `TooMany`."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32).ravel()
        codes = np.empty(bits.shape, np.uint16)
        for start in range(0, bits.size, _STRETCH):  # parts that stay in the processor's cache
            part = slice(start, start + _STRETCH)
            codes[part] = self._codes(bits[part])
        return codes.reshape(values.shape)

    def merge(self, table: np.ndarray) -> np.ndarray | None:
        """The levels here of another table's levels, uint16; None where they are the same. Raises `TooMany`."""
        bits = np.ascontiguousarray(table, np.float32).view(np.uint32)
        self._add(bits[~np.isin(bits, self._bits)])  # in their order, so that two tables of one origin stay alike
        mine = self._codes(bits)
        return None if np.array_equal(mine, np.arange(len(mine))) else mine

    def _codes(self, bits: np.ndarray) -> np.ndarray:
        codes = self._slots[(bits * self._factor) >> self._shift]
        known = self._bits[codes] == bits
        if known.all():
            return np.asarray(codes)
        unknown = bits[~known]
        unknown[(unknown & 0x7FFFFFFF) > 0x7F800000] = _MISSING  # NaN of any kind is missing
        new = np.setdiff1d(np.unique(unknown), self._bits)
        self._add(new)
        return self._codes(np.where((bits & 0x7FFFFFFF) > 0x7F800000, _MISSING, bits).astype(np.uint32))

    def _add(self, new: np.ndarray) -> None:
        if len(self.table) + len(new) > MOST + 1:
            raise TooMany(f"more than {MOST} different values")
        if len(new):
            self.table = np.concatenate([self.table, new.view(np.float32)])
            self._hash()

    def _hash(self) -> None:
        """Slots for the values' bits, one for each, by a multiplication that brings no two into one slot."""
        self._bits = self.table.view(np.uint32)
        drawn = np.random.default_rng(len(self.table))
        width = max(10, int(np.ceil(2 * np.log2(len(self.table)))))
        while True:
            for _ in range(_TRIES):
                factor = np.uint32(drawn.integers(2**31) * 2 + 1)
                slots = (self._bits * factor) >> np.uint32(32 - width)
                if len(np.unique(slots)) == len(slots):
                    self._factor, self._shift = factor, np.uint32(32 - width)
                    self._slots = np.zeros(2**width, np.uint16)
                    self._slots[slots] = np.arange(len(slots))
                    return
            width = min(width + 1, 32)


@dataclass(frozen=True)
class Packed:
    """Some frames of a field without its numbers as such: levels and their table, or the values if they are too many.

    `grid` is the field's coordinates and attributes, as a dataset without variables.
    """

    grid: xr.Dataset
    table: np.ndarray
    codes: np.ndarray | None
    values: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Levels go to another process squeezed: quicker than the pipe takes them as they are."""
        state = dict(self.__dict__)
        if self.codes is not None:
            state["codes"] = (self.codes.shape, blosc.compress(self.codes, b"lz4", 1, blosc.SHUFFLE))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["codes"] is not None:
            shape, squeezed = state["codes"]
            state["codes"] = np.frombuffer(blosc.decompress(squeezed), np.uint16).reshape(shape)
        self.__dict__.update(state)

    def frames(self) -> list[np.ndarray]:
        """The frames as they are: levels or values."""
        kept = self.codes if self.codes is not None else self.values
        return [] if kept is None else list(kept)


def pack(field: xr.DataArray, levels: Levels) -> Packed:
    """A field's frames by the levels of a table, which grows by what is new."""
    grid = xr.Dataset(coords=field.coords, attrs=field.attrs)
    try:
        codes = levels.encode(field.values)
    except TooMany:
        return Packed(grid, levels.table[:1], None, field.values)
    return Packed(grid, levels.table, codes)


def rates_of(data: xr.Dataset) -> xr.DataArray:
    """The rates of a dataset that holds levels and their table, read when needed; with its coordinates."""
    level, table = data[LEVEL], data[TABLE]
    rates = xr.core.indexing.LazilyIndexedArray(_LazyRates(level.variable, table.values))
    coords = {name: data.coords[name] for name in ("time", "y", "x", "crs", "observed") if name in data.coords}
    return xr.DataArray(xr.Variable(level.dims, rates, table.attrs), coords=coords, name=fields.NAME)


class _LazyRates(xr.backends.BackendArray):
    """Levels that read as rates."""

    def __init__(self, levels: xr.Variable, table: np.ndarray) -> None:
        self._levels, self._table = levels, table
        self.shape, self.dtype = levels.shape, np.dtype(np.float32)

    def __getitem__(self, key: Any) -> Any:
        support = xr.core.indexing.IndexingSupport.OUTER
        return xr.core.indexing.explicit_indexing_adapter(key, self.shape, support, self._get)

    def _get(self, key: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self._table[self._levels[key].values])
