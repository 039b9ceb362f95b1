"""Advection, and a ConvLSTM in the moving frame that forecasts what advection cannot: growth, decay, lost detail.

::

    past frames -> motion -> each frame carried to the moment of issue -> patches -> encoder
                                                      cell size, step, speed --^        | states
    newest frame = mean + two bands of detail                                       forecaster
          |                                                                             |
          +--- each band damped, and a growth added, lead by lead <---- output or doubt +
          |                                                       noise ----^
    carried along the motion to each lead -> future

The output convolution starts at zero, so an untrained network is advection and nothing else, but for detail smaller
than its cells, which fades by a rule; it can only add. Members have a growth and dampings of their own and noise of
several scales, as strong as the network doubts.

    >>> import torch
    >>> model = Lagrangian(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, dropout, interpolate, pad

from echocast.context import UNKNOWN, Context
from echocast.models import _coder, resolution
from echocast.models._lagrangian.noise import Noise, exact
from echocast.models.base import LearnedEnsemble
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.motion.advection import origins, places, sample
from echocast.motion.flow import dense_flow
from echocast.nn.patches import from_patches, to_patches

BANDS = 2
SCALES = 5
"""Octaves of noise: of 1, 2, 4, 8 and 16 cells of the grid learned from."""
_LEAST, _MOST = 0.01, 0.99
"""Grey levels whose logits are still finite enough to learn from."""
_DRY_MM_H = 0.042
"""Just above the least grey level: what is carried from dry cells, and not grown, is dry; drizzle is not."""
_KNOWN = 5
"""What each patch is told of every frame beside its levels: the share that is known, speed (2), cell size, step."""
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Axes to mirror a past along: weather has no handedness that a network should learn, and the mean is better."""
_PAIRS = 3
"""Of how many pairs of frames, the newest, the motion is the mean."""
_SMOOTHED_PX = 2.5
"""Over how many pixels the motion is smoothed at least."""
_WIDTHS = (3, 9)
"""Sides in cells of the means that part the bands of detail: up to 3 cells, 3 to 9 cells, the rest."""
_FINER_LAST = (5.0, 15.0)
"""Minutes after which detail of up to 3 pixels, and from there to a cell, is e times less, for pixels of 1 km."""
_FIRST_DOUBT = -2.0
"""The logarithm of the noise's strength in logits, before anything is learned."""
_LEAST_SEEN = 0.75
"""A forecast is known where at least this share of what arrives is: with less, the unseen shows as a bright rim."""
_LEAST_KNOWN = 0.05
"""Of a cell's weight, so that levels are not divided by nothing; where less is known, no pixel is forecast."""
_HEAVY_MM_H = (2.0, 5.0, 10.0, 20.0, 50.0)
"""Storms do not grow without end: the areas above all but the first of these rates are bounded (in the one forecast
above all but two), what is below the first stays as it is."""
_GROWING = 2.0
"""The largest area of each: so many times that of the newest frame,"""
_BORN = (2e-4, 1e-4, 5e-5, 1.5e-5)
"""and so large a share of the view: as comes within 90 minutes where it was not, mean over the training runs."""
_STRIP = 2_000_000
"""Pixels that are carried at a time."""


class Changes(NamedTuple):
    """What the network says of each lead, in the moving frame, on the grid of its cells."""

    growth: Float[Tensor, "batch steps 1 y x"]
    """Added to the logit."""

    damping: Float[Tensor, "batch steps bands y x"]
    """Of each band of detail: 0 keeps it, -1 takes it away."""

    strength: Float[Tensor, "batch steps scales rows columns"] | None = None
    """Of each octave of noise, patch by patch."""


class Held(NamedTuple):
    """What is carried of the newest frame: grey levels of the network's cells, and what a finer grid knows beyond."""

    level: Float[Tensor, "batch 1 rows columns"]
    """0 where unknown."""

    known: Float[Tensor, "batch 1 rows columns"]
    """1 or 0."""

    bands: Float[Tensor, "batch bands rows columns"]
    """Detail of up to 3 cells, and of 3 to 9."""

    pixels: Float[Tensor, "batch parts y x"]
    """1 or 0 for seen; on a finer grid also rain rates, as they are and as means over 3 x 3 pixels. Rates, for between
    a wet pixel and a dry one the mean of grey levels is almost dry, and showers would shrink."""

    by: int = 1
    """Pixels to a cell, along a side."""


