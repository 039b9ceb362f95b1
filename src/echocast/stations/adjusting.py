"""The rain of a radar adjusted by gauges, for one interval in which both measured.

- ``bias``: mean field bias, the sum of the gauges over the sum of the radar at them, everywhere the same factor.
- ``range``: a factor whose logarithm is a linear function of the distance from the radar, as far as the gauges reach.
- ``merging``: conditional merging: the radar, plus the kriged difference of gauge and radar.
- ``drift``: kriging of the gauges with the radar as external drift.

The result is a factor in each cell: where the radar saw no rain nothing can be multiplied, and none is made. A factor
is at most `Method.most` and at least one over it. With fewer than `LEAST_GAUGES` gauges, or less than `LEAST_MM` at the
gauges or the radar in the mean, nothing is learned and the factor is 1.

Source: Smith and Krajewski 1991, doi:10.1175/1520-0450(1991)030<0397:EOTMFB>2.0.CO;2 (bias); Michelson and Koistinen
2000, doi:10.1016/S1464-1909(00)00088-9 (range; ours is linear); Sinclair and Pegram 2005, doi:10.1002/asl.85 (merging);
Goudenhoofdt and Delobbe 2009, doi:10.5194/hess-13-195-2009, for all of them compared.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from echocast.errors import DataError
from echocast.stations.kriging import Covariance, kriged

METHODS = ("bias", "range", "merging", "drift")
DEFAULT_COVARIANCE = Covariance(20.0, 0.1)
LEAST_GAUGES = 3
LEAST_MM = 0.1


@dataclass(frozen=True, kw_only=True)
class Method:
    """How to adjust.

    Args:
        name: one of `METHODS`.
        covariance: for ``merging`` and ``drift``.
        most: the largest factor.
    """

    name: str = "merging"
    covariance: Covariance = DEFAULT_COVARIANCE
    most: float = 10.0

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise DataError(f"there is no adjustment {self.name!r}; there are: {', '.join(METHODS)}")
        if not (self.covariance.range_km > 0 and self.covariance.nugget >= 0 and self.most >= 1):
            raise DataError(
                f"range_km={self.covariance.range_km:g} nugget={self.covariance.nugget:g} most={self.most:g}: the range"
                " must be above 0, the nugget not negative, and the largest factor at least 1"
            )


@dataclass(frozen=True)
class Layout:
    """Where gauges and cells lie: x and y in km on one plane, and of each its distance from the radar in km.

    The distances are only for ``range``, and None without a radar's place.
    """

    gauges_km: Float[np.ndarray, "gauge 2"]
    cells_km: Float[np.ndarray, "cell 2"]
    gauge_range_km: Float[np.ndarray, "gauge"] | None = None
    cell_range_km: Float[np.ndarray, "cell"] | None = None


def factors(
    gauge: Float[np.ndarray, "gauge"],
    radar_at: Float[np.ndarray, "gauge"],
    radar: Float[np.ndarray, "cell"],
    layout: Layout,
    method: Method,
) -> Float[np.ndarray, "cell"]:
    """What the radar's rain is multiplied by in each cell.

    Args:
        gauge: amounts (mm) of the gauges in an interval, NaN where not known.
        radar_at: amounts of the radar at the gauges.
        radar: amounts of the radar in each cell.
        layout: where they lie.
        method: how to adjust.
    """
    known = np.isfinite(gauge) & np.isfinite(radar_at)
    g, r = gauge[known], radar_at[known]
    if known.sum() < LEAST_GAUGES or min(g.mean(), r.mean()) < LEAST_MM:
        return np.ones(len(radar))
    if method.name == "bias":
        made = np.full(len(radar), g.sum() / r.sum())
    elif method.name == "range":
        made = _by_range(g, r, known, layout)
    else:
        made = _over(adjusted(g, r, radar, layout.gauges_km[known], layout.cells_km, method), radar)
    return np.asarray(np.clip(made, 1 / method.most, method.most))


def adjusted(
    gauge: Float[np.ndarray, "gauge"],
    radar_at: Float[np.ndarray, "gauge"],
    radar: Float[np.ndarray, "cell"],
    gauges_km: Float[np.ndarray, "gauge 2"],
    cells_km: Float[np.ndarray, "cell 2"],
    method: Method,
) -> Float[np.ndarray, "cell"]:
    """The amounts of ``merging`` or ``drift``, not below 0; NaN where the radar is."""
    if method.name == "merging":
        made = radar + kriged(gauge - radar_at, gauges_km, cells_km, method.covariance)
    else:
        made = kriged(gauge, gauges_km, cells_km, method.covariance, drift=(radar_at, radar))
    return np.asarray(np.maximum(made, 0.0))


def _over(amounts: np.ndarray, radar: np.ndarray) -> np.ndarray:
    """The amounts as factors of the radar's; 1 where it saw nothing, or did not look."""
    wet = np.isfinite(radar) & (radar > 0)
    return np.asarray(np.divide(amounts, radar, out=np.ones(len(radar)), where=wet))


def _by_range(gauge: np.ndarray, radar_at: np.ndarray, known: np.ndarray, layout: Layout) -> np.ndarray:
    """10^(a + b d) by least squares, with the distance d kept within that of the gauges."""
    if layout.gauge_range_km is None or layout.cell_range_km is None:
        raise DataError("the adjustment by range needs the place of the radar; give site=LONGITUDE,LATITUDE")
    distance = layout.gauge_range_km[known]
    wet = (gauge >= LEAST_MM) & (radar_at >= LEAST_MM)
    if wet.sum() < LEAST_GAUGES or np.ptp(distance[wet]) == 0:
        return np.ones(len(layout.cell_range_km))
    slope, start = np.polyfit(distance[wet], np.log10(gauge[wet] / radar_at[wet]), 1)
    within = np.clip(layout.cell_range_km, distance[wet].min(), distance[wet].max())
    return np.asarray(10 ** (start + slope * within))
