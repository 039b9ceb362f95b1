"""The expected rain of another forecaster: for sums of rain, not for where rain exceeds thresholds.

>>> import torch
>>> tuple(ExpectedRain(forecaster="persistence").forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
(1, 3, 1, 21, 34)
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from echocast.context import UNKNOWN, Context
from echocast.models import _expected
from echocast.models._of_another import OfAnother
from echocast.models.base import LeadByLead


class ExpectedRain(OfAnother, LeadByLead):
    """The forecast that `echocast nowcast` writes as ``rainfall_rate_mean`` beside a learned one.

    Args:
        forecaster: whose expected rain: the name of a forecaster, or the path of its checkpoint.

    Where it is scored by thresholds it stands far behind that forecaster, and should: it is smooth.

    Source: own; the rule and what it is made from are in `echocast.models._expected`.
    """

    def __init__(self, *, forecaster: str = "lagrangian") -> None:
        super().__init__(forecaster=forecaster)

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        expected = _expected.ExpectedRain(past, steps, context)
        for lead, frame in enumerate(self.other.leads(self.of_other_type(past), steps, context)):
            yield expected.of(frame.to(past.dtype), lead)
