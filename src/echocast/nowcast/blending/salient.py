"""Salient blending: linear in time, but strong rain of the nowcast or of the NWP keeps more of its weight."""

import numpy as np

from echocast.nowcast.blending.base import Blended, Sources, by_cells, ramp


def blend(sources: Sources) -> Blended:
    """Each cell is a weighted mean whose weight depends on the rank of the difference of nowcast and NWP.

    Half-way it equals pysteps. Towards both ends it goes over into the linear blend: by the formula alone the strongest
    rain of the nowcast would keep all its weight until it loses all of it in one step.

    Source: Hwang et al. 2015, doi:10.1175/WAF-D-14-00160.1, as pysteps has it.
    """
    start, end = sources.between
    told = (
        f"salient: the nowcast alone to {start:g} min, NWP alone from {end:g} min, strong rain keeps more weight"
        " between"
    )
    return by_cells(sources, ramp(sources.minutes, sources.between), _mixed, told)


def _mixed(_: int, nowcast: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
    own = 1.0 - weight
    kept = own + (4.0 * own * weight) ** 2 * (salient_weight(own, ranked_salience(nowcast, model)) - own)
    return np.asarray(kept * nowcast + (1.0 - kept) * model)


def ranked_salience(nowcast: np.ndarray, model: np.ndarray) -> np.ndarray:
    """The dense rank of the difference of both, each divided by its maximum; 1 where the nowcast is strongest."""
    scaled = [one / one.max() if one.max() > 0 else np.zeros_like(one) for one in (nowcast, model)]
    _, rank = np.unique(scaled[0] - scaled[1], return_inverse=True)
    return np.asarray((rank.reshape(nowcast.shape) + 1.0) / (rank.max() + 1.0))


def salient_weight(weight: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The weight of the nowcast from its linear weight and the ranked salience: Hwang et al. 2015, equations 4 to 6."""
    with np.errstate(invalid="ignore", divide="ignore"):
        product = weight * rank / (weight * rank + (1.0 - weight) * (1.0 - rank))
    length, other = np.hypot(rank, weight), np.hypot(1.0 - rank, 1.0 - weight)
    return np.asarray(0.5 * (np.nan_to_num(product, nan=0.5) + length / (length + other)))
