"""What the methods of blending share: what they are given, what they give, and how cells without a value are filled.

Weights are those of the NWP: 0 is the nowcast alone, 1 the NWP alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from echocast.nowcast.blending.rain import ModelRain
from echocast.nowcast.blending.skill import Skill

BETWEEN = (120.0, 240.0)
"""The leads (minutes) between which the NWP takes over, unless others are asked for; those of pysteps. By scale the NWP
takes over as the skill says: there are none unless they are asked for."""
FILL_KM, FILL_MIN = 25.0, 60.0
"""So near to cells into which unobserved rain moves, the nowcast hands over to the NWP gradually; nearer at
leads before so many minutes, so that nothing jumps at the first."""


@dataclass(frozen=True)
class Sources:
    """What is blended, on one grid and at the same times.

    Args:
        past: the radar's frames (time, y, x), mm/h.
        nowcast: (member, lead, y, x), mm/h, NaN where it is not known; it may have fewer leads than are wanted, and is
            written into.
        model: the rain of the NWP.
        minutes: the leads that are wanted.
        between: the leads (minutes) between which the NWP takes over; each method says what it makes of them.
        grid_km: the size of a cell.
        skill: how good nowcast and NWP were; None if that cannot be told.
        has_members: whether an ensemble is wanted.
        is_asked: whether `between` was asked for, or is the usual one.
    """

    past: xr.DataArray
    nowcast: Float[np.ndarray, "member lead_made y x"]
    model: ModelRain
    minutes: Float[np.ndarray, " lead"]
    between: tuple[float, float]
    grid_km: float
    skill: Skill | None = None
    has_members: bool = False
    is_asked: bool = False

    @property
    def seen(self) -> Bool[np.ndarray, "y x"]:
        """The cells that were observed in any past frame: only these are forecast."""
        return np.asarray(np.isfinite(self.past.values).any(axis=0))

    def fill_reach(self, lead: int) -> float:
        """The cells over which the NWP takes over towards those that the nowcast does not know."""
        return float(FILL_KM / self.grid_km * min(1.0, self.minutes[lead] / FILL_MIN))

    def nowcast_at(self, member: int, lead: int) -> Float[np.ndarray, "y x"]:
        """The nowcast at the lead of a number; NaN beyond those that were made."""
        if lead < self.nowcast.shape[1]:
            return np.asarray(self.nowcast[member, lead])
        return np.full(self.nowcast.shape[-2:], np.nan, np.float32)


@dataclass(frozen=True)
class Blended:
    """A blended forecast, (member, lead, y, x) in mm/h, and where it comes from.

    Args:
        values: NaN where neither source knows anything, or the radar never looked.
        weight: of the NWP at each lead, the mean over the cells; NaN if the method does not tell it.
        told: what was done, in one sentence.
        attrs: more that the file says.
    """

    values: Float[np.ndarray, "member lead y x"]
    weight: Float[np.ndarray, " lead"]
    told: str
    attrs: dict[str, str] = field(default_factory=dict)


def ramp(minutes: Float[np.ndarray, " lead"], between: tuple[float, float]) -> Float[np.ndarray, " lead"]:
    """A weight that rises linearly from 0 at the first to 1 at the second of two leads."""
    start, end = between
    return np.asarray(np.clip((minutes - start) / max(end - start, 1e-9), 0.0, 1.0))


Mix = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From the number of a lead, nowcast, NWP and the weights of cells (all (y, x), known everywhere) to their blend."""


def by_cells(sources: Sources, weights: Float[np.ndarray, " lead"], mix: Mix, told: str) -> Blended:
    """Each lead of each member by `mix` where nowcast and NWP are known, and by the one that is known elsewhere.

    The weight falls to 0 gradually towards the border of the NWP's grid and towards leads that its run does not have,
    and rises to 1 towards cells into which rain moves from where the radar does not look.
    """
    members, leads = len(sources.nowcast), len(sources.minutes)
    values = np.empty((members, leads, *sources.past.shape[-2:]), np.float32)
    total, seen = np.zeros(leads), sources.seen
    for lead in range(leads):
        trust = sources.model.trust(lead)
        for member in range(members):
            nowcast, model = sources.nowcast_at(member, lead), sources.model.at(lead, member)
            weight = _weight_of_cells(weights[lead], trust, seen & np.isnan(nowcast), sources.fill_reach(lead))
            both = np.isfinite(nowcast) & np.isfinite(model)
            made = np.where(np.isfinite(nowcast), nowcast, model)
            if both.any() and weight[both].max() > 0:
                made = np.where(both, mix(lead, *(np.where(both, one, 0.0) for one in (nowcast, model, weight))), made)
            values[member, lead] = np.where(seen, made, np.nan)
            used = np.where(np.isfinite(nowcast), np.where(both, weight, 0.0), np.isfinite(model))
            total[lead] += used[seen].mean() if seen.any() else 0.0
    return Blended(values, total / members, told)


def _weight_of_cells(weight: float, trust: np.ndarray, unknown: np.ndarray, reach: float) -> np.ndarray:
    """The weight of the NWP in each cell."""
    if not unknown.any():
        return np.asarray(weight * trust)
    near = closeness(unknown, reach)
    return np.asarray((weight + (1.0 - weight) * near) * trust)


def closeness(cells: Bool[np.ndarray, "y x"], reach: float) -> Float[np.ndarray, "y x"]:
    """1 at the border of some cells and in them, 0 so many cells away from it: linear at a straight border."""
    size = 2 * max(1, round(reach)) + 1
    share = cv2.blur(cells.astype(np.float32), (size, size), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(1.0, 2.0 * share), np.float64)
