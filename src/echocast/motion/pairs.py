"""Which pairs of frames tell a motion, and where: the cells that were seen in both, and how far apart they are.

A frame in which nothing was seen tells nothing: the frames around it are a pair, two steps apart. Where a frame was
only seen in part, the frames around it tell the motion of the rest.

    >>> frames = np.zeros((4, 8, 8), np.float32)
    >>> frames[2] = np.nan
    >>> [(pair.before, pair.after, pair.steps) for pair in pairs_of(frames, 3)]
    [(0, 1, 1), (1, 3, 2)]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float

_MARGIN = 8
"""Cells around those that were seen in one frame only, where the motion is not believed either."""
_HOLE = 5
"""Cells along the side of the window from which a hole is filled."""
_FEW = 0.01
"""A part of the grid smaller than this is not looked for in a pair of frames of its own."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two frames that tell a motion.

    Args:
        before: the number of the earlier frame.
        after: that of the later one.
        age: how many pairs of neighbours are newer: 0 for the newest.
        seen: the cells where both frames are to be compared; None where each sees what the other sees.
        weight: 0 to 1, how far the motion of each cell is believed; None for all alike.
    """

    before: int
    after: int
    age: int
    seen: Bool[np.ndarray, "y x"] | None = None
    weight: Float[np.ndarray, "y x"] | None = None

    @property
    def steps(self) -> int:
        """How many time steps lie between them."""
        return self.after - self.before


def pairs_of(frames: Float[np.ndarray, "time y x"], count: int) -> list[Pair]:
    """The newest `count` pairs of neighbours among the frames that saw anything, oldest first.

    Where these frames saw different cells, pairs are added that pass over a frame for the cells that it lacks.
    Fewer pairs come if there are fewer frames.

    Args:
        frames: oldest first, NaN where nothing was seen.
        count: how many pairs.
    """
    seen = _seeing(frames, count + 2)
    used = list(seen)[-count - 1 :]
    neighbours = list(pairwise(used))
    plain = [Pair(a, b, len(neighbours) - 1 - number) for number, (a, b) in enumerate(neighbours)]
    if all(np.array_equal(seen[k], seen[used[0]]) for k in used[1:]):
        return plain
    found = [_weighted(pair, seen, seen[pair.before] & seen[pair.after]) for pair in plain]
    ages = {pair.after: pair.age for pair in plain}
    for older, passed, newer in zip(seen, list(seen)[1:], list(seen)[2:], strict=False):
        lost = seen[older] & seen[newer] & ~seen[passed]
        if lost.mean() > _FEW:
            found.append(_weighted(Pair(older, newer, ages[newer]), seen, lost))
    return found


def compared(frame: Float[np.ndarray, "y x"], pair: Pair) -> Float[np.ndarray, "y x"]:
    """A frame of a pair as it is compared: NaN where only one of both saw, small holes filled by the mean around."""
    if pair.seen is None:
        return frame
    share = cv2.blur(pair.seen.astype(np.float32), (_HOLE, _HOLE))
    around = cv2.blur(np.where(pair.seen, frame, 0.0).astype(np.float32), (_HOLE, _HOLE))
    filled = np.where(share > 0.6, around / np.maximum(share, 0.1), np.nan)
    return np.asarray(np.where(pair.seen, frame, filled), np.float32)


def mean_motion(
    motions: Sequence[Float[np.ndarray, "y x 2"]],
    pairs: Sequence[Pair],
    shares: Sequence[float],
) -> tuple[Float[np.ndarray, "y x 2"], Float[np.ndarray, "y x"]]:
    """The mean motion per step of pairs with weights, and how far it is believed in each cell, 0 to 1.

    Args:
        motions: from the earlier to the later frame of each pair.
        pairs: what told them.
        shares: the share of each pair in the mean, where all are seen.
    """
    everywhere = np.ones(motions[0].shape[:2], np.float32)
    weights = [everywhere if pair.weight is None else pair.weight for pair in pairs]
    total = sum(share * weight for share, weight in zip(shares, weights, strict=True))
    parts = zip(motions, pairs, shares, weights, strict=True)
    mean = sum((share * weight / pair.steps)[..., None] * motion for motion, pair, share, weight in parts)
    believed = np.max(weights, axis=0)
    return np.asarray(mean / np.maximum(total, 1e-6)[..., None], np.float32), np.asarray(believed, np.float32)


def _seeing(frames: np.ndarray, most: int) -> dict[int, np.ndarray]:
    """What the newest frames that saw anything saw, by their numbers, oldest first."""
    found: dict[int, np.ndarray] = {}
    for number in reversed(range(len(frames))):
        seen = np.isfinite(frames[number])
        if seen.any():
            found[number] = seen
        if len(found) == most:
            break
    return dict(reversed(found.items()))


def _weighted(pair: Pair, seen: Mapping[int, np.ndarray], cells: np.ndarray) -> Pair:
    """The pair, believed within some cells and a margin away from those that only one of its frames saw."""
    one = (seen[pair.before] ^ seen[pair.after]).astype(np.float32)
    side = 2 * _MARGIN + 1
    near = cv2.blur(one, (side, side), borderType=cv2.BORDER_REPLICATE)
    weight = np.where(cells, np.clip(1.0 - 2.0 * near, 0.0, 1.0) ** 2, 0.0).astype(np.float32)
    return Pair(pair.before, pair.after, pair.age, seen[pair.before] & seen[pair.after], weight)
