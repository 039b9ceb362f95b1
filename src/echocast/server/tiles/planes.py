"""Layers as classes of the legend: at the resolution of the grid, and as means of ever larger blocks."""

import numpy as np

from echocast.operations.scales import UNKNOWN
from echocast.server.tiles.palettes import NOT_KNOWN, Legend


def plane(levels: np.ndarray, values: np.ndarray, legend: Legend, level: int = 0) -> np.ndarray:
    """The class of each cell, or of each block of cells, row by row, and behind them that of what lies outside.

    Args:
        levels: uint8 (y, x), as in layers.bin.
        values: what each of them stands for, (256,); NaN for what is not known.
        legend: the classes.
        level: 0 for cells, 1 for blocks of 2 x 2, 2 for 4 x 4 and so on: the class of the mean of what is known, where
            that is at least half of the block.

    Returns:
        uint8 (blocks + 1,).
    """
    table = legend.classes(values)
    table[UNKNOWN] = NOT_KNOWN
    found = table[levels] if level == 0 else legend.classes(_means(values[levels], 2**level))
    return np.append(found.ravel(), np.uint8(legend.outside))


def _means(values: np.ndarray, size: int) -> np.ndarray:
    """The mean of what is known in each block, (blocks down, blocks across); NaN where less than half is known."""
    known = ~np.isnan(values)
    count = _sums(known.astype(np.float32), size)
    cells = _sums(np.ones_like(values), size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(2 * count >= cells, _sums(np.where(known, values, 0), size) / count, np.float32(np.nan))


def _sums(values: np.ndarray, size: int) -> np.ndarray:
    down = np.add.reduceat(values, np.arange(0, values.shape[0], size), axis=0)
    return np.add.reduceat(down, np.arange(0, values.shape[1], size), axis=1)
