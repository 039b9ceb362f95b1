"""Palettes: radar data hold few different values, so a frame is 16-bit indices into a table of these values.

A composite of 8 bits holds at most 256 values, one of MRMS about a thousand. The palette maps an index to the very
float32 that was there, so nothing is rounded; index 0 is NaN. Values are found by hashing their bits into a table
without collisions, made anew when a value turns up that is not in it; among more than 4,096 values by bisection.

    >>> import numpy as np
    >>> palette = Palette()
    >>> indices = palette.encode(np.array([[0.0, 1.5], [np.nan, 1.5]], np.float32))
    >>> indices.tolist(), palette.values[indices].tolist()
    ([[1, 2], [0, 2]], [[0.0, 1.5], [nan, 1.5]])
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numcodecs import blosc

from echocast.io._lazy import lazy_variable

INDEX, PALETTE = "palette_index", "palette"
"""The names of the two variables in a store."""
QUANTITY = "quantity"
"""The attribute of a store, and of its array with values, that names the field's quantity."""
CHANNELS = "channels"
"""The attribute of a store with the names of its channels."""
MOST = 2**16 - 1
"""Values that 16 bits can number, the missing one not counted."""

_MISSING = np.float32(np.nan).view(np.uint32)
_TRIES = 64
_MOST_HASHED = 4096
_STRETCH = 2**17


class TooMany(ValueError):
    """More different values than 16 bits can number; the caller keeps the values themselves."""


class Palette:
    """A table of values that grows; `encode` gives the index of each value, ``values[indices]`` the values back.

    Args:
        values: what was there before, NaN first.
    """

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values = np.array([np.nan], np.float32) if values is None else np.asarray(values, np.float32)
        self._index()

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The index of each value, uint16 of the same shape; raises `TooMany`."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32).ravel()
        indices = np.empty(bits.shape, np.uint16)
        for start in range(0, bits.size, _STRETCH):  # parts that stay in the processor's cache
            part = slice(start, start + _STRETCH)
            indices[part] = self._indices(bits[part])
        return indices.reshape(values.shape)

    def merge(self, values: np.ndarray) -> np.ndarray | None:
        """The indices here of another palette's values, uint16; None where they are the same. Raises `TooMany`."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        self._add(bits[~np.isin(bits, self._bits)])  # in their order, so that two palettes of one origin stay alike
        mine = self._indices(bits)
        return None if np.array_equal(mine, np.arange(len(mine))) else mine

    def _indices(self, bits: np.ndarray) -> np.ndarray:
        indices = self._candidates(bits)
        known = self._bits[indices] == bits
        if known.all():
            return np.asarray(indices)
        unknown = bits[~known]
        unknown[(unknown & 0x7FFFFFFF) > 0x7F800000] = _MISSING  # NaN of any kind is missing
        new = np.setdiff1d(np.unique(unknown), self._bits)
        self._add(new)
        return self._indices(np.where((bits & 0x7FFFFFFF) > 0x7F800000, _MISSING, bits).astype(np.uint32))

    def _add(self, new: np.ndarray) -> None:
        if len(self.values) + len(new) > MOST + 1:
            raise TooMany(f"more than {MOST} different values")
        if len(new):
            self.values = np.concatenate([self.values, new.view(np.float32)])
            self._index()

    def _index(self) -> None:
        """Prepare to find values: by hashing, or by bisection where a table without collisions would be too large."""
        self._bits = self.values.view(np.uint32)
        self._hashed = len(self.values) <= _MOST_HASHED
        if self._hashed:
            self._hash()
        else:
            self._order = np.argsort(self._bits).astype(np.uint16)
            self._sorted = self._bits[self._order]

    def _candidates(self, bits: np.ndarray) -> np.ndarray:
        """For each value the one index that it can have."""
        if self._hashed:
            return np.asarray(self._slots[(bits * self._factor) >> self._shift])
        return np.asarray(self._order[np.minimum(np.searchsorted(self._sorted, bits), len(self._sorted) - 1)])

    def _hash(self) -> None:
        """Slots for the values' bits, one for each, by a multiplication that brings no two into one slot."""
        drawn = np.random.default_rng(len(self.values))
        width = max(10, int(np.ceil(2 * np.log2(len(self.values)))))
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
class EncodedFrames:
    """Some frames of a field: indices and their palette, or the values themselves if they are too many.

    `grid` holds the field's coordinates, attributes and quantity, as a dataset without variables.
    """

    grid: xr.Dataset
    palette: np.ndarray
    indices: np.ndarray | None
    values: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Indices go to another process compressed: quicker than the pipe takes them as they are."""
        state = dict(self.__dict__)
        if self.indices is not None:
            state["indices"] = (self.indices.shape, blosc.compress(self.indices, b"lz4", 1, blosc.SHUFFLE))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["indices"] is not None:
            shape, compressed = state["indices"]
            state["indices"] = np.frombuffer(blosc.decompress(compressed), np.uint16).reshape(shape)
        self.__dict__.update(state)

    def frames(self) -> list[np.ndarray]:
        """The frames as they are: indices or values."""
        kept = self.indices if self.indices is not None else self.values
        return [] if kept is None else list(kept)


def encode_field(field: xr.DataArray, palette: Palette) -> EncodedFrames:
    """A field's frames as indices into a palette, which grows by what is new."""
    grid = grid_of(field)
    try:
        indices = palette.encode(field.values)
    except TooMany:
        return EncodedFrames(grid, palette.values[:1], None, field.values)
    return EncodedFrames(grid, palette.values, indices)


def grid_of(field: xr.DataArray) -> xr.Dataset:
    """A field's coordinates, its attributes and its quantity, without its values."""
    return xr.Dataset(coords=field.coords, attrs=field.attrs | {QUANTITY: str(field.name)})


def is_archive(data: xr.Dataset) -> bool:
    """Whether a dataset is laid out as an archive of echocast."""
    return QUANTITY in data.attrs and "observed" in data.variables and (INDEX in data or data.attrs[QUANTITY] in data)


def decoded(data: xr.Dataset) -> xr.DataArray:
    """The field of a store, read when needed.

    Args:
        data: the store's dataset: palette indices and their palette, or an array named after the quantity.
    """
    data = data.set_coords([name for name in ("crs", "observed") if name in data.variables])
    if INDEX in data:
        indices, palette = data[INDEX].variable, data[PALETTE]
        attrs, values = dict(palette.attrs), palette.values
        variable = lazy_variable(indices.dims, indices.shape, lambda key: values[indices[key].values], attrs)
    else:
        variable = data[str(data.attrs[QUANTITY])].variable
        attrs = dict(variable.attrs)
    kept = [name for name in ("time", "channel", "y", "x", "crs", "observed") if name in data.coords]
    coords = {coord: data.coords[coord] for coord in kept}
    if CHANNELS in data.attrs:
        coords["channel"] = xr.DataArray(list(data.attrs[CHANNELS]), dims="channel", attrs={"long_name": "channel"})
    name = attrs.pop(QUANTITY)
    if "crs" in data.coords:
        attrs["grid_mapping"] = "crs"
    variable.attrs = attrs
    return xr.DataArray(variable, coords=coords, name=name)
