"""Maps of error: how far each pixel of each frame is from what a network expects there.

A forecaster expects the next frame of the frames before, an autoencoder gives back the frames themselves; the error is
the absolute difference of grey levels from 0 to 1, the mean over channels.

    >>> import numpy as np
    >>> from echocast import fields
    >>> from echocast.models.persistence import Persistence
    >>> times = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(1, "s")
    >>> rise = np.stack([np.full((4, 4), level) for level in (0.1, 0.2, 0.5)])
    >>> clip = fields.make(rise, time=times, y=range(4), x=range(4), quantity="image")
    >>> found = np.concatenate(list(NextFrame(Persistence(), past=1).maps(clip)))
    >>> [round(float(one.max()), 3) for one in found]
    [nan, 0.1, 0.3]
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from echocast.anomaly.base import Autoencoder
from echocast.context import Context
from echocast.errors import MissingFrames, WrongUnits
from echocast.models.base import Forecaster, LearnedForecaster
from echocast.models.persistence import Persistence
from echocast.models.scaling import ImageScaling, RainScaling, Scaling
from echocast.samples.tensors import context_of, frames_to_tensor

_CELLS = 2_000_000
"""Cells, about, of the frames that are worked on at once."""

Maps = Float[np.ndarray, "frames y x"]


@runtime_checkable
class Errors(Protocol):
    """What finds the errors of the frames of a field."""

    def check(self, field: xr.DataArray, name: str) -> None:
        """Refuse a field whose errors it cannot find, by `name`."""

    def maps(self, field: xr.DataArray) -> Iterator[Maps]:
        """The errors of all frames in their order, some frames at a time; NaN where there is none."""


@dataclass(frozen=True)
class NextFrame:
    """The error of a forecaster.

    Args:
        model: the forecaster.
        past: frames given to each forecast.
        lead: how many frames ahead the frame is forecast; what moves fast is missed by more at longer leads.
        both: also forecast each frame backwards from the frames after it, and take the smaller error at each pixel: a
            single odd frame is then not blamed on its neighbours. The first and the last frames have no error, for with
            one forecast it would be larger than the others'.
    """

    model: Forecaster
    past: int = 4
    lead: int = 1
    both: bool = False

    def __post_init__(self) -> None:
        least = self.model.min_frames
        if self.past < least or self.lead < 1:
            raise ValueError(
                f"past={self.past} and lead={self.lead}: {type(self.model).__name__} needs {least} past frames at"
                " least, and lead is 1 or more"
            )

    def check(self, field: xr.DataArray, name: str) -> None:
        """Raise `MissingFrames` for too few frames, `WrongUnits` for another quantity than the forecaster's."""
        _check_quantity(self.model.quantity, field, type(self.model), any_unit=isinstance(self.model, Persistence))
        reach = self.past + self.lead - 1
        need = 2 * reach + 1 if self.both else reach + 1
        if field.sizes["time"] < need:
            raise MissingFrames(
                f"{name}: has {field.sizes['time']} frames in a row, and an error needs {need}"
                f" ({self.past} past frames, {self.lead} ahead{', from both sides' if self.both else ''}); give a"
                " longer sequence, or fewer past frames"
            )

    def maps(self, field: xr.DataArray) -> Iterator[Maps]:
        """The errors of all frames; NaN for those without a forecast."""
        frames, reach = field.sizes["time"], self.past + self.lead - 1
        scaling, context = _scaling(self.model, field), replace(context_of(field), valid_times=None)
        for begin, stop in _parts(frames, field.sizes["y"] * field.sizes["x"]):
            first = max(0, begin - reach)
            values = frames_to_tensor(field[first : min(frames, stop + reach)])
            error = _one_way(self, values, range(begin - first, stop - first), scaling, context)
            if self.both:
                last = len(values) - 1
                numbers = range(last - (begin - first), last - (stop - first), -1)
                other = _one_way(self, values.flip(0), numbers, scaling, context)
                either = [way.isfinite().flatten(1).any(dim=1) for way in (error, other)]
                error = torch.fmin(error, other).masked_fill(~(either[0] & either[1])[:, None, None], torch.nan)
            yield error.numpy()


@dataclass(frozen=True)
class Reconstruction:
    """The error of an autoencoder, which gets windows as long as those that it learned from."""

    network: Autoencoder

    def check(self, field: xr.DataArray, name: str) -> None:
        """Raise `MissingFrames` for too few frames, `WrongUnits` for another quantity than the autoencoder's."""
        _check_quantity(self.network.quantity, field, type(self.network))
        if field.sizes["time"] < 2:
            raise MissingFrames(f"{name}: has 1 frame in a row, and a sequence has 2 at least; give a longer one")

    def maps(self, field: xr.DataArray) -> Iterator[Maps]:
        """The errors of all frames; the last window ends with the last frame."""
        frames, length, scaling = field.sizes["time"], self.network.frames, self.network.scaling
        for begin in range(0, frames, length):
            first = max(0, min(begin, frames - length))
            levels = scaling.to_level(frames_to_tensor(field[first : first + length]))
            with torch.no_grad():
                made = self.network(levels[None])[0]
            yield (made - levels).abs().mean(dim=1)[begin - first :].numpy()


def _one_way(errors: NextFrame, values: Tensor, numbers: range, scaling: Scaling, context: Context) -> Tensor:
    """The errors of some frames, each forecast from those before it; NaN for those without enough of them."""
    reach = errors.past + errors.lead - 1
    found = torch.full((len(numbers), *values.shape[-2:]), torch.nan)
    can = [place for place, number in enumerate(numbers) if number >= reach]
    if not can:
        return found
    chosen = [numbers[place] for place in can]
    pasts = torch.stack([values[number - reach : number - reach + errors.past] for number in chosen])
    made = errors.model.forecast(pasts, errors.lead, context)[:, -1]
    found[can] = (scaling.to_level(made) - scaling.to_level(values[chosen])).abs().mean(dim=1)
    return found


def _parts(frames: int, cells: int) -> Iterator[tuple[int, int]]:
    size = max(1, min(16, _CELLS // cells))
    for begin in range(0, frames, size):
        yield begin, min(frames, begin + size)


def _scaling(model: Forecaster, field: xr.DataArray) -> Scaling:
    """Grey levels: those of the network, or else of the quantity."""
    if isinstance(model, LearnedForecaster):
        return model.scaling
    return ImageScaling() if field.name == ImageScaling.quantity else RainScaling()


def _check_quantity(quantity: str, field: xr.DataArray, kind: type, *, any_unit: bool = False) -> None:
    known = (ImageScaling.quantity, RainScaling.quantity)
    if any_unit and field.name in known:
        return
    if field.name != quantity:
        raise WrongUnits(
            f"the frames hold {field.name}, but {kind.__name__} is for {quantity}; take a model that was trained on"
            f" {field.name}"
        )
