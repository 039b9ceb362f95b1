"""Pairs of frames where some frames, or parts of them, were not seen."""

import numpy as np
import pytest

from echocast.motion.flow import dense_flow, sparse_flow
from echocast.motion.pairs import pairs_of


def moving(count: int = 6) -> np.ndarray:
    """A shower that moves one row and two columns a step, dry elsewhere."""
    rows, columns = np.mgrid[:80, :80]
    frames = [9 * np.exp(-((columns - 26 - 2 * n) ** 2 + (rows - 28 - n) ** 2) / 40) for n in range(count)]
    return np.where(np.array(frames) < 0.05, 0.0, frames).astype(np.float32)


def hidden(what: str) -> np.ndarray:
    """The same with something not seen."""
    frames = moving()
    parts = {
        "frame -2": (-2,),
        "frame -3": (-3,),
        "frames -3 and -2": (slice(-3, -1),),
        "left half of -2": (-2, slice(None), slice(None, 40)),
        "top of -2": (-2, slice(None, 34)),
        "half the shower of -2": (-2, slice(None), slice(None, 34)),
        "right of -3": (-3, slice(None), slice(30, None)),
        "top of -1": (-1, slice(None, 15)),
    }
    if what == "specks":
        frames[np.random.default_rng(0).random(frames.shape) < 0.03] = np.nan
    else:
        frames[parts[what]] = np.nan
    return frames


def test_a_blank_frame_is_passed_over() -> None:
    frames = moving(5)
    frames[[1, 3]] = np.nan
    assert [(pair.before, pair.after, pair.steps) for pair in pairs_of(frames, 3)] == [(0, 2, 2), (2, 4, 2)]
    assert pairs_of(np.full((3, 8, 8), np.nan, np.float32), 3) == []


def test_what_a_frame_lacks_is_told_by_those_around_it() -> None:
    frames = moving(4)
    frames[2, :, :40] = np.nan
    pairs = pairs_of(frames, 2)
    assert [(pair.before, pair.after, pair.age) for pair in pairs] == [(1, 2, 1), (2, 3, 0), (1, 3, 0)]
    newest, around = pairs[1].weight, pairs[2].weight
    assert newest is not None
    assert around is not None
    assert (newest[:, :40].max(), newest[:, 60:].min()) == (0.0, 1.0)
    assert (around[:, :40].min(), around[:, 40:].max()) == (1.0, 0.0)


def test_frames_that_see_the_same_need_no_weights() -> None:
    frames = moving(4)
    frames[:, :20] = np.nan
    assert [(pair.seen, pair.weight) for pair in pairs_of(frames, 3)] == [(None, None)] * 3


@pytest.mark.parametrize(
    "what",
    [
        "frame -2",
        "frame -3",
        "frames -3 and -2",
        "left half of -2",
        "top of -2",
        "half the shower of -2",
        "right of -3",
        "top of -1",
        "specks",
    ],
)
@pytest.mark.parametrize("flow", [dense_flow, sparse_flow])
def test_what_was_not_seen_does_not_bend_the_motion(what: str, flow: object) -> None:
    motion = flow(hidden(what))  # type: ignore[operator]
    wet = moving()[-1] > 0.5
    np.testing.assert_allclose(motion[0][wet].mean(), 1.0, atol=0.15)
    np.testing.assert_allclose(motion[1][wet].mean(), 2.0, atol=0.25)


def test_rain_that_was_seen_only_once_tells_no_motion() -> None:
    frames = moving()
    frames[:-1, :60, :60] = np.nan
    assert not dense_flow(frames).any()
    assert not sparse_flow(frames).any()
