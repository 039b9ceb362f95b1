"""Windows varied at random."""

import math

import numpy as np
import pytest
import torch

from echocast.samples.augmentation import at_an_angle, flipped, padded


def test_a_right_angle_is_exact() -> None:
    frames = np.random.default_rng(0).random((3, 7, 7), dtype=np.float32)
    np.testing.assert_array_equal(at_an_angle(frames, math.pi / 2), np.rot90(frames, axes=(1, 2)))
    np.testing.assert_array_equal(at_an_angle(frames, 0.0), frames)


@pytest.mark.parametrize("angle", [0.3, 2.0, 5.5])
def test_any_angle_moves_values_and_makes_none(angle: float) -> None:
    frames = np.random.default_rng(1).random((2, 64, 64), dtype=np.float32)
    turned = at_an_angle(frames, angle)
    along = np.arange(64) - 31.5
    disc = along[:, None] ** 2 + along**2 < 31**2
    assert np.isfinite(turned[:, disc]).all()
    assert np.isnan(turned[:, ~disc]).any()
    assert np.isin(turned[np.isfinite(turned)], frames).all()


def test_what_is_right_of_the_middle_goes_where_the_angle_says_in_all_frames() -> None:
    frames = np.zeros((2, 65, 65), np.float32)
    frames[:, 30:35, 50:55] = 1.0  # 20 cells to the right
    rows, columns = np.nonzero(at_an_angle(frames, math.radians(30.0))[1] == 1.0)
    assert rows.mean() == pytest.approx(32 - 20 * math.sin(math.radians(30.0)), abs=0.5)
    assert columns.mean() == pytest.approx(32 + 20 * math.cos(math.radians(30.0)), abs=0.5)


def test_a_batch_is_flipped_as_a_whole_and_turned_only_if_square() -> None:
    square = torch.arange(9.0).reshape(1, 1, 1, 3, 3).repeat(2, 1, 1, 1, 1)
    seen = {tuple(flipped(square, np.random.default_rng(n))[0].ravel().tolist()) for n in range(60)}
    assert len(seen) == 8
    wide = torch.arange(6.0).reshape(1, 1, 1, 2, 3)
    assert {flipped(wide, np.random.default_rng(n)).shape for n in range(20)} == {wide.shape}


def test_what_is_too_small_is_filled_with_nan() -> None:
    made = padded(np.ones((2, 1, 3, 5), np.float32), 4)
    assert made.shape == (2, 1, 4, 5)
    assert np.isnan(made[..., 3, :]).all()
    assert (made[..., :3, :] == 1).all()
