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

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Forecaster(nn.Module, ABC):
    """A past in, a future out, both in mm/h."""

    frames: ClassVar[int] = 1
    """How many past frames it needs at least; of more it uses the newest it wants."""

    def forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The next `steps` frames.

        Args:
            past: rain rate in mm/h, oldest first, NaN where nothing is observed.
            steps: how many frames to forecast, at the time step of `past`.

        Returns:
            Rain rate in mm/h, of the dtype and on the device of `past`; NaN where no past frame saw, or where the
            method knows nothing.

        Raises:
            ValueError: fewer frames than needed, another rank, or no step to make.
        """
        self._check(past, steps)
        with torch.no_grad():
            future = self._forecast(past, steps)
        seen = past.isfinite().any(dim=1, keepdim=True)
        return future.to(past.dtype).masked_fill(~seen, torch.nan)

    @abstractmethod
    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The forecast itself; what no past frame saw may hold anything finite."""

    def _check(self, past: Tensor, steps: int) -> None:
        name = type(self).__name__
        if past.ndim != 5 or not past.is_floating_point():
            raise ValueError(
                f"{name} takes (batch, time, channel, y, x) of floats; got {past.dtype} of {tuple(past.shape)}"
            )
        if past.shape[1] < self.frames:
            raise ValueError(f"{name} needs {self.frames} past frames; got {past.shape[1]}")
        if steps < 1:
            raise ValueError(f"{name} forecasts at least 1 step; got steps={steps}")
