"""The verb: every forecaster turns a past into a future, in mm/h.

``forecast(past, steps) -> future`` takes and gives rain rates ``(batch, time, channel, y, x)``, NaN where nothing
is observed or known. `Forecaster` holds what all of them share: checking what comes in, and hiding what no past frame
saw. A model with weights scales to its network's range and back inside, and `save` and `load` carry that scaling with
the weights in one safetensors file that holds no code.

    >>> import torch
    >>> from echocast.models.persistence import Persistence
    >>> future = Persistence().forecast(torch.ones(1, 2, 1, 8, 8), steps=3)
    >>> tuple(future.shape)
    (1, 3, 1, 8, 8)
"""

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast import checkpoint, plugins
from echocast.checkpoint import Checkpoint
from echocast.context import UNKNOWN, Context
from echocast.errors import CheckpointMismatch, MissingFrames, ModelError, PluginError
from echocast.models import resolution
from echocast.models.scaling import Scaling

TASK = "forecaster"
"""What a checkpoint of a forecaster says it is for."""
_PACKAGE = "echocast.models"
_NO_MODELS = ("base", "scaling", "resolution")


class Forecaster(nn.Module, ABC):
    """A past in, a future out, both in mm/h.

    A subclass keeps every constructor argument as an attribute of the same name, so that a checkpoint can tell how to
    construct it again.
    """

    min_frames: ClassVar[int] = 1
    """How many past frames it needs at least; of more it uses the newest it wants."""

    grid_km: float | None = None
    """The cell size that the weights were trained at, in km; None: any."""

    time_step_minutes: float | None = None
    """The time step that the weights were trained at; None: any."""

    coarsens: ClassVar[bool] = True
    """Whether a grid finer than the one trained on is forecast as means over blocks; else it is given as it is."""

    def forecast(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        context: Context = UNKNOWN,
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The next `steps` frames.

        Args:
            past: rain rate in mm/h, oldest first, NaN where nothing is observed.
            steps: how many frames to forecast, at the time step of `past`.
            context: the cell size and time step of `past`, and what else is known; where the weights were trained on a
                much coarser grid they forecast means over blocks of cells, and the result is interpolated back.

        Returns:
            Rain rate in mm/h, of the dtype and on the device of `past`; NaN where no past frame saw, or where the
            method knows nothing.

        Raises:
            ValueError: fewer frames than needed, another rank, or no step to make.
        """
        self._check(past, steps)
        by = resolution.factor(context.grid_km, self.grid_km) if self.coarsens else 1
        with torch.no_grad():
            future = self._forecast(resolution.coarsen(past, by) if by > 1 else past, steps, context.coarsened(by))
            if by > 1:
                future = resolution.refine(future, by, (past.shape[-2], past.shape[-1]))
        seen = past.isfinite().any(dim=1, keepdim=True)
        future = future.to(past.dtype)
        own = future.is_contiguous() and future.untyped_storage().data_ptr() != past.untyped_storage().data_ptr()
        # A national grid's forecast is large: where nobody else looks at it there is no second one.
        return future.masked_fill_(~seen, torch.nan) if own else future.masked_fill(~seen, torch.nan)

    def require(self, frames: int, time_step_minutes: float) -> None:
        """Refuse a past that this forecaster would take for something else.

        Raises:
            MissingFrames: fewer frames than it needs, or a time step that its weights do not know.
        """
        name = type(self).__name__
        if frames < max(2, self.min_frames):
            raise MissingFrames(
                f"{name} needs at least {max(2, self.min_frames)} frames and got {frames}; give more files"
            )
        if self.time_step_minutes and abs(time_step_minutes - self.time_step_minutes) > 0.05 * self.time_step_minutes:
            raise MissingFrames(
                f"frames come every {time_step_minutes:g} min, but {name} was trained on frames every"
                f" {self.time_step_minutes:g} min; give frames of that step, or use --model optical_flow"
            )

    @abstractmethod
    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The forecast itself; what no past frame saw may hold anything finite."""

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


class EnsembleForecaster(Forecaster):
    """A forecaster that knows its doubt: several futures, each of which may come true.

    `ensemble` gives them. `forecast` gives one guess: the mean of `members` of them, the best in the mean square, or
    what the forecaster knows better.
    """

    members: int = 20

    has_deterministic: ClassVar[bool] = False
    """Whether `forecast` knows better than the mean of members."""

    def ensemble(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        *,
        members: int | None = None,
        seed: int = 0,
        context: Context = UNKNOWN,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """Several equally likely futures.

        Args:
            past: rain rate in mm/h, oldest first, NaN where nothing is observed.
            steps: how many frames to forecast, at the time step of `past`.
            members: how many futures; as many as the forecaster has by itself if None.
            seed: what their differences are drawn from.
            context: the cell size and time step of `past`, and what else is known.

        Returns:
            Rain rate in mm/h; NaN where no past frame saw, or where the method knows nothing.

        Raises:
            ValueError: as `forecast`, or fewer than 1 member.
        """
        self._check(past, steps)
        count = self.members if members is None else members
        if count < 1:
            raise ValueError(f"{type(self).__name__} makes at least 1 member; got members={count}")
        with torch.no_grad():
            futures = self._ensemble(past, steps, count, seed, context)
        seen = past.isfinite().any(dim=1, keepdim=True).unsqueeze(1)
        return futures.to(past.dtype).masked_fill(~seen, torch.nan)

    @abstractmethod
    def _ensemble(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, members: int, seed: int, context: Context
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """The members themselves; what no past frame saw may hold anything finite."""

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        return self._ensemble(past, steps, self.members, 0, context).mean(dim=1)


class LearnedForecaster(Forecaster):
    """A forecaster with weights: a differentiable `forward` in grey levels, and the scaling there and back."""

    scaling: Scaling

    @abstractmethod
    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """Logits of the future's grey levels from the past's, which are NaN where nothing is observed."""


class LearnedEnsemble(EnsembleForecaster, LearnedForecaster):
    """A forecaster with weights that makes one best guess and members, each learned."""

    has_deterministic = True

    @abstractmethod
    def futures(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        context: Context = UNKNOWN,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        """Logits of the grey levels of members, as `forward` gives those of the best guess.

        Args:
            past: grey levels in [0, 1], NaN where nothing is observed.
            steps: frames to forecast.
            members: how many futures of each past.
            context: the cell size and the step of `past`.
            generator: what their differences are drawn from.
        """


def names() -> list[str]:
    """The forecasters there are."""
    return plugins.names(_PACKAGE, skip=_NO_MODELS)


def summary(name: str) -> str:
    """A forecaster in one line."""
    return plugins.summary(_PACKAGE, name)


def weights(name: str) -> str:
    """Where a forecaster's weights come from: ``shipped``, ``none needed`` or ``to be trained``."""
    if (resources.files("echocast.weights") / f"{name}.safetensors").is_file():
        return "shipped"
    with torch.device("meta"):  # some have more parameters than it takes to count them
        made = forecaster_class(name)()
    return "to be trained" if any(True for _ in made.parameters()) else "none needed"


def forecaster_class(name: str) -> type[Forecaster]:
    """The class of a forecaster by its short name; raises `ModelError`, with the names there are, for any other."""
    if name not in names():
        raise ModelError(
            f"there is no model {name!r}; there are: {', '.join(names())}, or give the path of a checkpoint"
        )
    module = plugins.load(_PACKAGE, name)
    for found in vars(module).values():
        if inspect.isclass(found) and found.__module__ == module.__name__ and issubclass(found, Forecaster):
            return found
    raise PluginError(f"{plugins.origin(_PACKAGE, name)} defines no Forecaster; upgrade it, or tell its authors")


def construct(name: str, arguments: Mapping[str, Any], *, where: str = "[model]") -> Forecaster:
    """A new forecaster from plain values, checked against its constructor's signature."""
    return plugins.construct(forecaster_class(name), arguments, where=where, error=ModelError)


def resolve(name_or_path: str | Path) -> Forecaster:
    """A forecaster ready to use: by name, with the weights that ship with echocast, or from a checkpoint's path.

    Raises:
        ModelError: no such model, or one that has weights but ships none.
        CheckpointMismatch: the file is no checkpoint of this version.
    """
    name = str(name_or_path)
    if Path(name).suffix or os.sep in name:
        return load(Path(name))
    cls = forecaster_class(name)
    with resources.as_file(resources.files("echocast.weights") / f"{name}.safetensors") as shipped:
        if shipped.exists():
            return load(shipped)
    if weights(name) == "to be trained":
        raise ModelError(f"{name} ships without weights; train it with `echocast train` and give its checkpoint's path")
    return cls().eval()


def save(forecaster: Forecaster, path: Path) -> None:
    """Write weights, constructor arguments and scaling to one file, which appears whole or not at all."""
    name = plugins.name_of(_PACKAGE, type(forecaster).__module__)
    checkpoint.write(path, Checkpoint(TASK, name, _arguments(forecaster), forecaster.state_dict()))


def load(path: Path) -> Forecaster:
    """The forecaster of a checkpoint, in evaluation mode.

    Raises:
        CheckpointMismatch: the file does not exist, is none of ours, is of another version, or does not fit its model.
    """
    stored = checkpoint.read(path, task=TASK)
    if stored.name not in names():
        raise CheckpointMismatch(
            f"{path}: holds the weights of a model {stored.name!r} that is not installed; install the distribution that"
            f" adds it, or take one of: {', '.join(names())}"
        )
    try:
        forecaster = construct(stored.name, stored.arguments, where=f"{path}:")
        forecaster.load_state_dict(stored.weights)
    except (ModelError, KeyError, RuntimeError, ValueError) as bad:
        why = " ".join(str(bad).split())
        raise CheckpointMismatch(f"{path}: does not fit this version's model ({why}); train it again") from bad
    return forecaster.eval()


def _arguments(forecaster: Forecaster) -> dict[str, Any]:
    """The constructor's keywords with the values that the forecaster keeps under the same names."""
    values = {name: getattr(forecaster, name) for name in inspect.signature(type(forecaster)).parameters}
    return {name: asdict(value) if is_dataclass(value) else value for name, value in values.items()}  # type: ignore[arg-type]
