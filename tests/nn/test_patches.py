"""Patches lose nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echocast.nn.patches import from_patches, to_patches


@given(patch=st.integers(1, 4), rows=st.integers(1, 4), columns=st.integers(1, 4), channels=st.integers(1, 3))
def test_round_trip(patch: int, rows: int, columns: int, channels: int) -> None:
    images = torch.randn(2, 3, channels, rows * patch, columns * patch)
    patches = to_patches(images, patch)
    assert patches.shape == (2, 3, channels * patch**2, rows, columns)
    torch.testing.assert_close(from_patches(patches, patch), images, rtol=0, atol=0)


def test_channel_is_row_times_patch_plus_column() -> None:
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    patches = to_patches(image, 3)
    assert [float(patches[0, 3 * r + c, 1, 0]) for r in range(3) for c in range(3)] == [
        float(image[0, 0, 3 + r, c]) for r in range(3) for c in range(3)
    ]


def test_a_grid_that_does_not_divide_is_refused_by_its_size() -> None:
    with pytest.raises(ValueError, match="10 x 9 cannot be cut into patches of 2 x 2"):
        to_patches(torch.zeros(1, 1, 10, 9), 2)
