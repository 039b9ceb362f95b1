"""What forecasters share that change the forecast of another one."""

from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models import base


class OfAnother(base.Forecaster):
    """A forecaster made of another one's forecast.

    What the other takes, it takes: frames, time steps, and frames without any observed cell. It is loaded when it is
    first needed.

    Args:
        forecaster: the other: the name of a forecaster, or the path of its checkpoint.
    """

    coarsens = False

    def __init__(self, *, forecaster: str) -> None:
        super().__init__()
        self.forecaster = forecaster
        self._made: list[base.Forecaster] = []  # a list, so that its weights are none of this model's

    @property
    def other(self) -> base.Forecaster:
        """The other forecaster."""
        if not self._made:
            self._made.append(base.resolve(self.forecaster))
        return self._made[0]

    @property
    def takes_blank_frames(self) -> bool:  # type: ignore[override]
        """Whether the other knows that a frame without any observed cell is missing."""
        return self.other.takes_blank_frames

    def check_past(
        self, frames: int, time_step_minutes: float, quantity: str | None = None, channels: int | None = None
    ) -> None:
        """Refuse what the other forecaster cannot forecast from."""
        self.other.check_past(frames, time_step_minutes, quantity, channels)

    def of_other_type(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """Frames in the precision of the other's weights, which `double()` does not reach."""
        return past.to(next(self.other.parameters(), past).dtype)

    def of_other(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The other's forecast, in the precision of `past`."""
        return self.other.forecast(self.of_other_type(past), steps, context).to(past.dtype)
