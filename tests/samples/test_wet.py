"""Counts of wet cells are those of a plain loop."""

import numpy as np
from tests import example_files

from echocast.samples import wet


def rain(frames: int = 5, rows: int = 40, columns: int = 70) -> np.ndarray:
    drawn = np.random.default_rng(0).gamma(0.3, 1.0, (frames, rows, columns)).astype(np.float32)
    drawn[1, :9] = np.nan
    drawn[2, 3, 4] = wet.WET_MM_H
    return drawn


def test_each_block_of_each_frame_is_counted() -> None:
    values = rain()
    made = wet.counted(example_files.field(values))
    assert made.counts.shape == (5, 2, 3)
    for frame, row, column in np.ndindex(made.counts.shape):
        block = values[frame, row * 32 : (row + 1) * 32, column * 32 : (column + 1) * 32]
        assert made.counts[frame, row, column] == sum(value >= 0.5 for value in block.ravel())


def test_shares_of_windows_and_of_squares() -> None:
    values = rain()
    made = wet.counted(example_files.field(values))
    starts = np.array([0, 2])
    expected = [(values[start : start + 3] >= 0.5).mean() for start in starts]
    np.testing.assert_allclose(made.shares(starts, 3), expected)
    squares = made.squares(1, 2, 64)
    assert squares.shape == (1, 2)
    inside = (values[1:3, :, 32:] >= 0.5).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(squares[0, 1], inside / 64**2)
    assert made.squares(0, 5, 1000).shape == (1, 2)  # no larger than the grid's shorter side in blocks


def test_a_frame_that_is_missing_is_not_read() -> None:
    field = example_files.field(rain()).assign_coords(observed=("time", [True, False, False, True, True]))
    made = wet.counted(field)
    assert made.counts[3].sum() == (field.values[3] >= 0.5).sum()
