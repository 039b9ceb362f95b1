"""A refined motion is right over many steps: known motion is found, whatever the first guess, gaps and grid."""

import cv2
import numpy as np
import pytest
import torch

from echocast.motion.advection import advect
from echocast.motion.estimate import rain_motion
from echocast.motion.flow import dense_flow
from echocast.motion.refined import refined


def storm(size: int, seed: int, smooth: float = 4.0) -> np.ndarray:
    """Showers of many sizes, mm/h."""
    noise = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    field = sum(width * cv2.GaussianBlur(noise, (0, 0), width * smooth) for width in (0.5, 1.0, 2.0))
    return np.maximum(field / field.std() - 0.5, 0.0) * 6.0


def moved(rain: np.ndarray, motion: np.ndarray, frames: int) -> np.ndarray:
    """Frames of rain that moves and does not change, the last one where it is; NaN comes in nowhere."""
    back = torch.from_numpy(-motion)[None]
    older = advect(torch.from_numpy(rain)[None, None], back, frames - 1)[0, :, 0].numpy()
    return np.nan_to_num(np.concatenate([older[::-1], rain[None]])).astype(np.float32)


def turning(size: int) -> np.ndarray:
    """A motion that turns and travels."""
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    return np.stack([0.02 * x + 2.0, -0.02 * y - 4.0]).astype(np.float32)


def changing(frames: np.ndarray, seed: int) -> np.ndarray:
    """Frames whose detail is another one each time, so that no two look alike."""
    draw = np.random.default_rng(seed)
    noise = [cv2.GaussianBlur(draw.normal(size=one.shape).astype(np.float32), (0, 0), 2.0) for one in frames]
    return np.stack([one * np.exp(0.7 * n / n.std()) for one, n in zip(frames, noise, strict=True)]).astype(np.float32)


def error(found: np.ndarray, motion: np.ndarray, frames: np.ndarray) -> float:
    """The mean distance in pixels where it rains, away from the edges."""
    inside = (slice(None), slice(25, -25), slice(25, -25))
    return float(np.hypot(*(found - motion)[inside])[frames[-1][inside[1:]] > 0.5].mean())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flow_that_is_too_slow_is_corrected(seed: int) -> None:
    motion = turning(160)
    frames = changing(moved(storm(160, seed), motion, 6), seed)
    slow = 0.7 * motion
    assert error(slow, motion, frames) > 1.0
    assert error(refined(frames, slow, node_px=48, coarsen=3), motion, frames) < 0.25


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flow_that_is_right_stays_right(seed: int) -> None:
    motion = turning(160)
    frames = moved(storm(160, seed), motion, 6)
    flow = dense_flow(frames, min_smoothing_px=2.5, method="both")
    assert error(flow, motion, frames) < 0.15  # of a pixel per step
    assert error(rain_motion(frames), motion, frames) < 0.15


def test_frames_that_saw_nothing_and_cells_that_one_frame_lacks_do_not_mislead() -> None:
    motion = np.stack([np.full((160, 160), v, np.float32) for v in (0.0, 4.0)])
    frames = moved(storm(160, 1), motion, 6)
    frames[-2] = np.nan
    frames[-3, :, :60] = np.nan
    frames[-1, :40] = np.nan
    found = rain_motion(frames)
    assert np.abs(found - motion)[:, 50:-20, 30:-20].mean() < 0.4


@pytest.mark.parametrize("coarsen", [1, 2, 3])
def test_cells_may_be_coarser_than_pixels(coarsen: int) -> None:
    motion = np.stack([np.full((150, 170), v, np.float32) for v in (-2.0, 3.0)])
    frames = moved(storm(170, 2)[:150], motion, 4)
    found = refined(frames, 0.6 * motion, node_px=48, coarsen=coarsen)
    assert np.abs(found - motion)[:, 25:-25, 25:-25].mean() < 0.2


@pytest.mark.parametrize("frames", [np.zeros((4, 40, 50)), np.full((4, 40, 50), np.nan), np.ones((1, 40, 50))])
def test_where_nothing_can_be_told_the_first_motion_stays(frames: np.ndarray) -> None:
    first = np.full((2, 40, 50), 0.5, np.float32)
    np.testing.assert_array_equal(refined(frames.astype(np.float32), first, node_px=24), first)


def test_it_works_under_inference_mode_and_gives_the_same_again() -> None:
    motion = np.stack([np.full((96, 96), v, np.float32) for v in (1.0, 2.0)])
    frames = moved(storm(96, 3), motion, 5)
    with torch.inference_mode():
        one = rain_motion(frames)
    np.testing.assert_array_equal(one, rain_motion(frames))
