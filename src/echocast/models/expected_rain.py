"""The expected rain of another forecaster: for sums of rain, not for where rain exceeds thresholds.

>>> import torch
>>> tuple(ExpectedRain(forecaster="persistence").forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
(1, 3, 1, 21, 34)
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from echocast.context import UNKNOWN, Context
from echocast.models import _expected, base


class ExpectedRain(base.LeadByLead):
    """The forecast that `echocast nowcast` writes as ``rainfall_rate_mean`` beside a learned one.

    Args:
        forecaster: whose expected rain: the name of a forecaster, or the path of its checkpoint.

    Where it is scored by thresholds it stands far behind that forecaster, and should: it is smooth.

    Source: own; the rule and what it is made from are in `echocast.models._expected`.
    """

    takes_blank_frames = True
    coarsens = False

    def __init__(self, *, forecaster: str = "lagrangian") -> None:
        super().__init__()
        self.forecaster = forecaster
        self._made: list[base.Forecaster] = []  # a list, so that its weights are none of this model's

    @property
    def _inner(self) -> base.Forecaster:
        if not self._made:
            self._made.append(base.resolve(self.forecaster))
        return self._made[0]

    def check_past(
        self, frames: int, time_step_minutes: float, quantity: str | None = None, channels: int | None = None
    ) -> None:
        """Refuse what the other forecaster cannot forecast from."""
        self._inner.check_past(frames, time_step_minutes, quantity, channels)

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        expected = _expected.ExpectedRain(past, steps, context)
        known = past.to(next(self._inner.parameters(), past).dtype)  # `double()` reaches no weights of another
        for lead, frame in enumerate(self._inner.leads(known, steps, context)):
            yield expected.of(frame.to(past.dtype), lead)
