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
    found = table[levels] if level == 0 else legend.classes(_means(values, levels, level))
    return np.append(found.ravel(), np.uint8(legend.outside))


def _means(values: np.ndarray, levels: np.ndarray, level: int) -> np.ndarray:
    """The mean of what is known in each block, (blocks down, blocks across); NaN where less than half is known."""
    known = ~np.isnan(values)
    sums, count = np.where(known, values, 0).astype(np.float32)[levels], known.astype(np.float32)[levels]
    down, across = (np.minimum(2**level, size - np.arange(0, size, 2**level)) for size in levels.shape)
    for _ in range(level):
        sums, count = _halved(sums), _halved(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(2 * count >= np.outer(down, across), sums / count, np.float32(np.nan))


def _halved(values: np.ndarray) -> np.ndarray:
    """The sums of 2 x 2; at the lower and right edge of what there is."""
    down = values[::2].copy()
    down[: len(values) // 2] += values[1::2]
    across = down[:, ::2].copy()
    across[:, : down.shape[1] // 2] += down[:, 1::2]
    return across
