"""Any forecaster with weights, given covariates beside the frames: height, hour, weather model, stations.

::

    covariates (time, channel, y, x) of past and future, NaN where unknown
        -> scaled (of the forecast's own quantity: less the newest frame), 0 where unknown | 1 where known, else 0
        -> three 3x3 convolutions (reach: 7 cells) -> features (time, feature, y, x)
                     | of the past                    | of each lead, and of what was known last before it
    past frames ----(+)--> the forecaster -> logits --(+)--> two 3x3 convolutions --> change of the logits
                                                |________________________________________(+)--> logits

Stations are few: of these the network also gets a normalised convolution, the mean of the known values around each cell
by the weights of a Gaussian, and how much weight that was.

The forecaster gets the features as further channels of its frames; one whose frames have a fixed number of channels
gets them at its output alone. The last convolution starts at 0, so at first nothing is added to what it forecasts.

    >>> import torch
    >>> height = Covariate(name="height", kind="fixed", quantity="surface_altitude", units="m", scale=1000.0)
    >>> model = WithCovariates(model="encoder_forecaster", settings={"hidden_channels": [8]}, covariates=[height])
    >>> context = Context(covariates={"height": torch.full((1, 1, 1, 20, 30), 500.0)})
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 20, 30), 3, context).shape)
    (1, 3, 1, 20, 30)
"""

import inspect
import logging
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from echocast.context import UNKNOWN, Context, Covariate
from echocast.errors import ModelError
from echocast.models import base
from echocast.models.base import LearnedForecaster

log = logging.getLogger(__name__)

_DILATIONS = (1, 2, 4)
"""Of the convolutions of covariates: stations are few and far between."""
_HEAD = 16
_USUAL_REACH, _MOST_REACH = 5.0, 30.0
"""In cells: of stations on a grid of an unknown cell size; and at most."""
_LITTLE = 0.05
"""Of a station's own weight: so much counts as half known."""


