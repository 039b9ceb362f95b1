"""Optical flow of known motions."""

import numpy as np
import pytest
from tests import example_files

from echocast.motion import flow
from echocast.motion.flow import dense_flow
from echocast.synthetic import storms
from echocast.synthetic._flow import Flow


@pytest.mark.parametrize(("dy", "dx"), [(0.0, 1.5), (-1.0, 0.5), (0.75, -1.25)])
def test_translation_is_found_where_it_rains(dy: float, dx: float) -> None:
    rows, columns = np.mgrid[:64, :64]
    texture = [
        6 * np.exp(-((columns - 30 - dx * n) ** 2 + (rows - 32 - dy * n) ** 2) / 60)
        + 5 * np.exp(-((columns - 40 - dx * n) ** 2 + (rows - 22 - dy * n) ** 2) / 30)
        for n in range(4)
    ]
    motion = dense_flow(np.array(texture, np.float32))
    wet = texture[-1] > 0.5
    assert np.abs(motion[0][wet] - dy).mean() < 0.2
    assert np.abs(motion[1][wet] - dx).mean() < 0.2


def test_both_methods_are_the_mean_of_each() -> None:
    frames = example_files.blob(4, 64, 64, dx=1.5, dy=-0.5)
    each = [dense_flow(frames, method=method) for method in ("dis", "farneback")]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(dense_flow(frames, method="both"), np.mean(each, axis=0), atol=1e-4)


def test_the_flow_of_a_simulated_storm_is_the_flow_it_was_made_with() -> None:
    rain = storms.generate(frames=4, seed=3)
    rng = np.random.default_rng(3)
    half = rain.sizes["x"] * 2.0 / 2
    wind = Flow.draw(rng, half)
    east, north = np.meshgrid(rain.x.values / 1000, rain.y.values / 1000)
    velocity = wind.velocity(np.stack([east, north], axis=-1))
    true = np.stack([-velocity[..., 1], velocity[..., 0]]) * (5 / 60) / 2.0  # rows run south; cells of 2 km
    motion = dense_flow(rain.values)
    wet = (rain.values[-1] > 0.5) & (np.hypot(east, north) < 120)
    # About 1.2 pixels a step, found within a sixth of one; where it rains, off the rim.
    assert np.abs((motion - true)[:, wet]).mean() < 0.2


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 4, 4), (3, 40, 30)])
def test_a_single_frame_a_tiny_grid_and_a_dry_one_stand_still(shape: tuple[int, int, int]) -> None:
    frames = np.zeros(shape, np.float32)
    if shape[1] != 40:
        frames += example_files.blob(shape[0], *shape[1:])
    motion = dense_flow(frames)
    assert motion.shape == (2, *shape[1:])
    assert np.isfinite(motion).all()
    if shape[0] == 1 or shape[1] == 40:
        assert not motion.any()


def test_unseen_pixels_do_not_spoil_the_flow() -> None:
    frames = example_files.blob(4, 64, 64, dx=1.5)
    frames[:, :, 50:] = np.nan
    assert np.isfinite(dense_flow(frames)).all()


def test_dry_air_moves_as_the_nearest_rain_so_that_rain_can_arrive() -> None:
    west = example_files.blob(4, 120, 240, dx=3.0)
    motion = dense_flow(west)
    x = int(west[-1].sum(axis=0).argmax())
    at_rain = motion[1, 60, x]
    assert at_rain == pytest.approx(3.0, abs=0.3)
    # Far ahead, many smoothing lengths from any rain, and at the corners too.
    np.testing.assert_allclose(motion[1, :, -1], at_rain, atol=0.3)
    np.testing.assert_allclose(motion[0, :, -1], motion[0, 60, x], atol=0.3)


def test_two_showers_far_apart_keep_their_own_motion() -> None:
    rows, columns = np.mgrid[:120, :240]

    def shower(y: float, x: float) -> np.ndarray:
        return 9 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 90)

    frames = np.array([shower(60, 40 + 2 * n) + shower(60, 200 - n) for n in range(4)], np.float32)
    motion = dense_flow(np.where(frames < 0.1, 0, frames))
    assert motion[1, 60, 46] == pytest.approx(2.0, abs=0.3)
    assert motion[1, 60, 197] == pytest.approx(-1.0, abs=0.3)
    assert motion[1, 60, 120] < motion[1, 60, 46]


def test_a_continent_is_made_coarser_and_moves_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_LARGE", 64 * 64)
    rows, columns = np.mgrid[:130, :201]
    frames = [
        sum(
            6 * np.exp(-((columns - x - 2.5 * n) ** 2 + (rows - y + 1.5 * n) ** 2) / 90)
            for x, y in ((60, 60), (90, 75), (120, 50))
        )
        for n in range(4)
    ]
    motion = dense_flow(np.array(frames, np.float32))
    assert motion.shape == (2, 130, 201)
    wet = frames[-1] > 0.5
    assert np.abs(motion[0][wet] + 1.5).mean() < 0.25
    assert np.abs(motion[1][wet] - 2.5).mean() < 0.25
