"""Eulerian persistence: every forecast frame is the newest frame; the reference that a nowcast must beat.

>>> import torch
>>> float(Persistence().forecast(torch.full((1, 1, 1, 4, 4), 2.0), steps=3).mean())
2.0
"""

from collections.abc import Iterator
from itertools import repeat

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models.base import LeadByLead


class Persistence(LeadByLead):
    """Every lead is the newest frame; a pixel missing from it is the newest that was observed there.

    Source: the reference forecast of Germann and Zawadzki 2002, "Eulerian persistence".
    """

    takes_any_quantity = True
    takes_blank_frames = True

    def _lead_by_lead(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        newest = past[:, 0]
        for frame in past.unbind(1)[1:]:
            newest = torch.where(frame.isfinite(), frame, newest)
        return repeat(newest, steps)
