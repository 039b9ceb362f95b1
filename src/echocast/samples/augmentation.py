"""Windows varied at random, so that less of them is learned by heart; everything comes from a generator.

>>> frames = np.arange(8.0, dtype=np.float32).reshape(2, 1, 2, 2)
>>> at_an_angle(frames, math.pi)[0, 0].tolist()
[[3.0, 2.0], [1.0, 0.0]]
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor


def flipped(windows: Shaped[Tensor, "batch time channel y x"], rng: np.random.Generator) -> Tensor:
    """A batch mirrored along y, x and the diagonal, each by the toss of a coin."""
    return flipped_alike(windows, {}, rng)[0]


def flipped_alike(
    windows: Shaped[Tensor, "batch time channel y x"], others: Mapping[str, Tensor], rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same of a batch and of what lies on its grid, such as its covariates."""
    changes: list[Callable[[Tensor], Tensor]] = [lambda w: w.flip(-1), lambda w: w.flip(-2)]
    if windows.shape[-1] == windows.shape[-2]:
        changes.append(lambda w: w.transpose(-1, -2))
    varied = dict(others)
    for change in changes:
        if rng.random() < 0.5:
            windows = change(windows)
            varied = {name: change(values) for name, values in varied.items()}
    return windows, varied


def recalibrated(
    rain: Float[np.ndarray, "*shape y x"], rng: np.random.Generator, *, sigma: float
) -> Float[np.ndarray, "*shape y x"]:
    """Rain times a factor whose logarithm has the standard deviation `sigma`."""
    return np.asarray(rain * np.float32(np.exp(rng.normal(0.0, sigma))))


def turned(frames: Float[np.ndarray, "*shape y x"], rng: np.random.Generator) -> Float[np.ndarray, "*shape y x"]:
    """Every other window turned by an angle, if it is square."""
    if frames.shape[-1] != frames.shape[-2] or rng.random() < 0.5:
        return frames
    return at_an_angle(frames, rng.uniform(0.0, math.tau))


def at_an_angle(frames: Float[np.ndarray, "*shape y x"], angle: float) -> Float[np.ndarray, "*shape y x"]:
    """Square frames turned about their middle, in radians; cells take their nearest value, or NaN beyond the corners.

    No mean is taken, so rain keeps its peaks.
    """
    side = frames.shape[-1]
    along = np.arange(side) - (side - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    rows = np.rint(cos * along[:, None] + sin * along + (side - 1) / 2).astype(int)
    columns = np.rint(cos * along - sin * along[:, None] + (side - 1) / 2).astype(int)
    outside = (rows < 0) | (rows >= side) | (columns < 0) | (columns >= side)
    values = frames[..., rows.clip(0, side - 1), columns.clip(0, side - 1)]
    return np.where(outside, np.float32(np.nan), values)


def padded(frames: Float[np.ndarray, "*shape y x"], size: int) -> Float[np.ndarray, "*shape rows columns"]:
    """Frames filled up with NaN to `size` rows and columns where they have fewer."""
    short = [(0, max(size - n, 0)) for n in frames.shape[-2:]]
    return np.pad(frames, [(0, 0)] * (frames.ndim - 2) + short, constant_values=np.nan)
