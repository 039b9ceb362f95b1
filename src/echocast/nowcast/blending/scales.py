"""Blending by scale: the NWP takes over coarse scales and fine ones each at its own lead, by recent skill."""

import logging

import numpy as np
from jaxtyping import Float

from echocast.nowcast.blending import bands, linear
from echocast.nowcast.blending.base import Blended, Sources, by_cells, ramp

_TOLD_MIN = 30.0
_MOST_CHANGE = 3.0
"""An amount is at most so many times that of the blend in decibels, and at least that part of it."""
_LEAST_MM_H = 1e-3

log = logging.getLogger(__name__)


def blend(sources: Sources) -> Blended:
    """Nowcast and NWP are blended band by band, in decibels, then given the amounts of the linear blend within windows.

    The weight of a band is the share of the NWP in r^2 / (1 - r^2), r being the correlation with the radar that is to
    be expected at that lead (`echocast.nowcast.blending.skill`). If two leads were asked for it also rises to 1 between
    these, at least linearly. Where the skill cannot be told the blend is linear.

    Source: the weights of Bowler et al. 2006, doi:10.1256/qj.04.100, equations 11 and 12, without noise.
    """
    skill = sources.skill
    if skill is None:
        log.warning("the newest frames are too few or too dry to tell the skill by scale; the blend is linear")
        return linear.blend(sources)
    least = ramp(sources.minutes, sources.between) if sources.is_asked else np.zeros(len(sources.minutes))
    weights = np.stack([np.maximum(skill.weights_at(m), w) for m, w in zip(sources.minutes, least, strict=True)])
    means = np.asarray(weights @ skill.shares)

    def mixed(lead: int, nowcast: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
        # The weight of a cell is the mean weight but near borders; what it is beside that scales every band.
        share = weight / max(float(means[lead]), 1e-6)
        raised = np.clip((weight - means[lead]) / max(1.0 - float(means[lead]), 1e-6), 0.0, 1.0)
        fine, coarse = bands.to_db(nowcast), bands.to_db(model)
        step = np.minimum(share, 1.0) * bands.weighted(coarse - fine, skill.widths, weights[lead])
        made = fine + step + raised * (coarse - fine - step)
        return _with_amounts(bands.from_db(made), (1.0 - weight) * nowcast + weight * model, skill.widths[-1])

    told = "scales: weights by lead and scale from the skill on the newest frames"
    told += f", NWP alone from {sources.between[1]:g} min" if sources.is_asked else ""
    made = by_cells(sources, means, mixed, told, is_slowed=not sources.is_asked)
    return Blended(made.values, made.weight, made.told, {"nwp_weights_by_wavelength": _table(sources, weights)})


def _table(sources: Sources, weights: Float[np.ndarray, "lead band"]) -> str:
    """The weights of each band at every half hour, for the file."""
    assert sources.skill is not None  # the weights came from it
    rows = [n for n, m in enumerate(sources.minutes) if m % _TOLD_MIN == 0]
    told = [f"at {' '.join(f'{sources.minutes[n]:g}' for n in rows)} min"]
    for band, wavelength in enumerate(sources.skill.wavelengths_km):
        told.append(f"{wavelength:.3g} km: {' '.join(f'{weights[n, band]:.2f}' for n in rows)}")
    return "; ".join(told)


def _with_amounts(rain: np.ndarray, amounts: np.ndarray, width: int) -> np.ndarray:
    """Rain with the amounts of another field within some windows: means of decibels rain less than means of rates."""
    has, wanted = (bands.smooth(one.astype(np.float32), width) for one in (rain, amounts))
    change = np.clip(wanted / np.maximum(has, _LEAST_MM_H), 1.0 / _MOST_CHANGE, _MOST_CHANGE)
    return np.asarray(rain * np.where(has > _LEAST_MM_H, change, 1.0), np.float32)
