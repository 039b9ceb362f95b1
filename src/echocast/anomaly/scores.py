"""Scores of frames from maps of error: the higher, the less the frame was expected.

A map of error is divided by the error that is normal, where that is known, and averaged over blocks; the
score of a frame is the mean of its worst block, because what is abnormal is small. Scores are averaged over
neighbouring frames, because what is abnormal lasts.

    >>> error = np.zeros((1, 6, 6))
    >>> error[0, 2:4, 2:4] = 1.0
    >>> float(of_maps(block_means(error, 2))[0]), float(of_maps(block_means(error, None))[0])
    (1.0, 0.1111111111111111)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy.ndimage import uniform_filter1d

Maps = Float[np.ndarray, "frames y x"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How errors become scores.

    Args:
        block: the side of the blocks in pixels; None: the mean over the whole frame.
        by_place: divide the error by what is normal at each place, and not by what is normal in the whole frame.
        smooth: how many frames the score is averaged over, the frame in their middle; 1: none but its own.
        threshold: a frame is abnormal above this score; None: a rule decides, see `echocast.anomaly.detection`.

    Raises:
        ValueError: a block or a number of frames below 1.
    """

    block: int | None = 8
    smooth: int = 9
    by_place: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        if (self.block is not None and self.block < 1) or self.smooth < 1:
            raise ValueError(f"block={self.block} and smooth={self.smooth} must be at least 1")


def block_means(errors: Maps, block: int | None) -> Maps:
    """The mean error of the block around each pixel, over what is known of it; NaN where less than half is.

    Args:
        errors: NaN where unknown.
        block: the side of the blocks; None: each pixel has the mean over the whole frame.
    """
    known = np.isfinite(errors)
    filled = np.where(known, errors, 0.0)
    if block is None:
        count, total = known.sum(axis=(1, 2), keepdims=True), filled.sum(axis=(1, 2), keepdims=True)
        return np.broadcast_to(_ratio(total, count, 1), errors.shape)
    sides = (min(block, errors.shape[1]), min(block, errors.shape[2]))
    count, total = _sums(known.astype(np.float64), sides), _sums(filled.astype(np.float64), sides)
    inside = _sums(np.ones((1, *errors.shape[1:])), sides)
    return _ratio(total, count, inside / 2)


def of_maps(means: Maps) -> Float[np.ndarray, "frames"]:
    """The highest value of each map; NaN of one without any."""
    highest = np.where(np.isfinite(means), means, -np.inf).max(axis=(1, 2))
    return np.where(np.isfinite(highest), highest, np.nan)


def smoothed(scores: Float[np.ndarray, "frames"], frames: int) -> Float[np.ndarray, "frames"]:
    """Each score the mean of the known ones among its neighbours, of `frames` in all; NaN stays."""
    scores = np.asarray(scores, np.float64)
    known = np.isfinite(scores)
    sums = [uniform_filter1d(part, frames, mode="constant") for part in (np.where(known, scores, 0.0), known * 1.0)]
    return np.where(known, sums[0] / np.where(known, sums[1], 1.0), np.nan)


def regularity(scores: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames"]:
    """How regular each frame of one sequence is: 1 for its lowest error, 0 for its highest; 1 if all are equal.

    ``s(t) = 1 - (e(t) - min e) / (max e - min e)``, NaN where the score is.

    Source: Hasan et al. 2016 (arXiv:1604.04574).
    """
    known = scores[np.isfinite(scores)]
    if not known.size:
        return np.full(scores.shape, np.nan)
    low, high = known.min(), known.max()
    return np.asarray(np.where(np.isfinite(scores), 1 - (scores - low) / (high - low if high > low else 1.0), np.nan))


def stretches(chosen: Shaped[np.ndarray, "frames"]) -> list[tuple[int, int]]:
    """The unbroken stretches of frames that are chosen: first and last frame of each."""
    where = np.flatnonzero(chosen)
    parts = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if len(part)]


def _sums(values: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    for axis, side in zip((1, 2), sides, strict=True):
        values = uniform_filter1d(values, side, axis=axis, mode="constant") * side
    return values


def _ratio(total: np.ndarray, count: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    enough = count >= least - 1e-6
    return np.asarray(np.where(enough, total / np.where(enough, count, 1.0), np.nan))
