"""Covariates hidden at random, so that a network learns to forecast without them.

>>> import torch
>>> given = {"height": torch.ones(4, 1, 1, 2, 2)}
>>> hidden(given, np.random.default_rng(0), share=0.999)["height"].isnan().all().item()
True
"""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor


def hidden(
    covariates: Mapping[str, Tensor],
    rng: np.random.Generator,
    *,
    share: float,
    stations: Collection[str] = (),
    station_share: float = 0.0,
) -> dict[str, Tensor]:
    """The covariates of a batch with NaN where they are hidden.

    Args:
        covariates: by name, (batch, time, channel, y, x).
        rng: what is drawn from.
        share: of the cases in which a covariate is hidden, each by itself.
        stations: those that are values of stations.
        station_share: of the cells of these that are hidden, in all frames of a case.
    """
    return {
        name: _hidden(values, rng, share, station_share if name in stations else 0.0)
        for name, values in sorted(covariates.items())
    }


def _hidden(values: Tensor, rng: np.random.Generator, share: float, cell_share: float) -> Tensor:
    lost = rng.random(len(values)) < share
    mask = np.broadcast_to(lost[:, None, None, None, None], (len(values), 1, 1, *values.shape[-2:]))
    if cell_share:
        mask = mask | (rng.random((len(values), 1, 1, *values.shape[-2:])) < cell_share)
    return values.masked_fill(torch.from_numpy(np.array(mask)).to(values.device), torch.nan)
