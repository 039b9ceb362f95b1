"""A motion refined until it carries several past frames onto the newest: right over many steps, not over one.

The flow between two neighbouring frames is a fraction of a pixel uncertain, and is drawn towards slow motion where
echoes are smooth. Carried on for 18 steps the error is many pixels. `refined` changes a first motion w0 by a smooth
correction c, given at nodes some 50 km apart, so that

    E(c) = mean over k of mean |image(t) - image(t - k) carried k steps along w0 + c|
           + smoothness * (mean |difference of c between neighbouring nodes|^2 + a tenth of mean |c|^2)

is least: the frames k = 1, 2, 3 steps back are carried by the same semi-Lagrangian scheme as a forecast. Images are
logarithms of rain rates, slightly smoothed; only cells that both frames observed count.

    >>> import numpy as np
    >>> y, x = np.mgrid[:96, :96].astype(np.float32)
    >>> frames = np.stack([20 * np.exp(-((y - 48) ** 2 + (x - 30 - 3 * t) ** 2) / 200) for t in range(5)])
    >>> motion = refined(frames, np.zeros((2, 96, 96), np.float32), node_px=24)
    >>> bool(abs(motion[1, 48, 42] - 3) < 0.1)
    True
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from echocast.motion.advection import departure_points, sample

_DRY_MM_H = 0.1
_FEWEST_NODES = 3
_KEPT_STEPS = 8
"""Past steps that the minimisation (L-BFGS) remembers."""
_LEAST_WET = 0.01
"""The error is divided by the wet share of the newest frame, but by no less than this."""


def refined(
    frames: Float[np.ndarray, "time y x"],
    first: Float[np.ndarray, "2 y x"],
    *,
    node_px: float,
    coarsen: int = 1,
    steps_back: int = 3,
    smoothness: float = 0.1,
    iterations: int = 8,
) -> Float[np.ndarray, "2 y x"]:
    """A motion that carries the frames before the newest onto it.

    Args:
        frames: rain rate in mm/h, oldest first; NaN where nothing is observed.
        first: the motion to begin with: displacement (y, x) in pixels per step.
        node_px: distance in pixels between the places where the correction is given; bicubic in between.
        coarsen: pixels along a side of the cells that the images are made of.
        steps_back: from how many steps back frames are carried, at most.
        smoothness: weight of the correction's smoothness, per squared pixel of displacement.
        iterations: of the minimisation, at most.

    Returns:
        The refined motion; `first` where there are fewer than two frames, or no rain in the newest.

    Source: own; the energy is that of variational echo tracking (Laroche and Zawadzki 1995,
    doi:10.1175/1520-0426(1995)012<0721:RORCFS>2.0.CO;2; Germann and Zawadzki 2002) with frames of several steps back
    and an error that grows linearly where they differ much.
    """
    made = refined_cases(
        frames[None],
        first[None],
        node_px=node_px,
        coarsen=coarsen,
        steps_back=steps_back,
        smoothness=smoothness,
        iterations=iterations,
    )
    return np.asarray(made[0])


def refined_cases(
    frames: Float[np.ndarray, "case time y x"],
    first: Float[np.ndarray, "case 2 y x"],
    *,
    node_px: float,
    coarsen: int = 1,
    steps_back: int = 3,
    smoothness: float = 0.1,
    iterations: int = 8,
) -> Float[np.ndarray, "case 2 y x"]:
    """`refined` of several cases in one minimisation, to learn from: several times as fast as one after the other.

    The sum of their energies is minimised, so the motion of a case differs a little from that of the case alone.

    Args:
        frames: as for `refined`.
        first: as for `refined`.
        node_px: as for `refined`, as all that follow.
        coarsen: see there.
        steps_back: see there.
        smoothness: see there.
        iterations: see there.
    """
    back = min(steps_back, frames.shape[1] - 1)
    wet = (np.nan_to_num(frames[:, -1]) > _DRY_MM_H).any(axis=(1, 2))
    if back < 1 or not wet.any():
        return first
    height, width = frames.shape[-2:]
    size = (-(-height // coarsen), -(-width // coarsen))
    pairs = [_image(frame, size) for case in frames[wet, -back - 1 :] for frame in case]
    shape = (-1, back + 1, 1, *size)
    images, seen = (torch.from_numpy(np.stack(parts)).view(shape) for parts in zip(*pairs, strict=True))
    begun = torch.from_numpy(np.stack([_resized(one, size) for one in first[wet]])) / coarsen
    nodes = tuple(max(_FEWEST_NODES, round(n / node_px)) for n in (height, width))
    correction = _minimised(images, seen, begun, nodes, smoothness * coarsen**2, iterations)
    made = first.copy()
    made[wet] = [_resized(one, (height, width)) for one in ((begun + correction) * coarsen).numpy()]
    return made


def _minimised(
    images: Float[Tensor, "case time 1 rows columns"],
    seen: Float[Tensor, "case time 1 rows columns"],
    begun: Float[Tensor, "case 2 rows columns"],
    nodes: Sequence[int],
    smoothness: float,
    iterations: int,
) -> Float[Tensor, "case 2 rows columns"]:
    """The correction with the least energy that is found, on the grid of the images."""
    size = (begun.shape[-2], begun.shape[-1])
    with torch.inference_mode(False), torch.enable_grad():
        images, seen, begun = images.clone(), seen.clone(), begun.clone()  # none made under inference mode
        at_nodes = begun.new_zeros(len(begun), 2, *nodes).requires_grad_()
        search = torch.optim.LBFGS(
            [at_nodes], max_iter=iterations, history_size=_KEPT_STEPS, line_search_fn="strong_wolfe"
        )

        def energy() -> float:
            search.zero_grad()
            spread = interpolate(at_nodes, size=size, mode="bicubic", align_corners=True)
            total = _misfit(images, seen, begun + spread) + smoothness * _roughness(at_nodes)
            total.backward()  # type: ignore[no-untyped-call]
            return float(total.detach())

        search.step(energy)  # type: ignore[no-untyped-call]
    return interpolate(at_nodes.detach(), size=size, mode="bicubic", align_corners=True)


def _misfit(images: Tensor, seen: Tensor, motion: Float[Tensor, "case 2 rows columns"]) -> Tensor:
    """How far frames carried along the motion are from the newest, in the mean over the wet area; summed over cases."""
    back = images.shape[1] - 1
    wet = (images[:, -1] > 0).float().mean(dim=(1, 2, 3)).clamp(min=_LEAST_WET)
    total = motion.new_zeros(len(motion))
    for k, points in enumerate(departure_points(motion, back), start=1):
        off = sample(images[:, -1 - k], points, "border") - images[:, -1]
        both = sample(seen[:, -1 - k], points, "zeros") * seen[:, -1]
        total = total + (((off.square() + 1.0).sqrt() - 1.0) * both).mean(dim=(1, 2, 3))
    return (total / (wet * back)).sum()


def _roughness(at_nodes: Float[Tensor, "case 2 rows columns"]) -> Tensor:
    along, across = at_nodes.diff(dim=-2), at_nodes.diff(dim=-1)
    return (along.square().mean() + across.square().mean() + 0.1 * at_nodes.square().mean()) * len(at_nodes)


def _image(frame: Float[np.ndarray, "y x"], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Decibels above drizzle on coarser cells, smoothed by a Gaussian of one cell; and the share that was observed."""
    observed = np.isfinite(frame)
    decibels = np.where(observed, 10.0 * np.log10(np.maximum(np.nan_to_num(frame), _DRY_MM_H) / _DRY_MM_H), 0.0)
    coarse = cv2.resize(decibels.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    share = cv2.resize(observed.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(coarse, (0, 0), 1.0)), np.asarray(share)


def _resized(motion: Float[np.ndarray, "2 y x"], size: tuple[int, int]) -> Float[np.ndarray, "2 rows columns"]:
    coarser = size[0] < motion.shape[1]
    how = cv2.INTER_AREA if coarser else cv2.INTER_LINEAR
    made = cv2.resize(motion.transpose(1, 2, 0), size[::-1], interpolation=how)
    return np.ascontiguousarray(made.transpose(2, 0, 1), np.float32)