class Lagrangian(LearnedEnsemble):
    """Encoding-forecasting ConvLSTM in the frame that moves with the rain.

    With the newest frame's grey levels L split into a smooth part and two bands of detail B_1 and B_2, lead k is

        sigmoid(logit(level(carried_k(rate(L + sum_b d_kb B_b)))) + carried_k(r_k))

    where the network gives the dampings d (0: kept, -1: gone) and the growth r, per cell and lead, in the moving frame.
    Carried are rain rates, not grey levels: a mean of these is that of less rain, which growth would learn to make up
    for, and then overdo on grids that lose less.
    `forecast` gives the best single guess. A member of `ensemble` has d and r of another output, and adds to r
    correlated noise whose strength per place, lead and scale the network gives too. Of a grid finer than the one
    learned, L is that of means over blocks of pixels; motion and advection keep the grid as it is, and what the pixels
    hold beyond the means is carried as rain rates and fades by a rule of its own. Where the air comes from outside the
    radar's view the forecast is NaN. In the one forecast the areas above 10, 20 and 50 mm/h may be twice those of the
    newest frame and 0.01, 0.005 and 0.0015 % of the view more; so they may in the mean over all members, and that above
    5 mm/h too (0.02 %): growth that was learned from one radar must not run away on another's.

    Args:
        hidden_channels: hidden channels of each layer, the same in encoder and forecaster.
        state_kernels: odd size, or sizes by layer, of the state-to-state convolutions.
        patch: side of the patches that the grid is cut into; a grid it does not divide is padded.
        inputs: of how many frames, the newest, the network knows at most.
        every: leads per step of the forecaster; what lies between is interpolated.
        spread: factor of the noise's strength, to be settled on validation runs.
        scaling: between mm/h and grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: the network of Shi et al. 2015 (arXiv:1506.04214); Germann and Zawadzki 2002 for the moving frame; Seed
    2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2, for damping scale by scale; put together here.
    """

    min_frames = 2
    coarsens = False

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 64),
        state_kernels: int | Sequence[int] = 3,
        patch: int = 4,
        inputs: int = 6,
        every: int = 2,
        spread: float = 1.0,
        scaling: AnyScaling | None = None,
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.state_kernels, self.patch = hidden_channels, state_kernels, patch
        self.inputs, self.every, self.spread = inputs, every, spread
        self.scaling, self.grid_km, self.time_step_minutes = (
            scaling or RainScaling(dry_mm_h=_DRY_MM_H),
            grid_km,
            time_step_minutes,
        )
        self.encoder, self.forecaster = _coder.pair(
            patch * patch + _KNOWN, hidden_channels, input_kernel=3, state_kernels=state_kernels, forget_bias=1.0
        )
        top, self._each = sum(hidden_channels), (1 + BANDS) * patch * patch
        self.output = nn.Conv2d(top, self._each, kernel_size=1)
        _start_at_zero(self.output)
        last = nn.Conv2d(64, self._each + SCALES, kernel_size=1)
        _start_at_zero(last)
        self.doubt = nn.Sequential(nn.Conv2d(top, 64, kernel_size=1), nn.ReLU(), last)
        self.noise = Noise(SCALES, cell_km=grid_km or 4.0)

    def require(self, frames: int, time_step_minutes: float) -> None:
        """Refuse a past of a step that it knows nothing about: less than a third or more than three times its own."""
        known = self.time_step_minutes
        within = known is not None and known / 3 * 0.95 <= time_step_minutes <= known * 3 * 1.05
        super().require(frames, known if known is not None and within else time_step_minutes)

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid, on the grid that the weights know.

        Args:
            past: grey levels in [0, 1], NaN where unobserved.
            steps: frames to forecast.
            context: the cell size and the step of `past`.
        """
        motion = self.motion(self.scaling.to_values(past.nan_to_num(0.0)))
        hidden = self._understood(past, motion, steps, context)
        changes = self._changes(self.output, hidden, steps, past)
        frames = [logit for _, logit in self._learned(past[:, -1], changes, motion)]
        return torch.stack(frames, dim=1)

    def futures(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        context: Context = UNKNOWN,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """The logits of members, for learning the doubt alone: gradients reach nothing else."""
        with torch.no_grad():
            motion = self.motion(self.scaling.to_values(past.nan_to_num(0.0)))
            hidden = self._understood(past, motion, steps, context)
        changes = self._changes(self.doubt, hidden, steps, past)
        noises = (noise for noise, _ in self._noises(changes, members, context, generator))
        carried = self._learned(past[:, -1], changes, motion)
        frames = [
            logit.unsqueeze(1) + sample(noise, cells, "border").unsqueeze(2)
            for (cells, logit), noise in zip(carried, noises, strict=True)
        ]
        return torch.stack(frames, dim=2)

    def motion(self, rain_mm_h: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The motion of the newest frames in pixels per step."""
        cases = rain_mm_h[:, -_PAIRS - 1 :, 0].detach().cpu().to(torch.float32).numpy()
        find = partial(dense_flow, pairs=_PAIRS, least_px=_SMOOTHED_PX, method="both")
        with ThreadPoolExecutor() as pool:  # OpenCV lets other threads run while it works
            flows = list(pool.map(find, cases))
        return torch.from_numpy(np.stack(flows)).to(rain_mm_h)

    def _understood(self, past: Tensor, motion: Tensor, steps: int, context: Context) -> Tensor:
        """The hidden states of all layers, (batch, node, channel, row, column), at leads 1, 1 + every, ..."""
        side = self.patch
        margin = (0, -past.shape[-1] % side, 0, -past.shape[-2] % side)
        frames, seen = (pad(part, margin) for part in self._at_issue(past[:, -self.inputs :], motion))
        speed = avg_pool2d(pad(motion, margin, mode="replicate"), side)
        frames = to_patches(frames, side)
        constant = frames.new_tensor(
            [_doublings(context.grid_km, self.grid_km), _doublings(context.time_step_minutes, self.time_step_minutes)]
        )
        known = torch.cat([speed, constant.view(1, 2, 1, 1).expand(len(past), 2, *speed.shape[-2:])], dim=1)
        share = avg_pool2d(seen.flatten(0, 1), side)
        share = share.reshape(*seen.shape[:2], *share.shape[1:])
        each = torch.cat([frames, share, known.unsqueeze(1).expand(-1, frames.shape[1], -1, -1, -1)], dim=2)
        more = -(-(steps - 1) // self.every)
        hidden = torch.cat(_coder.unrolled(self.encoder, self.forecaster, each, more), dim=2)
        return dropout(hidden, self.encoder.dropout, self.training)

    def _at_issue(self, past: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Each frame carried forward to the time of the newest, 0 where unknown; and how well it is known."""
        count = past.shape[1]
        both = torch.stack([past[:, :, 0].nan_to_num(0.0), past[:, :, 0].isfinite().to(past)], dim=2)
        carried = [both[:, -1]]
        for age, place in enumerate(origins(motion, count - 1), start=2):
            carried.append(sample(both[:, -age], place, "zeros"))
        together = torch.stack(carried[::-1], dim=1)
        return together[:, :, :1], together[:, :, 1:]

    def _changes(self, read: Callable[[Tensor], Tensor], hidden: Tensor, steps: int, like: Tensor) -> Changes:
        """What the convolutions `read` make of the hidden states for each lead, on the grid of `like`."""
        size = (like.shape[-2], like.shape[-1])
        out = read(hidden.flatten(0, 1)).to(like.dtype)
        out = out.reshape(*hidden.shape[:2], *out.shape[1:])
        out = torch.stack([self._between(out, lead) for lead in range(steps)], dim=1)
        parts = out[:, :, : self._each].reshape(len(out), -1, self.patch**2, *out.shape[-2:])
        fine = from_patches(parts, self.patch)[..., : size[0], : size[1]].reshape(len(out), steps, -1, *size)
        strength = (out[:, :, self._each :] + _FIRST_DOUBT).exp() if out.shape[2] > self._each else None
        return Changes(fine[:, :, :1], fine[:, :, 1:], strength)

    def _mean_changes(
        self, read: Callable[[Tensor], Tensor], past: Tensor, motion: Tensor, steps: int, context: Context
    ) -> Changes:
        """The mean of what the network makes of the past and of its mirror images, mirrored back."""
        height, width = past.shape[-2:]
        margin = (0, -width % self.patch, 0, -height % self.patch)
        past, motion = pad(past, margin, value=torch.nan), pad(motion, margin, mode="replicate")
        total: list[Tensor] = []
        for axes in _MIRRORS:
            there = motion.new_tensor([-1.0 if axis in axes else 1.0 for axis in (-2, -1)]).view(1, 2, 1, 1)
            mirrored = past.flip(axes)
            hidden = self._understood(mirrored, motion.flip(axes) * there, steps, context)
            made = [part.flip(axes) for part in self._changes(read, hidden, steps, mirrored) if part is not None]
            total = [before.add_(part) for before, part in zip(total, made, strict=True)] if total else made
        growth, damping, *strength = (part.div_(len(_MIRRORS)) for part in total)
        return Changes(growth[..., :height, :width], damping[..., :height, :width], *strength)

    def _between(self, nodes: Tensor, lead: int) -> Tensor:
        node, rest = divmod(lead, self.every)
        return torch.lerp(nodes[:, node], nodes[:, node + 1], rest / self.every) if rest else nodes[:, node]

    def _noises(
        self, changes: Changes, members: int, context: Context, generator: torch.Generator | None
    ) -> Iterator[tuple[Float[Tensor, "batch member y x"], Float[Tensor, "batch 1 y x"]]]:
        """The noise of each lead, as strong as the network doubts, and its standard deviation."""
        assert changes.strength is not None  # the doubt gives it
        batch, steps, _, *size = changes.growth.shape
        minutes = context.time_step_minutes or self.time_step_minutes or 5.0
        drawn = self.noise.start(batch * members, (size[0], size[1]), generator, changes.growth)
        for lead in range(steps):
            few = changes.strength[:, lead]
            strength = interpolate(few, scale_factor=self.patch, mode="bilinear", align_corners=False)
            strength = self.spread * strength[..., : size[0], : size[1]]
            octaves = self.noise.fields(drawn, (size[0], size[1])).reshape(batch, members, -1, *size)
            yield (octaves * strength.unsqueeze(1)).sum(dim=2), strength.square().sum(dim=1, keepdim=True).sqrt()
            drawn = self.noise.next(drawn, minutes, generator)

    def _carried(
        self, held: Held, changes: Changes, motion: Tensor, arrival: Tensor, context: Context
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each lead the cells that `arrival` comes from, and its logits, NaN where what arrives was not seen."""
        lives = [
            life * (context.grid_km or 1.0) / (context.time_step_minutes or self.time_step_minutes or 5.0)
            for life in _FINER_LAST
        ]
        undamped = self.scaling.to_smooth_values(held.level) * held.known
        for lead, place in enumerate(origins(motion, changes.growth.shape[1], arrival)):
            cells = place if held.by == 1 else (place + 0.5) / held.by - 0.5
            damping = changes.damping[:, lead]
            damped = self.scaling.to_smooth_values(_damped(held, damping)) * held.known
            coarse = torch.cat([held.known, damped, undamped, changes.growth[:, lead], damping[:, :1]], dim=1)
            known, *rates, growth, first = sample(coarse, cells, "border").chunk(5, dim=1)
            seen, *rain = sample(held.pixels, place, "zeros").chunk(held.pixels.shape[1], dim=1)
            field, level = (self._grey(rate / known.clamp(min=_LEAST_KNOWN)) for rate in rates)
            finer = [self._grey(rate / seen.clamp(min=_LEAST_SEEN)) for rate in rain]
            for life, (fine, smooth) in zip(lives, pairwise([*finer, level]), strict=False):
                # What the cells lose of their own smallest detail, smaller detail loses too.
                field = field + (1.0 + first).clamp(0.0, math.exp(-(lead + 1) / life)) * (fine - smooth)
            yield cells, (_logit(field) + growth).masked_fill_(seen < _LEAST_SEEN, torch.nan)

    def _learned(self, level: Tensor, changes: Changes, motion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """`_carried` everywhere on the grid of the cells, to learn from: what was not seen counts as dry."""
        held = _held(level)
        for lead, place in enumerate(origins(motion, changes.growth.shape[1])):
            rate = self.scaling.to_smooth_values(_damped(held, changes.damping[:, lead])) * held.known
            field = self._grey(sample(rate, place, "zeros"))
            yield place, _logit(field) + sample(changes.growth[:, lead], place, "border")

    def _grey(self, rate: Tensor) -> Tensor:
        """The grey level, with a gradient that is finite for no rain too."""
        return self.scaling.to_network(rate.maximum(self.scaling.to_smooth_values(rate.new_zeros(()))))

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        future = past.new_empty(len(past), steps, *past.shape[2:])
        held, changes, motion = self._said(past, steps, context, self.output)
        edges = self._edges(motion)[1:]  # 5 mm/h is left as it is: its CSI was learned
        bounds = list(_bounds(held, changes, edges))
        for lead, rows, _, logit in self._parts(held, changes, motion, context):
            future[:, lead, :, rows] = self._rate(_bounded(logit, bounds[lead], edges))
        return future

    def _ensemble(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, members: int, seed: int, context: Context
    ) -> Float[Tensor, "batch member steps channel y x"]:
        future = past.new_empty(len(past), members, steps, *past.shape[2:])
        held, changes, motion = self._said(past, steps, context, self.doubt)
        drawn = self._noises(changes, members, context, torch.Generator().manual_seed(seed))
        noises = [exact(*each) for each in drawn]
        edges = self._edges(motion)
        bounds = list(_bounds(held, changes, edges, noises))
        for lead, rows, cells, logit in self._parts(held, changes, motion, context):
            for member in range(members):
                noise = sample(noises[lead][:, member : member + 1], cells, "border")
                future[:, member, lead, :, rows] = self._rate(_bounded(logit + noise, bounds[lead], edges))
        return future

    def _said(
        self, past: Tensor, steps: int, context: Context, read: Callable[[Tensor], Tensor]
    ) -> tuple[Held, Changes, Float[Tensor, "batch 2 y x"]]:
        """What is carried, how it changes, and where to."""
        by = resolution.factor(context.grid_km, self.grid_km)
        motion = self.motion(past)
        newest = past[:, -self.inputs :]
        slow = resolution.coarsen(motion.unsqueeze(1), by)[:, 0] / by if by > 1 else motion
        few = newest
        if by > 1:  # frame by frame, for memory
            few = torch.cat([resolution.coarsen(one, by) for one in newest.chunk(newest.shape[1], dim=1)], dim=1)
        few = self.scaling.to_level(few)
        known = Context(context.grid_km * by if context.grid_km else None, context.time_step_minutes)
        changes = self._mean_changes(read, few, slow, steps, known)
        return _held(few[:, -1], past[:, -1] if by > 1 else None, by), changes, motion

    def _parts(
        self, held: Held, changes: Changes, motion: Tensor, context: Context
    ) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Lead, rows, the cells that these come from, and their logits; rows by rows, for memory."""
        everywhere = places(motion)
        height = max(1, _STRIP // (len(motion) * motion.shape[-1]))
        for first in range(0, motion.shape[-2], height):
            rows = slice(first, first + height)
            for lead, (cells, logit) in enumerate(
                self._carried(held, changes, motion, everywhere[:, :, rows], context)
            ):
                yield lead, rows, cells, logit

    def _edges(self, like: Tensor) -> Float[Tensor, "edges"]:
        """The logits of the rates of heavy rain."""
        return _logit(like.new_tensor([self.scaling.level(rate) for rate in _HEAVY_MM_H]))

    def _rate(self, logit: Tensor) -> Tensor:
        return self.scaling.to_values(torch.sigmoid(logit)).masked_fill(logit.isnan(), torch.nan)


def _doublings(value: float | None, learned: float | None) -> float:
    """How many times as large, as a power of 2; 0 where either is unknown."""
    return math.log2(value / learned) if value and learned else 0.0


def _start_at_zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # it has a bias


def _held(
    level: Float[Tensor, "batch 1 rows columns"], rain: Float[Tensor, "batch 1 y x"] | None = None, by: int = 1
) -> Held:
    """What is carried of the cells' grey levels and, on a grid `by` times finer, of the pixels' rain rates."""
    known = level.isfinite().to(level)
    level = level.nan_to_num(0.0)
    # An unknown cell has no detail: that it counts as dry must not brighten its neighbours when detail is damped.
    bands = _bands(level) * known
    if rain is None:
        return Held(level, known, bands, known)
    seen, rain = rain.isfinite().to(rain), rain.nan_to_num(0.0)
    smooth = _mean(rain, 3) / _mean(seen, 3).clamp(min=1 / 9) * seen
    return Held(level, known, bands, torch.cat([seen, rain, smooth], dim=1), by)


def _damped(held: Held, damping: Float[Tensor, "batch bands rows columns"]) -> Float[Tensor, "batch 1 rows columns"]:
    return held.level + (damping * held.bands).sum(dim=1, keepdim=True)


def _logit(level: Tensor) -> Tensor:
    return torch.logit(level.clamp(_LEAST, _MOST))


def _bounds(
    held: Held,
    changes: Changes,
    edges: Float[Tensor, "edges"],
    noises: Sequence[Float[Tensor, "batch member rows columns"]] | None = None,
) -> Iterator[Float[Tensor, "batch edges"]]:
    """Of each lead the logits that are to become `edges`, the same or more; of members, for all of them together."""
    known, now = held.known > 0, _logit(held.level)
    areas = torch.stack([((now >= edge) & known).flatten(1).sum(dim=1) for edge in edges[1:]], dim=1)
    born = edges.new_tensor(_BORN[1 - len(edges) :])
    largest = _GROWING * areas + born * known.flatten(1).sum(dim=1, keepdim=True)
    for lead in range(changes.growth.shape[1]):
        logit = _logit(_damped(held, changes.damping[:, lead])) + changes.growth[:, lead]
        logit = (logit if noises is None else logit + noises[lead]).masked_fill(~known, -torch.inf)
        most = (logit.shape[1] * largest).long().clamp(max=logit[0].numel() - 1)
        highest = logit.flatten(1).topk(int(most.max()) + 1, dim=1).values
        yield torch.cat([edges[:1].expand(len(most), 1), highest.gather(1, most).maximum(edges[1:])], dim=1)


def _bounded(
    logit: Float[Tensor, "batch 1 y x"], bound: Float[Tensor, "batch edges"], edges: Float[Tensor, "edges"]
) -> Float[Tensor, "batch 1 y x"]:
    """What lies between two bounds is put between their edges, what is above all of them as far above the last edge."""
    made = logit
    for n in (bound > edges).any(dim=1).nonzero().flatten().tolist():
        heavy = logit[n] > edges[0]
        above = logit[n][heavy]
        put = torch.full_like(above, float(edges[0]))
        for (low, high), (to_low, to_high) in zip(pairwise(bound[n]), pairwise(edges), strict=True):
            # Bounds may be equal, where many cells are: then what is above them is above the higher edge.
            put += ((above - low) / (high - low).clamp(min=1e-6)).clamp_(0.0, 1.0) * (to_high - to_low)
        made = logit.clone() if made is logit else made
        made[n][heavy] = put + (above - bound[n, -1]).clamp_(min=0.0)
    return made


def _bands(level: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch bands rows columns"]:
    """Detail of up to 3 cells, and of 3 to 9."""
    smoother = [level]
    for side in _WIDTHS:
        smoother.append(_mean(level, side))
    return torch.cat([a - b for a, b in pairwise(smoother)], dim=1)


def _mean(level: Float[Tensor, "batch 1 y x"], side: int) -> Float[Tensor, "batch 1 y x"]:
    """The mean over squares of an odd side, mirrored at the edges; of a smaller side where the grid is smaller."""
    # Along one axis and then the other: side + side samples for each mean instead of side * side.
    for axis in (0, 1):
        reach = min(side // 2, level.shape[axis - 2] - 1)
        margin = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        window = (2 * reach + 1, 1) if axis == 0 else (1, 2 * reach + 1)
        level = avg_pool2d(pad(level, margin, mode="reflect"), window, stride=1)
    return level
