"""The verb: every forecaster turns a past into a future, in the unit of its quantity; rain is in mm/h.

``forecast(past, steps, context) -> future`` takes and gives ``(batch, time, channel, y, x)``, NaN where nothing is
observed or known. The context holds what is known beside the frames: cell size, time step, valid times, covariates; all
of it is passed on to ``_forecast`` and ``_ensemble``. Where frames are averaged to the coarser grid that weights were
trained on, so are the covariates, and the context holds the coarser cell size.

`Forecaster` holds what all forecasters share: checking what comes in, that change of grid, and hiding what was observed
in no past frame. A model with weights scales to its network's range and back inside, and `save` and `load` carry that
scaling with the weights in one safetensors file that holds no code.

    >>> import torch
    >>> from echocast.models.persistence import Persistence
    >>> future = Persistence().forecast(torch.ones(1, 2, 1, 8, 8), steps=3)
    >>> tuple(future.shape)
    (1, 3, 1, 8, 8)
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context, Covariate
from echocast.errors import MissingFrames, ModelError, WrongUnits
from echocast.models import NOT_MODELS, resolution
from echocast.models.registry import Registry
from echocast.models.scaling import Scaling

TASK = "forecaster"
"""What a checkpoint of a forecaster says it is for."""


class Forecaster(nn.Module, ABC):
    """A past in, a future out, both in the unit of its quantity.

    A subclass keeps every constructor argument as an attribute of the same name, so that a checkpoint can tell how to
    construct it again.
    """

    min_frames: ClassVar[int] = 1
    """How many past frames it needs at least; of more it may use the newest alone."""

    grid_km: float | None = None
    """The cell size that the weights were trained at, in km; None: any."""

    time_step_minutes: float | None = None
    """The time step that the weights were trained at; None: any."""

    coarsens: ClassVar[bool] = True
    """Whether a grid finer than the one trained on is forecast as means over blocks; else it is given as it is."""

    takes_any_quantity: ClassVar[bool] = False
    """Whether it forecasts what it is given, whatever that is: rain, pictures, temperatures."""

    takes_blank_frames: ClassVar[bool] = False
    """Whether it knows that a past frame without any observed cell is missing; else it would take it for a dry one."""

    is_for_thresholds: ClassVar[bool] = False
    """Whether its forecast of rain says where thresholds are exceeded, so that sums of it are wrong: then files hold
    the expected rain beside it (`echocast.models.expected_rain`)."""

    covariates: Sequence[Covariate] = ()
    """What it takes from the context beside the frames, by name; without it, it forecasts too."""

    supplied: object = None
    """The sources of these (`echocast.samples.covariates.Given`), for who makes contexts of an archive's windows."""

    @property
    def quantity(self) -> str:
        """The quantity of `echocast.fields` that it forecasts, in whose unit past and future are."""
        return "rainfall_rate"

    def forecast(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        context: Context = UNKNOWN,
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The next `steps` frames.

        Args:
            past: in the unit of `quantity` (rain rate in mm/h), oldest first, NaN where nothing is observed.
            steps: how many frames to forecast, at the time step of `past`.
            context: the cell size and time step of `past`, and what else is known; where the weights were trained on a
                much coarser grid they forecast means over blocks of cells, and the result is interpolated back.

        Returns:
            In the unit, of the dtype and on the device of `past`; NaN where no past frame was observed, or where the
            method knows nothing.

        Raises:
            ValueError: fewer frames than needed, another rank, or no step to make.
        """
        self._check(past, steps)
        factor = self._coarsening(context)
        with torch.no_grad():
            future = self._forecast(*_coarsened(past, steps, context, factor))
            if factor > 1:
                future = resolution.refine(future, factor, (past.shape[-2], past.shape[-1]))
        return _unknown_where(~_observed(past).unsqueeze(1), future.to(past.dtype), past)

    def leads(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        """The frames of `forecast`, one after the other: of a `LeadByLead` only one is in memory at a time.

        Arguments and errors are those of `forecast`; the errors come with the first frame.
        """
        self._check(past, steps)
        factor, unknown = self._coarsening(context), ~_observed(past)
        made = self._lead_by_lead(*_coarsened(past, steps, context, factor))
        while True:
            with torch.no_grad():  # not while the caller works with a frame
                frame = next(made, None)
                if frame is None:
                    return
                if factor > 1:
                    frame = resolution.refine(frame.unsqueeze(1), factor, (past.shape[-2], past.shape[-1]))[:, 0]
                frame = frame.to(past.dtype).masked_fill(unknown, torch.nan)
            yield frame

    def check_past(
        self, frames: int, time_step_minutes: float, quantity: str | None = None, channels: int | None = None
    ) -> None:
        """Refuse a past that this forecaster cannot forecast from.

        Args:
            frames: how many there are.
            time_step_minutes: the time between two of them.
            quantity: what they hold, if known.
            channels: of each frame, if known.

        Raises:
            MissingFrames: fewer frames than it needs, or a time step that its weights do not know.
            WrongUnits: another quantity than its own.
            ModelError: another number of channels than its own.
        """
        name = type(self).__name__
        if quantity is not None and quantity != self.quantity and not self.takes_any_quantity:
            raise WrongUnits(
                f"the frames hold {quantity}, but {name} forecasts {self.quantity}; convert them, or use a model that"
                f" was trained on {quantity}"
            )
        own = getattr(self, "channels", None)  # what has no weights takes each channel by itself
        if None not in (own, channels) and own != channels:
            grey = "; make grey levels of them (--grey)" if own == 1 else ""
            raise ModelError(f"the frames have {channels} channels, and {name} was made for {own}{grey}")
        if frames < max(2, self.min_frames):
            raise MissingFrames(
                f"{name} needs at least {max(2, self.min_frames)} frames and got {frames}; give more files"
            )
        if self.time_step_minutes and abs(time_step_minutes - self.time_step_minutes) > 0.05 * self.time_step_minutes:
            raise MissingFrames(
                f"frames come every {time_step_minutes:g} min, but {name} {self.known_time_steps}; give such frames (of"
                " finer ones --every takes some), or use --model optical_flow"
            )

    @property
    def known_time_steps(self) -> str:
        """Which time steps it takes, for messages."""
        return f"was trained on frames every {self.time_step_minutes or 0.0:g} min"

    @abstractmethod
    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The forecast itself; what no past frame observed may hold anything finite."""

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        """The frames of `_forecast`; here all of them are made first."""
        yield from self._forecast(past, steps, context).unbind(dim=1)

    def _coarsening(self, context: Context) -> int:
        """How many cells of the grid, along a side, make one that the weights know."""
        return resolution.factor(context.grid_km, self.grid_km) if self.coarsens else 1

    def _check(self, past: Tensor, steps: int) -> None:
        name = type(self).__name__
        if past.ndim != 5 or not past.is_floating_point():
            raise ValueError(
                f"{name} takes (batch, time, channel, y, x) of floats; got {past.dtype} of {tuple(past.shape)}"
            )
        if past.shape[1] < self.min_frames:
            raise ValueError(f"{name} needs {self.min_frames} past frames; got {past.shape[1]}")
        if steps < 1:
            raise ValueError(f"{name} forecasts at least 1 step; got steps={steps}")


class LeadByLead(Forecaster):
    """A forecaster that makes one frame after the other, so that a large grid need not be in memory as often."""

    @abstractmethod
    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        """The frames themselves; what no past frame observed may hold anything finite."""

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        future = past.new_empty(len(past), steps, *past.shape[2:])  # one piece: a stack of parts would need it twice
        for lead, frame in enumerate(self._lead_by_lead(past, steps, context)):
            future[:, lead] = frame
        return future


class EnsembleForecaster(Forecaster):
    """A forecaster of several equally likely futures.

    `ensemble` gives them. `forecast` gives one: the mean of `members` of them, which has the least mean square error,
    or a deterministic forecast of its own.
    """

    members: int = 20

    has_deterministic: ClassVar[bool] = False
    """Whether `forecast` is a forecast of its own and not the mean of members."""

    independent_members: ClassVar[bool] = True
    """Whether members are drawn independently of each other, as the fair CRPS supposes."""

    def ensemble(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        *,
        members: int | None = None,
        seed: int | Sequence[int] = 0,
        context: Context = UNKNOWN,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """Several equally likely futures.

        The members of a case depend on its own past and seed alone, not on the other cases of the batch.

        Args:
            past: in the unit of `quantity` (rain rate in mm/h), oldest first, NaN where nothing is observed.
            steps: how many frames to forecast, at the time step of `past`.
            members: how many futures; as many as the forecaster has by itself if None.
            seed: what their differences are drawn from: one number for each case, or one that all cases share.
            context: the cell size and time step of `past`, and what else is known.

        Returns:
            In the unit of `past`; NaN where no past frame was observed, or where the method knows nothing.

        Raises:
            ValueError: as `forecast`, or fewer than 1 member, or not one seed for each case.
        """
        self._check(past, steps)
        count = self.members if members is None else members
        if count < 1:
            raise ValueError(f"{type(self).__name__} makes at least 1 member; got members={count}")
        seeds, factor = _one_for_each(seed, len(past)), self._coarsening(context)
        with torch.no_grad():
            few, steps, known = _coarsened(past, steps, context, factor)
            futures = self._ensemble(few, steps, count, seeds, known)
            if factor > 1:
                fine = resolution.refine(futures.flatten(0, 1), factor, (past.shape[-2], past.shape[-1]))
                futures = fine.reshape(*futures.shape[:2], *fine.shape[1:])
        return _unknown_where(~_observed(past)[:, None, None], futures.to(past.dtype), past)

    @abstractmethod
    def _ensemble(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        seeds: Sequence[int],
        context: Context,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """The members themselves, of each case from its own seed; what was never observed may hold anything finite."""

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        return self._ensemble(past, steps, self.members, [0] * len(past), context).mean(dim=1)


DRY_LOGIT = -3.0
"""The initial bias of an output: a grey level of 0.05, as most of a frame is."""


class LearnedForecaster(Forecaster):
    """A forecaster with weights: a differentiable `forward` in grey levels, and the scaling there and back."""

    is_for_thresholds = True
    scaling: Scaling
    channels: int
    """Of each frame."""

    @property
    def quantity(self) -> str:
        """The quantity of its scaling."""
        return self.scaling.quantity

    @abstractmethod
    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """Logits of the future's grey levels from the past's, which are NaN where nothing is observed."""

    def fitted(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """`forward` on a grid of any size: padded or resampled to one that the network takes, and back."""
        logits: Tensor = self(past, steps, context)
        return logits

    def check_channels(self, frames: Float[Tensor, "batch time channel y x"]) -> None:
        """
        Raises:
            ValueError: another number of channels than its own.
        """
        if frames.shape[2] != self.channels:
            name = type(self).__name__
            raise ValueError(f"this {name} has channels={self.channels}; got frames of {frames.shape[2]} channels")

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        return self.scaling.to_values(torch.sigmoid(self.fitted(self.scaling.to_network(past), steps)))


class LearnedEnsemble(EnsembleForecaster, LearnedForecaster):
    """A forecaster with weights that makes a deterministic forecast and members, each of them learned."""

    has_deterministic = True

    @abstractmethod
    def member_logits(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        context: Context = UNKNOWN,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """Logits of the grey levels of members, as `forward` gives those of the deterministic forecast.

        Args:
            past: grey levels in [0, 1], NaN where nothing is observed.
            steps: frames to forecast.
            members: how many futures of each past.
            context: the cell size and the step of `past`.
            generator: what their differences are drawn from, for the whole batch.
        """


def _unknown_where(
    unknown: Bool[Tensor, "batch *rest"], future: Float[Tensor, "batch *more"], past: Tensor
) -> Float[Tensor, "batch *more"]:
    """NaN where nothing was observed.

    The forecast of a national grid is large: where nothing else refers to it, no second one is made.
    """
    own = future.is_contiguous() and future.untyped_storage().data_ptr() != past.untyped_storage().data_ptr()
    return future.masked_fill_(unknown, torch.nan) if own else future.masked_fill(unknown, torch.nan)


def _observed(past: Tensor) -> Bool[Tensor, "batch channel y x"]:
    """The cells that any past frame observed; frame by frame, for memory."""
    first, *others = past.unbind(dim=1)
    seen = first.isfinite()
    for frame in others:
        seen |= frame.isfinite()
    return seen


def _coarsened(past: Tensor, steps: int, context: Context, factor: int) -> tuple[Tensor, int, Context]:
    """What `_forecast` gets: means over blocks of cells of the past and of the covariates."""
    if factor == 1:
        return past, steps, context
    covariates = {name: resolution.coarsen(values, factor) for name, values in context.covariates.items()}
    return resolution.coarsen(past, factor), steps, replace(context.coarsened(factor), covariates=covariates)


def _one_for_each(seed: int | Sequence[int], cases: int) -> list[int]:
    seeds = [seed] * cases if isinstance(seed, int) else list(seed)
    if len(seeds) != cases:
        raise ValueError(f"seed has {len(seeds)} numbers for {cases} cases; give one for each, or one for all")
    return seeds


REGISTRY = Registry(TASK, "echocast.models", Forecaster, NOT_MODELS)  # type: ignore[type-abstract]
"""All forecasters."""

names = REGISTRY.names
summary = REGISTRY.summary
weights = REGISTRY.weights
forecaster_class = REGISTRY.load_class
construct = REGISTRY.construct
resolve = REGISTRY.resolve
save = REGISTRY.save
load = REGISTRY.load
