"""The motion of rain between frames: dense and sparse optical flow.

A motion is (2, y, x): displacement along y and along x in pixels per step, forward in time.

    >>> import numpy as np
    >>> still = np.zeros((3, 64, 64), np.float32)
    >>> float(np.abs(dense_flow(still)).max())
    0.0
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from echocast.motion import Method
from echocast.motion.pairs import Pair, compared, mean_motion, pairs_of
from echocast.parallel import release_memory
from echocast.zr import reflectivity

_SMALLEST = 32
"""Pixels along the shorter side below which no motion is estimated."""
_ENLARGED_BELOW = 128
"""Grids with fewer pixels along the shorter side are enlarged, at most 4 times."""
_LARGE = 4_000_000
"""Grids with more pixels than this are made coarser first."""
_MAX_DBZ = 52.5
_WET_MM_H = 0.1
_PRIOR = 0.02
"""The fraction of rain under a Gaussian at which it and the next wider one have the same weight."""


def dense_flow(
    frames: Float[np.ndarray, "time y x"],
    *,
    pairs: int = 3,
    smoothing_px: float | None = None,
    min_smoothing_px: float = 4.0,
    method: Method = "dis",
) -> Float[np.ndarray, "2 y x"]:
    """The mean motion over the last `pairs` pairs of frames, smooth and filled where it is dry.

    The flow between two frames is the dense inverse search of Kroeger et al. on 8-bit reflectivity, so weak and strong
    echoes both count; small grids are enlarged for it, and a continent's made coarser, where the result is smoothed
    over many cells anyway. The mean over pairs is then smoothed by a Gaussian that weighs only rain. Where there
    is little, a Gaussian twice as wide decides, and so on up to the mean over all rain: dry air moves as the nearest
    rain does, so that rain can arrive there.

    Args:
        frames: rain rate in mm/h, oldest first; NaN where nothing is observed. What a frame did not see where another
            did has no weight (see `echocast.motion.pairs`).
        pairs: how many of the newest pairs of frames to average over.
        smoothing_px: standard deviation of the Gaussian; by default a fortieth of the shorter side.
        min_smoothing_px: the least that it is by default.
        method: ``dis``, ``farneback`` for polynomial expansion, or ``both``, for the mean of the two.

    Returns:
        Displacement (y, x) in pixels per step; 0 for a single frame, dry frames and grids too small to tell.

    Source: Kroeger et al. 2016 (arXiv:1603.03590) as `cv2.DISOpticalFlow`, medium preset, finest scale 0; Farneback
    2003, doi:10.1007/3-540-45103-X_50, as `cv2.calcOpticalFlowFarneback`; the normalised Gaussian is our own.
    """
    height, width = frames.shape[1:]
    smoothing_px = smoothing_px or max(min_smoothing_px, min(height, width) / 40)
    chosen = pairs_of(frames, pairs)
    shrink = round(math.sqrt(height * width / _LARGE))
    if shrink > 1 and chosen:
        newest, plain = frames[min(pair.before for pair in chosen) :], chosen[0].weight is None
        chosen.clear()  # their weights are as large as the frames
        few = np.stack([_coarser(one, shrink, plain=plain) for one in newest])
        slow = dense_flow(few, pairs=pairs, smoothing_px=smoothing_px / shrink, method=method)
        fast = [cv2.resize(part, (width, height)) for part in slow]
        return np.stack([fast[0] * (height / few.shape[1]), fast[1] * (width / few.shape[2])])
    enlarge = min(4, -(-_ENLARGED_BELOW // min(height, width)))
    used = {number for pair in chosen for number in (pair.before, pair.after)}
    if min(height, width) * enlarge < _SMALLEST or not any((frames[number] > 0).any() for number in used):
        return np.zeros((2, height, width), np.float32)
    flows = [_flows(frames, pair, enlarge, method) for pair in chosen]
    mean, believed = _mean(flows, chosen, enlarge, (width, height))
    smooth = _smooth(mean, frames[-1], smoothing_px, believed)
    return np.ascontiguousarray(smooth.transpose(2, 0, 1)[::-1], np.float32)


def _coarser(frame: np.ndarray, shrink: int, *, plain: bool) -> np.ndarray:
    """Means over blocks of cells; unless `plain`, NaN where less than half of a block was seen."""
    size = (-(-frame.shape[1] // shrink), -(-frame.shape[0] // shrink))
    coarse = np.asarray(cv2.resize(np.nan_to_num(frame), size, interpolation=cv2.INTER_AREA))
    if plain and np.isfinite(frame).any():
        return coarse
    share = cv2.resize(np.isfinite(frame).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(share >= 0.5, coarse, np.nan), np.float32)


def _flows(frames: np.ndarray, pair: Pair, enlarge: int, method: Method) -> list[np.ndarray]:
    """The flow of a pair (y, x, 2) on the enlarged grid, by each method; (x, y) in its pixels."""
    before, after = (_image(compared(frames[number], pair), enlarge) for number in (pair.before, pair.after))
    start = np.zeros((*before.shape, 2), np.float32)
    flows: list[np.ndarray] = []
    if method != "farneback":
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        search.setFinestScale(0)
        flows.append(search.calc(before, after, start.copy()))
        search.collectGarbage()
        if start.size > _LARGE:
            release_memory()  # a gigabyte
    if method != "dis":
        found = cv2.calcOpticalFlowFarneback(before, after, start.copy(), 0.5, _levels(start), 25, 3, 7, 1.5, 0)
        flows.append(found)
    return flows


def _mean(
    flows: Sequence[Sequence[np.ndarray]], pairs: Sequence[Pair], enlarge: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """The mean flow in pixels of the grid per step, and how far it is believed; None for everywhere alike."""
    if all(pair.weight is None and pair.steps == 1 for pair in pairs):
        by_method = [flow for methods in zip(*flows, strict=True) for flow in methods]
        return cv2.resize(np.mean(by_method, axis=0), size, interpolation=cv2.INTER_AREA) / enlarge, None
    each = [cv2.resize(np.mean(flow, axis=0), size, interpolation=cv2.INTER_AREA) / enlarge for flow in flows]
    return mean_motion(each, pairs, [1.0] * len(pairs))


def sparse_flow(
    frames: Float[np.ndarray, "time y x"], *, pairs: int = 3, smoothing_px: float | None = None, corners: int = 1000
) -> Float[np.ndarray, "2 y x"]:
    """The motion of corners of the echoes over the last `pairs` pairs of frames, spread over the grid.

    Corners are tracked from each frame to the next with a pyramid of windows; a track is kept if, tracked back, it ends
    within a pixel of where it began, and if it differs from the median of all by no more than three times the median
    difference. The kept vectors are spread by the Gaussians of `dense_flow`.

    Args:
        frames: rain rate in mm/h, oldest first; NaN where nothing is observed, as for `dense_flow`.
        pairs: how many of the newest pairs of frames to use.
        smoothing_px: standard deviation of the narrowest Gaussian; by default a tenth of the shorter side, at least 4.
        corners: at most so many in a pair.

    Returns:
        Displacement (y, x) in pixels per step; 0 where nothing could be tracked.

    Source: Lucas and Kanade 1981 with the pyramid of Bouguet 2001 as `cv2.calcOpticalFlowPyrLK`; Shi and Tomasi 1994
    as `cv2.goodFeaturesToTrack`.
    """
    height, width = frames.shape[1:]
    enlarge = min(4, -(-_ENLARGED_BELOW // min(height, width)))
    found = np.zeros((2, height, width), np.float32)
    chosen = pairs_of(frames, pairs)
    if not chosen or min(height, width) * enlarge < _SMALLEST:
        return found
    tracks = [_tracked(frames, pair, enlarge, corners) for pair in chosen]
    start, moved = (np.concatenate(parts) / enlarge for parts in zip(*tracks, strict=True))
    if not len(start):
        return found
    off = np.linalg.norm(moved - np.median(moved, axis=0), axis=1)
    kept = off <= 3 * max(float(np.median(off)), 0.3)
    cells = np.clip(start[kept].astype(int), 0, [width - 1, height - 1])
    sums = np.zeros((height, width, 3), np.float32)
    np.add.at(sums, (cells[:, 1], cells[:, 0]), np.concatenate([moved[kept], np.ones((kept.sum(), 1))], axis=1))
    flow = _spread(sums, smoothing_px or max(4.0, min(height, width) / 10), prior=_PRIOR * 0.02)
    return np.ascontiguousarray(flow.transpose(2, 0, 1)[::-1], np.float32)


def _tracked(frames: np.ndarray, pair: Pair, enlarge: int, corners: int) -> tuple[np.ndarray, np.ndarray]:
    """Where corners are (x, y), and how far they move in a step, in pixels of the enlarged grid."""
    nothing = np.zeros((0, 2), np.float32)
    before, after = (_image(compared(frames[number], pair), enlarge) for number in (pair.before, pair.after))
    where = None if pair.weight is None else _enlarged((pair.weight > 0.5).astype(np.uint8), enlarge)
    points = cv2.goodFeaturesToTrack(before, corners, qualityLevel=0.01, minDistance=4, blockSize=5, mask=where)
    if points is None:
        return nothing, nothing
    levels, start = _levels(before), np.asarray(points, np.float32)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy(), winSize=(31, 31), maxLevel=levels)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, there.copy(), winSize=(31, 31), maxLevel=levels)
    points, there, back = (np.asarray(p).reshape(-1, 2) for p in (points, there, back))
    good = (np.ravel(ok) == 1) & (np.ravel(ok_back) == 1) & (np.linalg.norm(points - back, axis=1) < 1)
    moved = (there - points)[good]
    return points[good], moved if pair.steps == 1 else moved / pair.steps


def _enlarged(values: np.ndarray, enlarge: int) -> np.ndarray:
    return np.asarray(np.repeat(np.repeat(values, enlarge, axis=0), enlarge, axis=1))


def _levels(image: np.ndarray) -> int:
    """Pyramid levels above the image down to about 32 pixels."""
    return max(0, int(np.log2(min(image.shape[:2]) / _SMALLEST)))


def _image(frame: np.ndarray, enlarge: int) -> np.ndarray:
    """8-bit reflectivity by Marshall and Palmer, 0 to 52.5 dBZ."""
    dbz = reflectivity(np.maximum(np.nan_to_num(frame), 1e-3))
    image = np.clip(dbz * (255.0 / _MAX_DBZ), 0, 255).astype(np.uint8)
    size = (frame.shape[1] * enlarge, frame.shape[0] * enlarge)
    return image if enlarge == 1 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def _smooth(flow: np.ndarray, frame: np.ndarray, sigma: float, believed: np.ndarray | None) -> np.ndarray:
    """The flow smoothed over rain, as far as it is believed, from the widest Gaussian to that of `sigma`."""
    wet = (np.nan_to_num(frame) > _WET_MM_H).astype(np.float32)[..., None]
    if not wet.any():
        wet = np.ones_like(wet)
    if believed is not None:
        wet = wet * believed[..., None]
    return _spread(np.concatenate([flow * wet, wet], axis=-1).astype(np.float32), sigma, prior=_PRIOR)


def _spread(weighted: np.ndarray, sigma: float, *, prior: float) -> np.ndarray:
    """Weighted vectors and their weights (y, x, 3) as a smooth flow, from the widest Gaussian to that of `sigma`."""
    total = weighted.sum(axis=(0, 1))
    if not total[2] > 0:
        return np.zeros((*weighted.shape[:2], 2), np.float32)  # no rain was seen twice
    filled = np.broadcast_to(total[:2] / total[2], (*weighted.shape[:2], 2))
    widest = int(np.log2(max(min(weighted.shape[:2]) / sigma, 1.0)))
    for doublings in range(widest, -1, -1):
        near = _blur(weighted, sigma, 2**doublings)
        filled = (near[..., :2] + prior * filled) / (near[..., 2:] + prior)
    return np.asarray(filled)


def _blur(values: np.ndarray, sigma: float, reduce: int) -> np.ndarray:
    """A Gaussian of `reduce` times `sigma`, computed on a grid as many times smaller: as smooth, and quick."""
    height, width = values.shape[:2]
    small = cv2.resize(values, (-(-width // reduce), -(-height // reduce)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma), (width, height)))