class WithCovariates(LearnedForecaster):
    """A forecaster with weights and the covariates that it is given.

    What the context lacks, and NaN in it, is told to the network as unknown; training hides covariates at random, so
    that it forecasts without them too. Which are missing is logged once.

    Args:
        model: the forecaster within, by its name.
        settings: its arguments; its ``channels`` are those of the frames.
        covariates: what it is given, in the order in which the network takes them.
        features: channels that are made of the covariates.

    Raises:
        ModelError: the model within has no weights, or two covariates have one name.

    Source: the mask beside the values as in Che et al. 2018, doi:10.1038/s41598-018-24271-9; the normalised convolution
    of Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081; put together here.
    """

    def __init__(
        self,
        *,
        model: str = "encoder_forecaster",
        settings: Mapping[str, Any] = {},
        covariates: Sequence[Covariate] = (),
        features: int = 8,
    ) -> None:
        super().__init__()
        self.model, self.settings, self.covariates, self.features = model, settings, covariates, features
        self.channels, takes_more = _channels_of(model, settings)
        self._more = features if takes_more else 0
        within = dict(settings) | ({"channels": self.channels + self._more} if takes_more else {})
        made = base.construct(model, within, where=f"{model}:")
        assert isinstance(made, LearnedForecaster)  # its class was looked at
        self.within, self.scaling = made, made.scaling
        self.grid_km, self.time_step_minutes = made.grid_km, made.time_step_minutes
        # They are the class's where a forecaster has no other within.
        self.min_frames = made.min_frames  # type: ignore[misc]
        self.takes_blank_frames = made.takes_blank_frames  # type: ignore[misc]
        _check_names(covariates)
        count = sum(one.channels * (4 if one.kind == "stations" else 2) for one in covariates)
        widths = [max(count, 1), *[features] * len(_DILATIONS)]
        layers: list[nn.Module] = []
        for before, dilation in zip(widths, _DILATIONS, strict=False):
            layers += [nn.Conv2d(before, features, 3, padding=dilation, dilation=dilation), nn.LeakyReLU(0.1)]
        self.encode = nn.Sequential(*layers)
        given = self.channels + self._more + 2 * features
        self.head = nn.Sequential(
            nn.Conv2d(given, _HEAD, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(_HEAD, self.channels, 3, padding=1)
        )
        nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]  # a convolution has weights
        nn.init.zeros_(self.head[-1].bias)  # type: ignore[arg-type]
        self._missed: frozenset[str] = frozenset()

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits; any grid.

        Args:
            past: grey levels in [0, 1], NaN where nothing is observed.
            steps: frames to forecast.
            context: holds the covariates, in their units.

        Raises:
            ValueError: another number of channels than its own, or a covariate of another number of frames or channels.
        """
        self.check_channels(past)
        count = past.shape[1]
        given = self._given(past, steps, context)
        features = self._encoded(given)
        changes = features.shape[1] > 1
        features = features if changes else features.expand(-1, count + steps, -1, -1, -1)
        frames = torch.cat([past, torch.tanh(features[:, :count])], dim=2) if self._more else past
        logits = self.within.fitted(frames, steps, context)
        last = features[:, count:]
        if changes:
            last = self._encoded([(values[:, count:], known[:, count:]) for values, known in map(_carried, given)])
        seen = torch.cat([logits, features[:, count:], last], dim=2)
        change: Tensor = self.head(seen.flatten(0, 1))
        return logits[:, :, : self.channels] + change.reshape(*seen.shape[:2], *change.shape[1:])

    def _given(self, past: Tensor, steps: int, context: Context) -> list[tuple[Tensor, Tensor]]:
        """Of each covariate the scaled values (batch, time, channel, y, x), and 1 where they are known, else 0.

        Where none of them changes there is one time.
        """
        there = [one for one in (context.covariates.get(own.name) for own in self.covariates) if one is not None]
        size, made = (len(past), past.shape[1] + steps if any(one.shape[1] > 1 for one in there) else 1), []
        for one in self.covariates:
            values, shape = context.covariates.get(one.name), (*size, one.channels, *past.shape[-2:])
            if values is None:
                made.append((past.new_zeros(shape), past.new_zeros(shape)))
                continue
            scaled = one.scaled(_expanded(values.to(past), shape, one.name))
            if one.departs:
                scaled = scaled - one.scaled(self.scaling.to_values(past[:, -1:, :1]))
            made.append((scaled.nan_to_num(0.0, 0.0, 0.0), scaled.isfinite().to(past.dtype)))
        return made or [(past.new_zeros(*size, 1, *past.shape[-2:]), past.new_zeros(*size, 0, *past.shape[-2:]))]

    def _encoded(self, given: Sequence[tuple[Tensor, Tensor]]) -> Float[Tensor, "batch time feature y x"]:
        """What the network makes of covariates at some times."""
        parts: list[Tensor] = []
        for one, (values, known) in zip_longest(self.covariates, given):
            parts += [values, known]
            if one is not None and one.kind == "stations":
                parts += _spread(values, known, one.reach_km / self.grid_km if self.grid_km else _USUAL_REACH)
        together = torch.cat(parts, dim=2)
        made: Tensor = self.encode(together.flatten(0, 1))
        return made.reshape(*together.shape[:2], *made.shape[1:])

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        self._tell_missing(context)
        return self.scaling.to_values(torch.sigmoid(self(self.scaling.to_level(past), steps, context)))

    def _tell_missing(self, context: Context) -> None:
        missing = [one.name for one in self.covariates if not _is_known(context.covariates.get(one.name))]
        if missing and not self._missed.issuperset(missing):
            log.warning("covariates that are not known: %s; the forecast is made without them", ", ".join(missing))
        self._missed |= frozenset(missing)


def _carried(given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """At each time the value that was known last, cell by cell, and whether there was one."""
    values, known = (part.unbind(dim=1) for part in given)
    made, seen = [values[0]], [known[0]]
    for value, is_known in zip(values[1:], known[1:], strict=True):
        made.append(torch.where(is_known > 0, value, made[-1]))
        seen.append(torch.maximum(is_known, seen[-1]))
    return torch.stack(made, dim=1), torch.stack(seen, dim=1)


def _spread(values: Tensor, known: Tensor, reach: float) -> list[Tensor]:
    """The mean of known values by the weights of a Gaussian of `reach` cells, and how much weight that is (0 to 1)."""
    sigma = min(max(reach, 0.5), _MOST_REACH)
    away = torch.arange(-int(3 * sigma), int(3 * sigma) + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (away / sigma) ** 2)

    def smooth(frames: Tensor) -> Tensor:
        flat = frames.reshape(-1, 1, *frames.shape[-2:])
        down = conv2d(flat, kernel.view(1, 1, -1, 1), padding=(len(away) // 2, 0))
        return conv2d(down, kernel.view(1, 1, 1, -1), padding=(0, len(away) // 2)).reshape(frames.shape)

    weight = smooth(known)
    return [smooth(values) / (weight + _LITTLE), weight / (weight + _LITTLE)]


def _is_known(values: Tensor | None) -> bool:
    return values is not None and bool(values.isfinite().any())


def _expanded(values: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Values over all frames and cells."""
    if values.ndim != 5 or values.shape[1] not in (1, shape[1]) or values.shape[2] != shape[2]:
        raise ValueError(
            f"covariate {name!r} is {tuple(values.shape)}; it needs (batch, time, channel, y, x) of {shape[1]} frames"
            f" (past and future) or 1, and {shape[2]} channels"
        )
    return values.expand(shape)


def _channels_of(model: str, settings: Mapping[str, Any]) -> tuple[int, bool]:
    """How many channels the frames of a forecaster have, and whether it can be made for more."""
    known = base.forecaster_class(model)
    if not issubclass(known, LearnedForecaster) or known is WithCovariates:
        raise ModelError(f"model = {model!r} has no weights of its own that covariates could be given to; name another")
    parameter = inspect.signature(known).parameters.get("channels")
    return (1, False) if parameter is None else (int(settings.get("channels", parameter.default)), True)


def _check_names(covariates: Sequence[Covariate]) -> None:
    names = [one.name for one in covariates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(f"two covariates are called {twice[0]!r}; rename one")
