"""What the methods of blending share: what they are given, what they give, and how cells without a value are filled.

Weights are those of the NWP: 0 is the nowcast alone, 1 the NWP alone.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from echocast.nowcast.blending.rain import ModelRain
from echocast.nowcast.blending.skill import Skill
from echocast.parallel import thread_count

BETWEEN = (120.0, 240.0)
"""The leads (minutes) between which the NWP takes over, unless others are asked for; those of pysteps. By scale the NWP
takes over as the skill says: there are none unless they are asked for."""
FADE_MIN = 60.0
"""A cell that the nowcast does not know any more is handed over to the NWP within so many minutes; what the nowcast
said of it last goes on till then."""
_SHARES = (1.0, 0.5, 0.25)
"""Of the change of the weight from a lead to the next: where the whole is too much, less is tried."""
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

    def step(self, lead: int) -> float:
        """Minutes since the lead before."""
        return float(self.minutes[lead] - (self.minutes[lead - 1] if lead else 0.0))

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


def by_cells(
    sources: Sources, weights: Float[np.ndarray, " lead"], mix: Mix, told: str, *, is_slowed: bool = False
) -> Blended:
    """Each lead of each member by `mix` where nowcast and NWP are known, and by the one that is known elsewhere.

    The weight falls to 0 gradually towards the border of the NWP's grid and towards leads that its run does not have,
    and rises to 1 within `FADE_MIN` in cells into which rain moves from where the radar does not look.

    Args:
        sources: what is blended.
        weights: of the NWP, before that.
        mix: of a lead.
        told: what is done.
        is_slowed: whether the weight changes more slowly, at most four times, where a lead would otherwise differ more
            from the one before it than nowcast and NWP have done so far (root mean square).
    """
    made = [_Member(sources, number, mix, is_slowed) for number in range(len(sources.nowcast))]
    has_all = sources.nowcast.shape[1] == len(weights)
    shape = (len(made), len(weights), *sources.past.shape[-2:])
    values = sources.nowcast if has_all else np.empty(shape, np.float32)  # in place, for memory
    total, seen = np.zeros(len(weights)), sources.seen

    def fill(number: int, lead: int) -> float:
        frame, used = made[number].at(lead, float(weights[lead]))
        values[number, lead] = np.where(seen, frame, np.nan)
        return float(used[seen].mean()) if seen.any() else 0.0

    with ThreadPoolExecutor(min(thread_count(), len(made))) as pool:  # NumPy and OpenCV let other threads run
        for lead in range(len(weights)):
            sources.model.at(lead)  # which the members share
            total[lead] = sum(pool.map(partial(fill, lead=lead), range(len(made))))
    return Blended(values, total / len(made), told)


class _Member:
    """A member of the forecast, from lead to lead."""

    def __init__(self, sources: Sources, number: int, mix: Mix, is_slowed: bool) -> None:
        self._sources, self._number, self._mix, self._seen = sources, number, mix, sources.seen
        self._newest = self._nowcast = self._made = np.asarray(sources.past.values[-1])
        self._model = np.full(self._seen.shape, np.nan, np.float32)
        self._handed = self._weight = np.zeros(self._seen.shape, np.float32)
        self._is_slowed, self._change = is_slowed, 0.0

    def at(self, lead: int, weight: float) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"]]:
        """The rain at the next lead, and how far the NWP was used in each cell."""
        sources, nowcast = self._sources, self._sources.nowcast_at(self._number, lead)
        model = sources.model.at(lead, self._number)
        own = [self._apart(nowcast, self._nowcast), self._apart(model, self._model)]
        self._change = max(self._change, *own)
        if self._is_slowed:
            self._nowcast, self._model = nowcast.copy(), model
        near = closeness(self._seen & np.isnan(nowcast), sources.fill_reach(lead))
        most = sources.step(lead) / FADE_MIN
        self._handed = np.asarray(np.clip(near, self._handed - most, self._handed + most), np.float32)
        known = np.isfinite(nowcast)
        target = (weight + (1.0 - weight) * self._handed) * np.where(known, sources.model.trust(lead), 1.0)
        # What the nowcast does not know any more goes on as it was while it is handed over.
        self._newest = nowcast = np.where(known, nowcast, self._newest)
        for share in _SHARES:
            cells = np.asarray(self._weight + share * (target - self._weight), np.float32)
            made = self._blend(lead, nowcast, model, cells, known)
            if self._apart(made, self._made) <= self._change:
                break
        self._weight, self._made = cells, made
        used = np.where(np.isfinite(model), cells, 0.0)
        return made, np.where(np.isfinite(nowcast), used, np.isfinite(model))

    def _blend(
        self, lead: int, nowcast: np.ndarray, model: np.ndarray, weight: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        both = np.isfinite(nowcast) & np.isfinite(model)
        made = np.where(known, nowcast, model)
        if not both.any() or weight[both].max() <= 0:
            return made
        return np.where(both, self._mix(lead, *(np.where(both, one, 0.0) for one in (nowcast, model, weight))), made)

    def _apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """The root mean square difference in the cells that are known in both."""
        if not self._is_slowed:
            return 0.0  # nobody asks
        away = (one - other)[self._seen]
        return float(np.sqrt(np.nanmean(away**2))) if np.isfinite(away).any() else 0.0


def closeness(cells: Bool[np.ndarray, "y x"], reach: float) -> Float[np.ndarray, "y x"]:
    """1 at the border of some cells and in them, 0 so many cells away from it: linear at a straight border."""
    if not cells.any():
        return np.zeros(cells.shape, np.float32)
    size = 2 * max(1, round(reach)) + 1
    share = cv2.blur(cells.astype(np.float32), (size, size), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(1.0, 2.0 * share), np.float32)
