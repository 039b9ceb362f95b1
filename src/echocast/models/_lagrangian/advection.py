"""The moving frame of `lagrangian`: past frames carried to the time of issue, the newest one carried to each lead time.

Rain rates are carried, not grey levels: these are logarithms, and the mean of a wet and a dry one is almost dry, which
a network would learn to make up for, and then overdo on grids that lose less.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from echocast.models._lagrangian.changes import Changes
from echocast.models._lagrangian.detail import Newest, damped
from echocast.models._lagrangian.levels import to_level, to_logit
from echocast.models._lagrangian.threads import in_order, strips
from echocast.models.scaling import Scaling
from echocast.motion.advection import departure_points, pixel_coordinates, sample

_AHEAD = 4
"""Most strips that are carried before they are asked for, for memory."""
_MIN_WEIGHT = 0.05
"""Of a cell's observed weight, so that nothing is divided by 0; where less is observed, no pixel is forecast."""


def frames_at_issue(
    past: Float[Tensor, "batch time channel y x"], motion: Float[Tensor, "batch 2 y x"]
) -> tuple[Float[Tensor, "batch time 1 y x"], Float[Tensor, "batch time 1 y x"]]:
    """Each frame carried forward to the time of the newest, 0 where unknown; and the observed fraction of each cell.

    A frame without any observed cell is what lies between the frames before and after it, carried as they are.
    """
    both = torch.stack([past[:, :, 0].nan_to_num(0.0), past[:, :, 0].isfinite().to(past)], dim=2)
    carried = [both[:, -1]]
    for age, points in enumerate(departure_points(motion, past.shape[1] - 1), start=2):
        carried.append(sample(both[:, -age], points, "zeros"))
    together = _between(torch.stack(carried[::-1], dim=1), past[:, :, 0].isfinite().flatten(2).any(dim=2))
    return together[:, :, :1], together[:, :, 1:]


def _between(
    frames: Float[Tensor, "batch time 2 y x"], seen: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time 2 y x"]:
    """Frames that saw nothing as the mean of their neighbours in time, weighted by distance; the others as they are."""
    if seen.all() or not seen.any(dim=1).all():
        return frames
    frames = frames.clone()
    for case, number in (~seen).nonzero().tolist():
        known = seen[case].nonzero()[:, 0].tolist()
        before = max((k for k in known if k < number), default=known[0])
        after = min((k for k in known if k > number), default=known[-1])
        weight = (number - before) / max(1, after - before) if before < number < after else 0.0
        frames[case, number] = torch.lerp(frames[case, before], frames[case, after], weight)
    return frames


@dataclass(frozen=True)
class Carrier:
    """Carries the newest frame along the motion, changed as the network says.

    Args:
        scaling: between mm/h and grey levels.
        limits: grey levels are kept within these before their logit is taken.
        min_observed_fraction: a forecast is NaN where less than this fraction of what arrives was observed.
    """

    scaling: Scaling
    limits: tuple[float, float]
    min_observed_fraction: float

    def forecast(
        self,
        frame: Newest,
        changes: Changes,
        motion: Float[Tensor, "batch 2 y x"],
        decay_steps: Sequence[float],
    ) -> Iterator[tuple[int, slice, Float[Tensor, "batch 2 rows x"], Float[Tensor, "batch 1 rows x"]]]:
        """For each lead time, strip by strip: lead, rows, the cells these come from, their logits.

        The logits are NaN where this was not observed.

        Args:
            frame: the newest frame.
            changes: on the grid of its cells.
            motion: displacement in pixels per time step.
            decay_steps: time steps after which each class of detail smaller than a cell is smaller by a factor of e.
        """
        undamped = self.scaling.to_smooth_values(frame.level) * frame.observed
        least, steps = self.min_observed_fraction, changes.growth.shape[1]
        rows = strips(motion)
        ways = [departure_points(motion, steps, pixel_coordinates(motion, one)) for one in rows]

        def prepared() -> Iterator[tuple[int, Tensor, slice, Iterator[Tensor]]]:
            for lead in range(steps):
                damping = changes.damping[:, lead]
                rate = self.scaling.to_smooth_values(damped(frame, damping)) * frame.observed
                coarse = torch.cat([frame.observed, rate, undamped, changes.growth[:, lead], damping[:, :1]], dim=1)
                yield from ((lead, coarse, one, way) for one, way in zip(rows, ways, strict=True))

        def carried(strip: tuple[int, Tensor, slice, Iterator[Tensor]]) -> tuple[int, slice, Tensor, Tensor]:
            lead, coarse, one, way = strip
            points = next(way)
            cells = points if frame.factor == 1 else (points + 0.5) / frame.factor - 0.5
            observed, *rates, growth, first = sample(coarse, cells, "border").chunk(5, dim=1)
            seen, *rain = sample(frame.pixels, points, "zeros").chunk(frame.pixels.shape[1], dim=1)
            level, smooth_level = (to_level(self.scaling, r / observed.clamp(min=_MIN_WEIGHT)) for r in rates)
            finer = [to_level(self.scaling, r / seen.clamp(min=least)) for r in rain]
            kept = [math.exp(-(lead + 1) / decay) for decay in decay_steps]
            for share, (fine, smooth) in zip(kept, pairwise([*finer, smooth_level]), strict=False):
                # What the cells lose of their own smallest detail, smaller detail loses too.
                level = level + (1.0 + first).clamp(0.0, share) * (fine - smooth)
            return lead, one, cells, (to_logit(level, self.limits) + growth).masked_fill_(seen < least, torch.nan)

        # A strip's way back goes on from lead to lead: it may not be ahead of itself.
        return in_order(motion.device, carried, prepared(), ahead=min(_AHEAD, len(rows)))

    def training(
        self, frame: Newest, changes: Changes, motion: Float[Tensor, "batch 2 y x"]
    ) -> Iterator[tuple[Float[Tensor, "batch 2 y x"], Float[Tensor, "batch 1 y x"]]]:
        """`forecast` of every cell, to learn from: what was not observed counts as dry."""
        for lead, points in enumerate(departure_points(motion, changes.growth.shape[1])):
            rate = self.scaling.to_smooth_values(damped(frame, changes.damping[:, lead])) * frame.observed
            level = to_level(self.scaling, sample(rate, points, "zeros"))
            yield points, to_logit(level, self.limits) + sample(changes.growth[:, lead], points, "border")
