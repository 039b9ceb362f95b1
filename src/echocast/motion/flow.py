"""How rain moves between frames: dense optical flow.

A motion is (2, y, x): displacement along y and along x in pixels per step, forward in time.

    >>> import numpy as np
    >>> still = np.zeros((3, 64, 64), np.float32)
    >>> float(np.abs(dense_flow(still)).max())
    0.0
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float

_SMALLEST = 32
_COMFORTABLE = 128
_WETTEST_DBZ = 52.5
_WET_MM_H = 0.1
_PRIOR = 0.02
"""The share of rain under a Gaussian at which it and the next wider one count the same."""


def dense_flow(
    frames: Float[np.ndarray, "time y x"], *, pairs: int = 3, smoothing_px: float | None = None
) -> Float[np.ndarray, "2 y x"]:
    """The mean motion over the last `pairs` pairs of frames, smooth and filled where it is dry.

    The flow between two frames is the dense inverse search of Kroeger et al. on 8-bit reflectivity, so weak and strong
    echoes both count; small grids are enlarged for it. The mean over pairs is then smoothed by a Gaussian that weighs
    only rain. Where it finds little, a Gaussian twice as wide decides, and so on up to the mean over all rain: dry air
    moves as the nearest rain does, so that rain can arrive there.

    Args:
        frames: rain rate in mm/h, oldest first; NaN counts as dry.
        pairs: how many of the newest pairs of frames to average over.
        smoothing_px: standard deviation of the Gaussian; by default a fortieth of the shorter side, at least 4.

    Returns:
        Displacement (y, x) in pixels per step; 0 for a single frame, dry frames and grids too small to tell.

    Source: Kroeger et al. 2016 (arXiv:1603.03590) as `cv2.DISOpticalFlow`, medium preset, finest scale 0; the
    normalised Gaussian is our own.
    """
    height, width = frames.shape[1:]
    enlarge = min(4, -(-_COMFORTABLE // min(height, width)))
    if len(frames) < 2 or min(height, width) * enlarge < _SMALLEST or not (frames[-pairs - 1 :] > 0).any():
        return np.zeros((2, height, width), np.float32)
    images = [_image(frame, enlarge) for frame in frames[-pairs - 1 :]]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    start = np.zeros((*images[0].shape, 2), np.float32)
    flows = [search.calc(before, after, start.copy()) for before, after in pairwise(images)]
    mean = cv2.resize(np.mean(flows, axis=0), (width, height), interpolation=cv2.INTER_AREA) / enlarge
    smooth = _smooth(mean, frames[-1], smoothing_px or max(4.0, min(height, width) / 40))
    return np.ascontiguousarray(smooth.transpose(2, 0, 1)[::-1], np.float32)


def _image(frame: np.ndarray, enlarge: int) -> np.ndarray:
    """8-bit reflectivity by Marshall and Palmer, 0 to 52.5 dBZ."""
    dbz = 23.01 + 16.0 * np.log10(np.maximum(np.nan_to_num(frame), 1e-3))
    image = np.clip(dbz * (255.0 / _WETTEST_DBZ), 0, 255).astype(np.uint8)
    size = (frame.shape[1] * enlarge, frame.shape[0] * enlarge)
    return image if enlarge == 1 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def _smooth(flow: np.ndarray, frame: np.ndarray, sigma: float) -> np.ndarray:
    """The flow smoothed over rain, from the widest Gaussian to that of `sigma`."""
    wet = (np.nan_to_num(frame) > _WET_MM_H).astype(np.float32)[..., None]
    if not wet.any():
        wet = np.ones_like(wet)
    weighted = np.concatenate([flow * wet, wet], axis=-1).astype(np.float32)
    total = weighted.sum(axis=(0, 1))
    filled = np.broadcast_to(total[:2] / total[2], flow.shape)
    widest = int(np.log2(max(min(frame.shape) / sigma, 1.0)))
    for doublings in range(widest, -1, -1):
        near = _blur(weighted, sigma, 2**doublings)
        filled = (near[..., :2] + _PRIOR * filled) / (near[..., 2:] + _PRIOR)
    return np.asarray(filled)


def _blur(values: np.ndarray, sigma: float, reduce: int) -> np.ndarray:
    """A Gaussian of `reduce` times `sigma`, computed on a grid as many times smaller: as smooth, and quick."""
    height, width = values.shape[:2]
    small = cv2.resize(values, (-(-width // reduce), -(-height // reduce)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma), (width, height)))
