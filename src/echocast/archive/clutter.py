"""Where a radar sees what is no rain: cells whose mean over a month stands out, found by K-means.

The rain of a month smooths out, the echoes of hills, masts and sea do not. The monthly means of each cell (as grey
levels of dBZ, so that a few downpours do not count more than steady echoes) are put into clusters of like level; the
highest cluster is clutter if it stands out of the next by more than `margin` grey levels.

Source: Shi et al. 2015, section 4.2 (the noisy regions found by K-means on the monthly pixel average are removed; how
is not said, so the number of clusters and the margin are this project's).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.cluster.vq import kmeans2

from echocast import fields
from echocast.errors import DataError

LOW_DBZ, HIGH_DBZ = -10.0, 60.0
"""The reflectivities that grey levels 0 and 1 stand for in the paper's pictures."""
CLUSTERS = 3
MARGIN = 0.1
LEAST_FRAMES = 100
"""A month with fewer frames says nothing: its rain has not smoothed out."""

_STRETCH = 256


@dataclass(frozen=True)
class Found:
    """The clutter of one month: its cells and the mean grey levels of the clusters."""

    month: str
    cells: np.ndarray
    levels: tuple[float, ...]


def monthly(field: xr.DataArray, *, clusters: int = CLUSTERS, margin: float = MARGIN) -> list[Found]:
    """The clutter of each month of an archive.

    Args:
        field: an archive's field, read a stretch at a time.
        clusters: into how many levels the cells are put.
        margin: by how much, in grey levels (0 to 1), the highest must stand out.

    Raises:
        DataError: fewer than two clusters, or too few frames.
    """
    if clusters < 2:
        raise DataError(f"clusters={clusters}: at least two are needed, clutter and the rest")
    found = []
    for month in np.unique(field.time.values.astype("datetime64[M]")):
        frames = np.flatnonzero((field.time.values.astype("datetime64[M]") == month) & _observed(field))
        if len(frames) < LEAST_FRAMES:
            continue
        mean = _mean(field, frames)
        seen = np.isfinite(mean)
        if seen.any():
            cells, levels = _highest(mean[seen], clusters, margin)
            marked = np.zeros(mean.shape, bool)
            marked[seen] = cells
            found.append(Found(str(month), marked, levels))
    if not found:
        raise DataError(f"no month has {LEAST_FRAMES} frames; clutter cannot be told from rain by so few")
    return found


def mask(field: xr.DataArray, found: list[Found]) -> xr.DataArray:
    """Cells that are clutter in more than half of the months, as a field of ones and zeros on the same grid."""
    share = np.mean([one.cells for one in found], axis=0)
    return fields.make(
        (share > 0.5)[None].astype(np.float32),
        time=field.time.values[:1],
        y=field.y.values,
        x=field.x.values,
        crs=fields.crs(field),
        attrs={"source": "clutter found by echocast", "comment": "1 is clutter, 0 is not; the unit means nothing here"},
    )


def _observed(field: xr.DataArray) -> np.ndarray:
    return np.asarray(field["observed"].values if "observed" in field.coords else np.ones(field.sizes["time"], bool))


def _mean(field: xr.DataArray, frames: np.ndarray) -> np.ndarray:
    total = np.zeros(field.shape[1:], np.float64)
    count = np.zeros(field.shape[1:], np.int64)
    for start in range(0, len(frames), _STRETCH):
        part = frames[start : start + _STRETCH]
        values = field[part].values
        grey = (fields.reflectivity(values) - LOW_DBZ) / (HIGH_DBZ - LOW_DBZ)
        grey = np.where(values > 0, np.clip(grey, 0.0, 1.0), np.where(np.isnan(values), np.nan, 0.0))
        seen = np.isfinite(grey)
        total += np.where(seen, grey, 0.0).sum(0)
        count += seen.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _highest(levels: np.ndarray, clusters: int, margin: float) -> tuple[np.ndarray, tuple[float, ...]]:
    """Which values are in the highest cluster, none if it does not stand out; and the clusters' means."""
    if np.ptp(levels) < 1e-9:
        return np.zeros(levels.shape, bool), (float(levels[0]),)
    starts = np.linspace(levels.min(), levels.max(), clusters)[:, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        means, labels = kmeans2(levels[:, None], starts, iter=50, minit="matrix", missing="warn")
    order = [n for n in np.argsort(means[:, 0]) if (labels == n).any()]
    if len(order) < 2:
        return np.zeros(levels.shape, bool), (float(levels.mean()),)
    stands_out = means[order[-1], 0] - means[order[-2], 0] > margin
    return (labels == order[-1]) & stands_out, tuple(float(means[n, 0]) for n in order)
