"""Windows as a data set."""

import numpy as np
from tests import example_files

from echocast.samples import windows


def test_windows_hold_the_frames_they_should_in_memory_or_not() -> None:
    field = example_files.field(np.ones((9, 3, 4), np.float32) * np.arange(9)[:, None, None])
    for in_memory in (False, True):
        made = windows.Windows(field, np.array([2, 4]), past=2, future=3, in_memory=in_memory)
        batch = windows.stack(made)
        assert batch.shape == (2, 5, 1, 3, 4)
        assert batch[1, :, 0, 0, 0].tolist() == [4, 5, 6, 7, 8]
        assert made.frames(2, 3, stride=2).values[:, 0, 0].tolist() == [2, 4, 6]
    batch[:] = -1  # a window is a copy: nothing done to it reaches the archive
    assert float(made[0].min()) == 2
