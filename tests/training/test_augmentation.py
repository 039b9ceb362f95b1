"""Windows that are varied are still rain that could be."""

import math

import numpy as np
import pytest

from echocast.training.sources import at_an_angle


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
