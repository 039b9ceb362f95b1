"""Rain parted into scales: bands, each about twice as coarse as the one before, whose sum is the field.

Rain rates R are taken as 10 log10(1 + R / 0.1 mm/h), so that a few strong cells do not decide alone.
"""

import math
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float

_SOFT_MM_H = 0.1
_DB = 10.0 / math.log(10.0)
_WIDEST_KM = 128.0
_LEAST_ACROSS = 4
"""The widest window fits so often into the shorter side."""


def to_db(rain: np.ndarray) -> np.ndarray:
    """Rain rates in decibels above 0.1 mm/h, softened so that no rain is 0."""
    soft = np.asarray(1.0 + np.maximum(rain, 0.0) / _SOFT_MM_H, np.float32)
    return np.asarray(_DB * np.log(soft), np.float32)  # in a third of the time of log10


def from_db(decibels: np.ndarray) -> np.ndarray:
    """The rain rates of `to_db`; 0 where it would be negative."""
    return np.asarray(_SOFT_MM_H * (np.exp(np.maximum(decibels, 0.0) / _DB) - 1.0), np.float32)


def windows(shape: tuple[int, int], grid_km: float) -> list[int]:
    """The widths (cells) of the windows that part one band from the next, the narrowest first; at least one."""
    found = [3]
    while (2 * found[-1] - 1) * grid_km <= _WIDEST_KM and (2 * found[-1] - 1) * _LEAST_ACROSS <= min(shape):
        found.append(2 * found[-1] - 1)
    return found


def wavelengths_km(widths: list[int], grid_km: float) -> Float[np.ndarray, " band"]:
    """About the wavelength of each band, the finest first."""
    edges = np.array([1.0, *widths, 2.0 * widths[-1]])
    return np.asarray(2.0 * grid_km * np.sqrt(edges[:-1] * edges[1:]))


def smooth(field: Float[np.ndarray, "y x"], width: int) -> Float[np.ndarray, "y x"]:
    """The mean over a window, twice."""
    once = cv2.blur(field, (width, width), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.blur(once, (width, width), borderType=cv2.BORDER_REFLECT_101))


def parted(field: Float[np.ndarray, "y x"], widths: list[int]) -> Float[np.ndarray, "band y x"]:
    """The bands of a field without NaN, the finest first; their sum is the field."""
    levels = [field, *(smooth(field, width) for width in widths)]
    return np.stack([*(fine - coarse for fine, coarse in pairwise(levels)), levels[-1]])


def weighted(
    field: Float[np.ndarray, "y x"], widths: list[int], weights: Float[np.ndarray, " band"]
) -> Float[np.ndarray, "y x"]:
    """The sum of the bands of a field, each times its weight."""
    made = weights[0] * field
    for width, finer, coarser in zip(widths, weights[:-1], weights[1:], strict=True):
        if coarser != finer:
            made = made + (coarser - finer) * smooth(field, width)
    return np.asarray(made, np.float32)


def correlations(
    one: Float[np.ndarray, "y x"], other: Float[np.ndarray, "y x"], widths: list[int]
) -> Float[np.ndarray, " band"]:
    """The correlation of two fields in each band, over the cells known in both; NaN where a band is constant."""
    known: Bool[np.ndarray, "y x"] = np.isfinite(one) & np.isfinite(other)
    pairs = [parted(to_db(np.where(known, rain, 0.0)), widths)[:, known] for rain in (one, other)]
    away = [bands - bands.mean(axis=1, keepdims=True) for bands in pairs]
    spread = [np.sqrt((bands**2).sum(axis=1)) for bands in away]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((away[0] * away[1]).sum(axis=1) / (spread[0] * spread[1]))
