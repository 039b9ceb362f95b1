"""Where it rains in an archive: the wet cells of each block of each frame.

Windows and squares are drawn by these counts, so that no frame is read that is not learned from.

>>> from echocast.synthetic import storms
>>> field = storms.generate(frames=4, size=40)
>>> counted(field).counts.shape  # blocks of 32 x 32 cells
(4, 2, 2)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

WET_MM_H = 0.5
"""A cell with at least so much rain is wet."""
BLOCK = 32
"""Cells along the side of a block."""

_PART_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class WetCells:
    """The wet cells of an archive.

    Args:
        counts: of each block of each frame, (time, rows, columns); at the end blocks may be smaller.
        cells: of a frame.
    """

    counts: Integer[np.ndarray, "time rows columns"]
    cells: int

    def shares(self, starts: Integer[np.ndarray, "windows"], length: int) -> Float[np.ndarray, "windows"]:
        """The mean share of wet cells in each window of `length` frames."""
        of_frames = self.counts.sum(axis=(1, 2), dtype=np.int64) / self.cells
        sums = np.concatenate([[0.0], np.cumsum(of_frames)])
        return np.asarray((sums[starts + length] - sums[starts]) / length)

    def squares(self, first: int, count: int, size: int) -> Float[np.ndarray, "rows columns"]:
        """For squares of about `size` cells that begin at each block: the mean share of wet cells in some frames.

        Args:
            first: the first of the frames.
            count: how many.
            size: the side in cells; whole blocks are counted, so it is taken as a multiple of `BLOCK`.
        """
        blocks = self.counts[first : first + count].mean(axis=0)
        side = min(max(1, round(size / BLOCK)), *blocks.shape)
        sums = np.pad(blocks.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        return np.asarray(inside / (side * BLOCK) ** 2)


def counted(field: xr.DataArray) -> WetCells:
    """Count the wet cells of a field, in parts of bounded memory: every frame is read once."""
    frames, cells = field.sizes["time"], int(np.prod(field.shape[1:]))
    rows, columns = (-(-field.sizes[axis] // BLOCK) for axis in ("y", "x"))
    counts = np.zeros((frames, rows, columns), np.uint16 if field.ndim == 3 else np.uint32)
    seen = field.coords["observed"].values if "observed" in field.coords else np.ones(frames, bool)
    for part in _parts(frames, max(1, _PART_BYTES // (4 * cells))):
        if seen[part].any():
            counts[part] = _by_block(field[part].values)
    return WetCells(counts, cells)


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _by_block(values: np.ndarray) -> np.ndarray:
    """Wet cells by block, over all channels."""
    wet = values >= WET_MM_H
    rows = np.add.reduceat(wet.view(np.uint8), np.arange(0, wet.shape[-2], BLOCK), axis=-2, dtype=np.uint8)
    wide = np.add.reduceat(rows, np.arange(0, wet.shape[-1], BLOCK), axis=-1, dtype=np.uint32)
    return np.asarray(wide if wide.ndim == 3 else wide.sum(axis=1))
