"""Another forecaster's rain rates, corrected by how its forecasts of the last hours came true.

::

    frames of the last hours -> forecasts from frames up to 30, 60 ... 180 min ago --- verified --> areas by lead time
                                                        those of an archive, as few km² --(+)--^         | correction
    newest frames -> forecast ------------------------------------------------------------------------> rain rates

It moves no rain and leaves rain below 1 mm/h as it is; it changes how much falls where there is more. 5 mm/h are given
where, by what was verified, they are best said to fall.

    >>> import torch
    >>> past = torch.ones(1, 8, 1, 21, 34)
    >>> tuple(Corrected(forecaster="persistence").forecast(past, steps=3).shape)
    (1, 3, 1, 21, 34)
"""

import logging
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import UNKNOWN, Context
from echocast.models._amounts import RATES_MM_H, Areas
from echocast.models._of_another import OfAnother
from echocast.models.base import Forecaster

PRIOR = "corrected.npz"
"""Among the weights that come with echocast: the areas of an archive."""
PRIOR_KM2 = 600.0
"""The prior counts as much as a forecast over so many km² of rain of 2 mm/h or more."""
MAX_AREA_GROWTH, NEW_AREA_FRACTION = 2.0, (1e-3, 2e-4, 1e-4)
"""Each of the rates is given to at most so many times the cells that have it in the newest frame, and to this part of
those observed; as areas of heavy rain are bounded in `lagrangian`."""

_POOL_MINUTES = 20.0
_FORGET_MINUTES = 180.0
_USUAL_GRID_KM, _USUAL_STEP_MINUTES = 1.0, 5.0
"""Where the context does not say."""

log = logging.getLogger(__name__)


class Corrected(OfAnother):
    """A forecaster whose rain rates are corrected by its forecasts of the last hours.

    From the frames it is given it makes the forecasts of 30, 60 ... minutes ago too, and compares them with the frames
    that followed. What it finds counts less the older it is, and is added to what was found on an archive, so with few
    frames it is as on that archive. With frames of 5 minutes it makes use of 46: three hours, and 10 frames for the
    first forecast. A forecast takes up to seven times as long as the other's.

    Args:
        forecaster: whose rain is corrected: the name of a forecaster, or the path of its checkpoint.
        frames: past frames that it is given.
        back_minutes: how far back forecasts are made and compared.
        every_minutes: the time between two of them.

    Source: own. That forecasts are verified on the newest frames is as in Pulkkinen et al. 2019
    (doi:10.5194/gmd-12-4185-2019), which matches amounts with those of the newest frame.
    """

    is_for_thresholds = True
    channels = 1

    def __init__(
        self,
        *,
        forecaster: str = "lagrangian",
        frames: int = 10,
        back_minutes: float = 180.0,
        every_minutes: float = 30.0,
    ) -> None:
        super().__init__(forecaster=forecaster)
        if frames < 2 or back_minutes < 0 or every_minutes <= 0:
            raise ValueError(
                f"frames={frames} must be at least 2, back_minutes={back_minutes:g} at least 0 and"
                f" every_minutes={every_minutes:g} above 0"
            )
        self.frames, self.back_minutes, self.every_minutes = frames, back_minutes, every_minutes
        self._is_told = False

    def check_past(
        self, frames: int, time_step_minutes: float, quantity: str | None = None, channels: int | None = None
    ) -> None:
        """Refuse what the other forecaster cannot forecast from, and what is no rain."""
        Forecaster.check_past(self, frames, time_step_minutes, quantity, channels)
        super().check_past(min(frames, self.frames), time_step_minutes, quantity, channels)

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        if past.shape[2] != 1:
            raise ValueError(f"Corrected takes frames of 1 channel of rain; got {past.shape[2]} channels")
        future = self.of_other(past[:, -self.frames :], steps, context)
        for case, made in zip(past, future, strict=True):
            areas = self._verified(case, steps, context)
            most = _most_cells(case[-1].cpu().numpy())
            for lead, frame in enumerate(made):
                rain = frame.cpu().numpy()
                frame.copy_(torch.from_numpy(areas.correction(lead).within(rain, most)(rain)))
        return future

    def _verified(self, past: Float[Tensor, "time channel y x"], steps: int, context: Context) -> Areas:
        """What the forecasts of the last hours came to, with the archive's as a prior."""
        cell_km2 = (context.grid_km or _USUAL_GRID_KM) ** 2
        step_minutes = context.time_step_minutes or _USUAL_STEP_MINUTES
        observed = past[:, 0].cpu().numpy()
        seen = np.isfinite(observed).any(axis=(1, 2))
        areas, last, made = Areas.none(steps), len(past) - 1, 0
        for ago in self._ages(step_minutes):
            newest = last - ago
            least = max(2, self.other.min_frames)
            if newest + 1 < least or not seen[newest]:
                continue
            before = past[max(0, newest + 1 - self.frames) : newest + 1].unsqueeze(0)
            if int(seen[max(0, newest + 1 - self.frames) : newest + 1].sum()) < least:
                continue
            forecast = self.of_other(before, min(ago, steps), context)[0, :, 0].cpu().numpy()
            made += 1
            for lead, frame in enumerate(forecast):
                weight = np.exp(-(ago - lead - 1) * step_minutes / _FORGET_MINUTES)
                areas.add(lead, frame, observed[newest + 1 + lead], cell_km2=cell_km2, weight=weight)
        self._tell(made, len(past), step_minutes)
        pooled = areas.pooled(max(1.0, _POOL_MINUTES / step_minutes))
        return Areas(pooled.km2 + prior(steps, step_minutes).km2)

    def _ages(self, step_minutes: float) -> list[int]:
        """How many steps ago forecasts are made, the newest first."""
        many = int(self.back_minutes / self.every_minutes + 1e-6)
        ages = {max(1, round(number * self.every_minutes / step_minutes)) for number in range(1, many + 1)}
        return sorted(ages)

    def _tell(self, made: int, frames: int, step_minutes: float) -> None:
        ages = self._ages(step_minutes)
        if made < len(ages) and not self._is_told:
            self._is_told = True
            log.warning(
                "corrected: %d of the %d forecasts of the last %g min could be made from %d frames; %d frames hold all",
                made,
                len(ages),
                self.back_minutes,
                frames,
                max(ages) + self.frames,
            )


def _most_cells(newest: Float[np.ndarray, "*grid"]) -> list[float]:
    """On how many cells each rate may be given that was not forecast there."""
    observed = int(np.isfinite(newest).sum())
    return [
        MAX_AREA_GROWTH * int((newest >= rate).sum()) + fraction * observed
        for rate, fraction in zip(RATES_MM_H, NEW_AREA_FRACTION, strict=True)
    ]


def prior(steps: int, step_minutes: float) -> Areas:
    """The areas of the archive that comes with echocast, at some lead times; beyond its last as at its last."""
    km2, minutes = _archive()
    nearest = [int(np.abs(minutes - (lead + 1) * step_minutes).argmin()) for lead in range(steps)]
    return Areas(PRIOR_KM2 * km2[nearest].astype(np.float64))


@lru_cache(maxsize=1)
def _archive() -> tuple[np.ndarray, np.ndarray]:
    with resources.files("echocast.weights").joinpath(PRIOR).open("rb") as file, np.load(file) as data:
        return data["km2"], data["minutes"]
