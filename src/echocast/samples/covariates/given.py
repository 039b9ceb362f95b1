"""The covariates that a forecaster is given: their sources by name, and the context of a forecast.

>>> from echocast.context import Covariate
>>> from echocast.synthetic import storms
>>> hour = Covariate(name="hour", kind="hour", quantity="angle", units="1", channels=2)
>>> context = context_of(storms.generate(frames=4, size=16), [hour], steps=3)
>>> tuple(context.covariates["hour"].shape)
(1, 7, 2, 1, 1)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from echocast import fields
from echocast.context import Context, Covariate
from echocast.samples import tensors
from echocast.samples.covariates.sources import Angle, Source


@dataclass(frozen=True, eq=False)
class Given:
    """Sources of covariates.

    Args:
        sources: by name.
        covariates: what they are, in the order in which a network takes them.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    covariates: tuple[Covariate, ...] = ()

    def at(self, times: np.ndarray, issued: np.datetime64) -> dict[str, np.ndarray]:
        """By name the values (frames, channel, y, x) at some times, as known at the time of issue."""
        return {name: source(times, issued) for name, source in self.sources.items()}

    def of_window(self, times: np.ndarray, past: int) -> dict[str, Tensor]:
        """The same of a window, issued at the last of its `past` frames, as tensors."""
        return {name: torch.from_numpy(values) for name, values in self.at(times, times[past - 1]).items()}


def clocks(wanted: Iterable[str], grid: xr.DataArray) -> dict[str, Source]:
    """The sources of hour and season on a grid; raises `DataError` for pictures, which lie nowhere."""
    kinds: tuple[Literal["hour", "season"], ...] = ("hour", "season")
    named = [kind for kind in kinds if kind in set(wanted)]
    if not named:
        return {}
    middle = grid[:, grid.sizes["y"] // 2 : grid.sizes["y"] // 2 + 1, grid.sizes["x"] // 2 : grid.sizes["x"] // 2 + 1]
    longitude = float(fields.degrees(middle)[0][0, 0])
    return {kind: Angle(kind, longitude) for kind in named}


def context_of(past: xr.DataArray, wanted: Sequence[Covariate], *, steps: int, given: Given | None = None) -> Context:
    """What a forecaster is told of a field: as `echocast.samples.tensors.context_of`, and its covariates.

    Args:
        past: the frames to forecast from.
        wanted: the forecaster's ``covariates``.
        steps: frames to forecast.
        given: the sources of those that need files; hour and season need none.
    """
    context = tensors.context_of(past, steps=steps)
    if not wanted or context.valid_times is None:
        return context
    names = {one.name for one in wanted}
    sources = clocks(names, past) | dict({} if given is None else given.sources)
    of_all = Given({name: source for name, source in sources.items() if name in names})
    times = np.concatenate([past.time.values, context.valid_times])
    made = of_all.of_window(times, past.sizes["time"])
    return replace(context, covariates={name: values[None] for name, values in made.items()})


def stacked(several: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The covariates of several windows as those of a batch."""
    return {name: torch.stack([one[name] for one in several]) for name in several[0]} if several else {}
