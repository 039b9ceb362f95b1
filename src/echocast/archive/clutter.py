"""Ground clutter: cells whose monthly mean is far above that of the others, found by K-means.

Over a month rain averages out, the echoes of hills, masts and sea do not. The monthly means of all cells (of grey
levels, which are linear in dBZ, so that a few downpours do not count more than steady echoes) are put into clusters;
the highest cluster is clutter if its mean exceeds that of the next by more than `margin` grey levels.

Source: Shi et al. 2015, section 4.2 (noisy regions found by K-means on the monthly pixel average are removed; the paper
does not say how, so the number of clusters and the margin are this project's).
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
MIN_FRAMES = 100
"""A month with fewer frames is left out: its rain has not averaged out."""

_PART = 256


@dataclass(frozen=True)
class MonthlyClutter:
    """The clutter of one month: which cells (y, x) it covers, and the mean grey level of each cluster."""

    month: str
    cells: np.ndarray
    cluster_means: tuple[float, ...]


def monthly(field: xr.DataArray, *, clusters: int = CLUSTERS, margin: float = MARGIN) -> list[MonthlyClutter]:
    """The clutter of each month of an archive.

    Args:
        field: an archive's field, read a part at a time.
        clusters: how many clusters K-means makes; at least 2.
        margin: by how many grey levels (0 to 1) the mean of the highest cluster must exceed that of the next.

    Returns:
        One for each month with enough frames.

    Raises:
        DataError: fewer than two clusters, or too few frames.
    """
    if clusters < 2:
        raise DataError(f"clusters={clusters}: at least 2 are needed, clutter and the rest")
    found = []
    for month in np.unique(field.time.values.astype("datetime64[M]")):
        frames = np.flatnonzero((field.time.values.astype("datetime64[M]") == month) & _observed(field))
        if len(frames) < MIN_FRAMES:
            continue
        mean = _mean(field, frames)
        known = np.isfinite(mean)
        if known.any():
            cells, means = _highest(mean[known], clusters, margin)
            marked = np.zeros(mean.shape, bool)
            marked[known] = cells
            found.append(MonthlyClutter(str(month), marked, means))
    if not found:
        raise DataError(f"no month has {MIN_FRAMES} frames; with fewer, clutter cannot be told from rain")
    return found


def mask(field: xr.DataArray, found: list[MonthlyClutter]) -> xr.DataArray:
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
    for start in range(0, len(frames), _PART):
        part = frames[start : start + _PART]
        values = field[part].values
        grey = (fields.reflectivity(values) - LOW_DBZ) / (HIGH_DBZ - LOW_DBZ)
        grey = np.where(values > 0, np.clip(grey, 0.0, 1.0), np.where(np.isnan(values), np.nan, 0.0))
        known = np.isfinite(grey)
        total += np.where(known, grey, 0.0).sum(0)
        count += known.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _highest(greys: np.ndarray, clusters: int, margin: float) -> tuple[np.ndarray, tuple[float, ...]]:
    """Which values are in the highest cluster, none if the margin is too small; and the means of the clusters."""
    if np.ptp(greys) < 1e-9:
        return np.zeros(greys.shape, bool), (float(greys[0]),)
    starts = np.linspace(greys.min(), greys.max(), clusters)[:, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        means, labels = kmeans2(greys[:, None], starts, iter=50, minit="matrix", missing="warn")
    order = [n for n in np.argsort(means[:, 0]) if (labels == n).any()]
    if len(order) < 2:
        return np.zeros(greys.shape, bool), (float(greys.mean()),)
    separate = means[order[-1], 0] - means[order[-2], 0] > margin
    return (labels == order[-1]) & separate, tuple(float(means[n, 0]) for n in order)
