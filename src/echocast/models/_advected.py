"""What all forecasts by a constant motion share: advection of the newest frame along it."""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models.base import LeadByLead
from echocast.motion.advection import advected
from echocast.parallel import release_memory


class Advected(LeadByLead):
    """A forecaster that only estimates the motion, which is taken to be constant.

    Each lead samples the newest frame once. Where the air comes from outside the observed area the forecast is NaN.
    """

    min_frames = 2
    takes_blank_frames = True

    @abstractmethod
    def motion(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The displacement along y and x in pixels per step; 0 where it cannot be estimated.

        Args:
            past: rain rate in mm/h, oldest first, NaN where nothing is observed.
        """

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        motion = self.motion(past)
        release_memory()
        return advected(past[:, -1], motion, steps)


class FlowAdvected(Advected):
    """The motion by a function of `echocast.motion.flow`.

    Args:
        pairs: how many of the newest pairs of frames the motion is estimated from.
        smoothing_px: see the function.
    """

    _flow: Callable[..., np.ndarray]

    def __init__(self, *, pairs: int = 3, smoothing_px: float | None = None) -> None:
        super().__init__()
        if pairs < 1:
            raise ValueError(f"pairs={pairs} must be at least 1")
        self.pairs, self.smoothing_px = pairs, smoothing_px

    def motion(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The displacement along y and x in pixels per step; 0 where it cannot be estimated."""
        frames = past[:, :, 0].detach().cpu().to(torch.float32).numpy()  # all of them: the newest may be blank
        find = type(self)._flow
        flows = [find(case, pairs=self.pairs, smoothing_px=self.smoothing_px) for case in frames]
        return torch.from_numpy(np.stack(flows)).to(past)
