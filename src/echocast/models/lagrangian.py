"""Advection of the newest frame, and a ConvLSTM in the moving frame that forecasts growth, decay and loss of detail.

::

    past frames -> motion -> each frame carried to the time of issue -> patches -> encoder
                                                 cell size, time step, motion --^    | states
    newest frame = smooth part + two bands of detail                            forecaster
          |                                                                          |
          +--- each band damped, and growth added, for each lead time <---- output or uncertainty head
          |                                                        noise ----^
    carried along the motion to each lead time -> future

The output starts at zero, so an untrained network is advection and nothing else, but for detail smaller than the
network's cells, which decays by a rule. Members have growth and damping of their own, and noise of several scales whose
standard deviation the uncertainty head gives. The parts are in `echocast.models._lagrangian`.

    >>> import torch
    >>> model = Lagrangian(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import UNKNOWN, Context
from echocast.models import resolution
from echocast.models._lagrangian import detail, heavy_rain
from echocast.models._lagrangian.advection import Carrier
from echocast.models._lagrangian.changes import Changes
from echocast.models._lagrangian.detail import Newest
from echocast.models._lagrangian.network import Network
from echocast.models._lagrangian.noise import Generators, Noise, match_moments
from echocast.models._lagrangian.settings import (
    DetailSettings,
    HeavyRainBounds,
    MotionSettings,
    NetworkSettings,
    NoiseSettings,
)
from echocast.models._lagrangian.threads import in_threads, pieces
from echocast.models.base import LeadByLead, LearnedEnsemble
from echocast.models.scaling import RainScaling
from echocast.motion.advection import sample
from echocast.parallel import release_memory

__all__ = [
    "DetailSettings",
    "HeavyRainBounds",
    "Lagrangian",
    "MotionSettings",
    "NetworkSettings",
    "NoiseSettings",
]

SCALING = RainScaling(dry_mm_h=0.042)
"""The scaling unless another is given: what is carried from dry cells and does not grow is just below 0.042 mm/h, so it
is dry and drizzle is not. On 69 cases of the training archive the CRPS of members is 0.0353 mm/h if they are cut at
0.045 mm/h and 0.0398 if at 0.1 mm/h; not reproducible."""
_USUAL_STEP_MINUTES, _USUAL_GRID_KM, _USUAL_PIXEL_KM = 5.0, 4.0, 1.0
"""Where neither the context nor the weights say."""


class Lagrangian(Network, LeadByLead, LearnedEnsemble):
    """Encoding-forecasting ConvLSTM in the frame that moves with the rain.

    With the newest frame's grey levels L separated into a smooth part and bands of detail B_b, lead k is

        sigmoid(logit(level(carried_k(rate(L + sum_b d_kb B_b)))) + carried_k(r_k))

    where the network gives the dampings d (0: kept, -1: removed) and the growth r, per cell and lead time, in the
    moving frame. `forecast` gives a deterministic forecast. A member of `ensemble` has d and r of the uncertainty head,
    and adds to r correlated noise whose standard deviation per place, lead time and scale that head gives too.

    On a grid finer than the one learned from, L is that of means over blocks of pixels; motion and advection keep the
    grid as it is, and what the pixels hold beyond the means is carried as rain rates and decays by a rule. Where the
    air comes from outside the observed area the forecast is NaN. Areas of heavy rain are bounded: see
    `HeavyRainBounds`.

    Args:
        hidden_channels: hidden channels of each layer, the same in encoder and forecaster.
        network_settings: sizes of the network, and what it is given.
        motion_settings: how the motion is estimated.
        detail_settings: how small-scale detail is separated and decays.
        noise_settings: the noise by which members differ.
        heavy_rain_bounds: how far areas of heavy rain may grow.
        scaling: between mm/h and grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: the network of Shi et al. 2015 (arXiv:1506.04214); Germann and Zawadzki 2002 for the moving frame; Seed
    2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2, for damping scale by scale; put together here.
    """

    min_frames = 2
    coarsens = False
    takes_blank_frames = True
    independent_members = False
    """Their noise has the mean 0 at every place, see `match_moments`."""
    scaling: RainScaling

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 64),
        network_settings: NetworkSettings = NetworkSettings(),  # noqa: B008 (it is frozen)
        motion_settings: MotionSettings = MotionSettings(),  # noqa: B008
        detail_settings: DetailSettings = DetailSettings(),  # noqa: B008
        noise_settings: NoiseSettings = NoiseSettings(),  # noqa: B008
        heavy_rain_bounds: HeavyRainBounds = HeavyRainBounds(),  # noqa: B008
        scaling: RainScaling = SCALING,
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__(
            hidden_channels,
            network_settings,
            bands=len(detail_settings.band_widths_cells),
            octaves=noise_settings.octaves,
            initial_log_scale=noise_settings.initial_log_scale,
        )
        self.motion_settings, self.detail_settings = motion_settings, detail_settings
        self.noise_settings, self.heavy_rain_bounds = noise_settings, heavy_rain_bounds
        self.scaling, self.grid_km, self.time_step_minutes = scaling, grid_km, time_step_minutes
        self.noise = Noise(noise_settings, cell_km=grid_km or _USUAL_GRID_KM)

    def check_past(
        self, frames: int, time_step_minutes: float, quantity: str | None = None, channels: int | None = None
    ) -> None:
        """Refuse a past that it cannot forecast from; a time step may differ by the factor `max_time_step_ratio`."""
        known, ratio = self.time_step_minutes, self.network_settings.max_time_step_ratio
        within = known is not None and known / ratio * 0.95 <= time_step_minutes <= known * ratio * 1.05
        super().check_past(frames, known if known is not None and within else time_step_minutes, quantity, channels)

    @property
    def known_time_steps(self) -> str:
        """Which time steps it takes, for messages."""
        known, ratio = self.time_step_minutes or 0.0, self.network_settings.max_time_step_ratio
        return f"takes frames every {known / ratio:.2g} to {known * ratio:.3g} min"

    def forward(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        context: Context = UNKNOWN,
        motion: Float[Tensor, "batch 2 y x"] | None = None,
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The logits of the future's grey levels, on the grid that the weights know.

        Args:
            past: grey levels in [0, 1], NaN where nothing is observed.
            steps: frames to forecast.
            context: the cell size and the time step of `past`.
            motion: displacement in pixels per time step, where it was estimated before; estimated if None.
        """
        rain = self.scaling.to_values(past.nan_to_num(0.0))
        flow = self.motion(rain) if motion is None else motion
        hidden = self.hidden_states(past, flow, steps, context)
        changes = self.changes(self.output, hidden, steps, past)
        frame = detail.newest(past[:, -1], self.detail_settings)
        motion = self._refined(rain, flow, context, together=True)
        return torch.stack([logit for _, logit in self._carrier.training(frame, changes, motion)], dim=1)

    def member_logits(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        context: Context = UNKNOWN,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """The logits of members, to train the uncertainty head and the noise alone: gradients reach nothing else."""
        with torch.no_grad():
            rain = self.scaling.to_values(past.nan_to_num(0.0))
            flow = self.motion(rain)
            hidden = self.hidden_states(past, flow, steps, context)
            motion = self._refined(rain, flow, context, together=True)
        changes = self.changes(self.uncertainty_head, hidden, steps, past)
        noises = (noise for noise, _ in self._noise_by_lead(changes, members, context, [generator]))
        carried = self._carrier.training(detail.newest(past[:, -1], self.detail_settings), changes, motion)
        frames = [
            logit.unsqueeze(1) + sample(noise, cells, "border").unsqueeze(2)
            for (cells, logit), noise in zip(carried, noises, strict=True)
        ]
        return torch.stack(frames, dim=2)

    def motion(self, rain_mm_h: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The motion of the newest frames in pixels per time step, by optical flow."""
        from echocast.motion.flow import dense_flow  # OpenCV: not needed where the motion is given

        settings = self.motion_settings
        estimate = partial(
            dense_flow, pairs=settings.pairs, min_smoothing_px=settings.min_smoothing_px, method=settings.method
        )
        return _each_case(estimate, rain_mm_h)

    def refined_motion(
        self,
        rain_mm_h: Float[Tensor, "batch time channel y x"],
        motion: Float[Tensor, "batch 2 y x"],
        context: Context,
    ) -> Float[Tensor, "batch 2 y x"]:
        """The motion refined until it carries the frames of the last minutes onto the newest.

        On a grid as coarse as the one learned from it stays as it is, unless the weights were trained along a refined
        one: they know the errors of the flow, and have a lower CSI along a better motion.
        """
        return self._refined(rain_mm_h, motion, context, together=False)

    def _refined(
        self,
        rain_mm_h: Float[Tensor, "batch time channel y x"],
        motion: Float[Tensor, "batch 2 y x"],
        context: Context,
        *,
        together: bool,
    ) -> Float[Tensor, "batch 2 y x"]:
        """`refined_motion`, case by case, or of all cases together, which is faster and less exact: to learn from."""
        from echocast.motion.estimate import refined_motions

        settings = self.motion_settings
        on_own_grid = resolution.factor(context.grid_km, self.grid_km) == 1
        if settings.node_km is None or (on_own_grid and not settings.refine_own_grid):
            return motion
        pixel_km, step_minutes = context.grid_km or self.grid_km or _USUAL_PIXEL_KM, self._step_minutes(context)
        node_km, minutes_back = settings.node_km, settings.minutes_back

        def refine(frames: np.ndarray, first: np.ndarray) -> np.ndarray:
            made = refined_motions(
                frames,
                first,
                pixel_km=pixel_km,
                step_minutes=step_minutes,
                node_km=node_km,
                minutes_back=minutes_back,
            )
            return np.asarray(made)

        if not together:
            return _each_case(lambda frames, first: refine(frames[None], first[None])[0], rain_mm_h, motion)
        frames, first = (part.detach().cpu().float().numpy() for part in (rain_mm_h[:, :, 0], motion))
        return torch.from_numpy(refine(frames, first)).to(motion)

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        frame, changes, motion = self._prepared(past, steps, context, self.output)
        edges, height = self._edges(motion, deterministic=True), past.shape[-2]
        bounds = list(heavy_rain.bounds_by_lead(frame, changes, edges, self.heavy_rain_bounds, self._limits))
        future = past.new_empty(len(past), *past.shape[2:])
        for lead, rows, _, logit in self._strips(frame, changes, motion, context):
            future[..., rows, :] = self._rain(heavy_rain.bounded(logit, bounds[lead], edges))
            if rows.stop >= height:
                yield future
                future = torch.empty_like(future)

    def _ensemble(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        seeds: Sequence[int],
        context: Context,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        future = past.new_empty(len(past), members, steps, *past.shape[2:])
        frame, changes, motion = self._prepared(past, steps, context, self.uncertainty_head)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noises = [
            match_moments(noise, deviation, from_members=self.noise_settings.exact_from_members)
            for noise, deviation in self._noise_by_lead(changes, members, context, generators)
        ]
        edges = self._edges(motion, deterministic=False)
        bounds = list(heavy_rain.bounds_by_lead(frame, changes, edges, self.heavy_rain_bounds, self._limits, noises))

        def fill(lead: int, first: int, rows: slice, cells: Tensor, logit: Tensor) -> None:
            here = slice(rows.start - first, rows.stop - first)
            drawn = sample(noises[lead], cells[..., here, :], "border")
            for member in range(members):
                made = logit[..., here, :] + drawn[:, member : member + 1]
                future[:, member, lead, :, rows] = self._rain(heavy_rain.bounded(made, bounds[lead], edges))

        with in_threads(past.device) as begin:
            for lead, strip, cells, logit in self._strips(frame, changes, motion, context):
                for rows in pieces(slice(strip.start, strip.start + logit.shape[-2]), past.shape[-1]):
                    begin(fill, lead, strip.start, rows, cells, logit)
        return future

    def _prepared(
        self, past: Tensor, steps: int, context: Context, head: Callable[[Tensor], Tensor]
    ) -> tuple[Newest, Changes, Float[Tensor, "batch 2 y x"]]:
        """What is carried, how it changes, and the motion."""
        factor = resolution.factor(context.grid_km, self.grid_km)
        motion = self.motion(past)
        release_memory()
        frames = past[:, -self.network_settings.max_input_frames :]
        slow = resolution.coarsen(motion.unsqueeze(1), factor)[:, 0] / factor if factor > 1 else motion
        if factor > 1:  # frame by frame, for memory
            frames = torch.cat([resolution.coarsen(one, factor) for one in frames.chunk(frames.shape[1], dim=1)], dim=1)
        levels = self.scaling.to_level(frames)
        changes = self.mean_changes(head, levels, slow, steps, context.coarsened(factor))
        release_memory()
        rain = past[:, -1] if factor > 1 else None
        motion = self.refined_motion(past, motion, context)
        return detail.newest(levels[:, -1], self.detail_settings, rain, factor), changes, motion

    def _strips(
        self, frame: Newest, changes: Changes, motion: Tensor, context: Context
    ) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Lead, rows, the cells that these come from, and their logits; strip by strip, for memory."""
        decay_steps = [
            minutes * (context.grid_km or _USUAL_PIXEL_KM) / self._step_minutes(context)
            for minutes in self.detail_settings.subgrid_decay_minutes
        ]
        return self._carrier.forecast(frame, changes, motion, decay_steps)

    def _noise_by_lead(
        self, changes: Changes, members: int, context: Context, generators: Generators
    ) -> Iterator[tuple[Float[Tensor, "batch member y x"], Float[Tensor, "batch 1 y x"]]]:
        assert changes.noise_deviation is not None  # the uncertainty head gives it
        return self.noise.by_lead(
            changes.noise_deviation,
            members,
            size=(changes.growth.shape[-2], changes.growth.shape[-1]),
            patch=self.network_settings.patch,
            scale=self.noise_settings.noise_scale,
            time_step_minutes=self._step_minutes(context),
            generators=generators,
        )

    @property
    def _carrier(self) -> Carrier:
        return Carrier(self.scaling, self._limits, self.detail_settings.min_observed_fraction)

    @property
    def _limits(self) -> tuple[float, float]:
        return self.network_settings.level_limits

    def _step_minutes(self, context: Context) -> float:
        return context.time_step_minutes or self.time_step_minutes or _USUAL_STEP_MINUTES

    def _edges(self, like: Tensor, *, deterministic: bool) -> Float[Tensor, "edges"]:
        return heavy_rain.edges_of(
            self.heavy_rain_bounds, self.scaling, self._limits, like, deterministic=deterministic
        )

    def _rain(self, logit: Tensor) -> Tensor:
        return self.scaling.to_values(torch.sigmoid(logit))


def _each_case(
    estimate: Callable[..., np.ndarray],
    rain_mm_h: Float[Tensor, "batch time channel y x"],
    motion: Float[Tensor, "batch 2 y x"] | None = None,
) -> Float[Tensor, "batch 2 y x"]:
    """The motion of each case, from its frames and, if given, a first motion; in threads: OpenCV lets others run."""
    given = [rain_mm_h[:, :, 0], *([] if motion is None else [motion])]
    cases = (part.detach().cpu().to(torch.float32).numpy() for part in given)
    with ThreadPoolExecutor() as pool:
        return torch.from_numpy(np.stack(list(pool.map(estimate, *cases)))).to(rain_mm_h)
