"""The mean of STEPS' members with the amounts that the members have: one forecast, as sharp as a member.

>>> members = torch.tensor([[[0.0, 0.0, 2.0, 6.0], [0.0, 3.0, 0.0, 5.0]]])
>>> matched_mean(members)  # the means are 0, 1.5, 1 and 5.5
tensor([[0., 3., 0., 6.]])
"""

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models.base import Forecaster
from echocast.models.steps import Steps


class StepsMatchedMean(Forecaster):
    """Probability-matched mean of STEPS: where the mean of its members has rain, how much the members have.

    The mean of members has the least error, but too much light rain and hardly any heavy rain. Its places are kept, in
    their order, and get the rain rates of all members taken together.

    Needs the extra ``pysteps``.

    Args:
        members: how many members are taken together.
        levels: of the cascade; by the size of the grid if None.

    Source: Ebert 2001, doi:10.1175/1520-0493(2001)129<2461:AOAPMS>2.0.CO;2. She keeps every n-th rate of n members, in
    order; here the middle one of each n.
    """

    min_frames = 3

    def __init__(self, *, members: int = 20, levels: int | None = None) -> None:
        super().__init__()
        self.members, self.levels = members, levels
        self._steps = Steps(members=members, levels=levels)

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        members = self._steps.ensemble(past, steps, context=context)  # the same as `Steps.forecast` has the mean of
        leads = members.transpose(1, 2).flatten(0, 1).flatten(2)
        return matched_mean(leads).view(members[:, 0].shape)


def matched_mean(members: Float[Tensor, "batch member place"]) -> Float[Tensor, "batch place"]:
    """The mean of members, with the distribution of their values.

    Args:
        members: in any unit; NaN where a member has no value.

    Returns:
        In the order of the mean of those members that have a value, the quantiles of all values together; NaN where no
        member has a value. Equal means get their values in the order of the places.
    """
    made = torch.full_like(members[:, 0], torch.nan)
    for case, values in enumerate(members):
        mean = values.nanmean(dim=0)
        known = mean.isfinite()
        count = int(known.sum())
        if not count:
            continue
        pool = values[values.isfinite()].sort().values
        middle = (torch.arange(count, device=pool.device, dtype=torch.float64) + 0.5) * len(pool) / count
        order = mean[known].argsort(stable=True)
        sorted_into = torch.empty_like(mean[known])
        sorted_into[order] = pool[middle.long()]
        made[case, known] = sorted_into
    return made
