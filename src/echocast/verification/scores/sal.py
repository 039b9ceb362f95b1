"""SAL: structure, amplitude and location of a frame's rain, averaged over frames.

With domain means D and the rain's centres of mass x over a domain of diagonal d, and objects n (connected pixels, also
across corners, of at least 1/15 of the 95th percentile of the frame's rates of 0.1 mm/h or more) with rain R_n, maximum
M_n, centre x_n:

- sal_amplitude = (D_f - D_o) / ((D_f + D_o) / 2), -2 to 2: too little to too much rain;
- sal_structure = (V_f - V_o) / ((V_f + V_o) / 2) with V = sum R_n (R_n / M_n) / sum R_n, -2 to 2: too peaked to too
  flat;
- sal_location = |x_f - x_o| / d + 2 |r_f - r_o| / d with r = sum R_n |x - x_n| / sum R_n, 0 to 2.

Positive and negative values cancel in a mean, so sal_structure_absolute and sal_amplitude_absolute are the means of the
absolute values. A frame that is forecast or observed dry (below 0.1 mm/h everywhere) has no SAL and is left out. A
pixel that does not count is dry in both fields.

By hand: one square of 4 pixels with 2 mm/h forecast, one with 1 mm/h observed, at the same place: amplitude
(2 - 1) / 1.5 = 2/3, structure 0 (V = R / M = 4 for both) and location 0.

Source: Wernli et al. 2008, doi:10.1175/2008MWR2415.1; Wernli et al. 2009, doi:10.1175/2009WAF2222271.1, for the
threshold. pysteps cuts objects at their ridges and drops those under 50 pixels; for separate cells both agree.

    >>> import numpy as np
    >>> rain = np.zeros((1, 1, 12, 12), np.float32); rain[..., 4:6, 4:6] = 1
    >>> round(float(values(statistics(2 * rain, rain))["sal_amplitude"][0]), 4)
    0.6667
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from echocast.verification.base import Score, Sums, ratio, valid_pixels

SCORES = {
    "sal_structure": Score("SAL structure", 0.0, abbreviation="S"),
    "sal_amplitude": Score("SAL amplitude", 0.0, abbreviation="A"),
    "sal_location": Score("SAL location", 0.0, abbreviation="L"),
    "sal_structure_absolute": Score("Mean absolute SAL structure", 0.0),
    "sal_amplitude_absolute": Score("Mean absolute SAL amplitude", 0.0),
}
_WET_MM_H = 0.1
_FACTOR, _QUANTILE = 1 / 15, 0.95


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (SAL has its own)
) -> Sums:
    """Sums of each frame's components, and the number of frames that have them, by lead."""
    counts = valid_pixels(forecast, observed)
    sums: Sums = {name: np.zeros(forecast.shape[1]) for name in ("frames", *SCORES)}
    diagonal = float(np.hypot(*forecast.shape[-2:]))
    for case, lead in np.ndindex(*forecast.shape[:2]):
        valid = counts[case, lead]
        pair = [np.where(valid, rain[case, lead], 0.0).astype(np.float64) for rain in (forecast, observed)]
        if min(rain.max() for rain in pair) < _WET_MM_H:
            continue
        structure, amplitude, location = _components(pair[0], pair[1], diagonal)
        parts = (1.0, structure, amplitude, location, abs(structure), abs(amplitude))
        for name, part in zip(("frames", *SCORES), parts, strict=True):
            sums[name][lead] += part
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The components, each (lead,)."""
    return {name: ratio(sums[name], sums["frames"]) for name in SCORES}


def _components(forecast: np.ndarray, observed: np.ndarray, diagonal: float) -> tuple[float, float, float]:
    total_f, total_o = forecast.sum(), observed.sum()
    centre_f, centre_o = (np.array(ndimage.center_of_mass(rain)) for rain in (forecast, observed))
    volume_f, spread_f = _objects(forecast, centre_f)
    volume_o, spread_o = _objects(observed, centre_o)
    location = (np.linalg.norm(centre_f - centre_o) + 2 * abs(spread_f - spread_o)) / diagonal
    structure = (volume_f - volume_o) / (0.5 * (volume_f + volume_o))
    return float(structure), float((total_f - total_o) / (0.5 * (total_f + total_o))), float(location)


def _objects(rain: np.ndarray, centre: np.ndarray) -> tuple[float, float]:
    """The objects' mean scaled volume, and their mean distance from the centre of all rain, both weighted by rain."""
    least = _FACTOR * np.quantile(rain[rain >= _WET_MM_H], _QUANTILE)
    labels, count = ndimage.label(rain >= least, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    amount = ndimage.sum_labels(rain, labels, numbers)
    peak = ndimage.maximum(rain, labels, numbers)
    distance = np.linalg.norm(np.array(ndimage.center_of_mass(rain, labels, numbers)) - centre, axis=1)
    return float((amount * amount / peak).sum() / amount.sum()), float((amount * distance).sum() / amount.sum())
