"""Bounds on the area of heavy rain: what would cover too much is lowered in its order.

For each lead time the cells are sorted: if a rate may cover n cells, the (n + 1)-th largest logit is the bound that is
mapped to that rate; what lies between two bounds is put in proportion between their rates.

    >>> edges, logit = torch.tensor([0.0, 1.0]), torch.tensor([[[[0.5, 2.0, 3.0]]]])
    >>> bounded(logit, torch.tensor([[0.0, 2.0]]), edges).flatten().tolist()
    [0.25, 1.0, 2.0]
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models._lagrangian.changes import Changes
from echocast.models._lagrangian.detail import Newest, damped
from echocast.models._lagrangian.levels import to_logit
from echocast.models._lagrangian.settings import HeavyRainBounds
from echocast.models.scaling import Scaling


def edges_of(
    bounds: HeavyRainBounds, scaling: Scaling, limits: tuple[float, float], like: Tensor, *, deterministic: bool
) -> Float[Tensor, "edges"]:
    """The logits of the bounded rates, after that of the rate below which rain stays as it is."""
    edges = to_logit(like.new_tensor([scaling.level(rate) for rate in bounds.rates_mm_h]), limits)
    below = sum(rate < bounds.deterministic_min_rate_mm_h for rate in bounds.rates_mm_h)
    return edges[below:] if deterministic else edges


def bounds_by_lead(
    frame: Newest,
    changes: Changes,
    edges: Float[Tensor, "edges"],
    bounds: HeavyRainBounds,
    limits: tuple[float, float],
    noises: Sequence[Float[Tensor, "batch member rows columns"]] | None = None,
) -> Iterator[Float[Tensor, "batch edges"]]:
    """For each lead time the logits that become `edges`, never below these; of members, for all of them together."""
    observed, now = frame.observed > 0, to_logit(frame.level, limits)
    areas = torch.stack([((now >= edge) & observed).flatten(1).sum(dim=1) for edge in edges[1:]], dim=1)
    new = edges.new_tensor(bounds.new_area_fraction[1 - len(edges) :])
    largest = bounds.max_area_growth * areas + new * observed.flatten(1).sum(dim=1, keepdim=True)
    for lead in range(changes.growth.shape[1]):
        logit = to_logit(damped(frame, changes.damping[:, lead]), limits) + changes.growth[:, lead]
        logit = (logit if noises is None else logit + noises[lead]).masked_fill(~observed, -torch.inf)
        rank = (logit.shape[1] * largest).long().clamp(max=logit[0].numel() - 1)
        highest = logit.flatten(1).topk(int(rank.max()) + 1, dim=1).values
        yield torch.cat([edges[:1].expand(len(rank), 1), highest.gather(1, rank).maximum(edges[1:])], dim=1)


def bounded(
    logit: Float[Tensor, "batch 1 y x"], bound: Float[Tensor, "batch edges"], edges: Float[Tensor, "edges"]
) -> Float[Tensor, "batch 1 y x"]:
    """Logits between two bounds are mapped between their edges; what exceeds the last, as far above the last edge."""
    made = logit
    for case in (bound > edges).any(dim=1).nonzero().flatten().tolist():
        heavy = logit[case] > edges[0]
        above = logit[case][heavy]
        lowered = torch.full_like(above, float(edges[0]))
        for (low, high), (to_low, to_high) in zip(pairwise(bound[case]), pairwise(edges), strict=True):
            # Bounds may be equal, where many cells are: then what is above them is above the higher edge.
            lowered += ((above - low) / (high - low).clamp(min=1e-6)).clamp_(0.0, 1.0) * (to_high - to_low)
        made = logit.clone() if made is logit else made
        made[case][heavy] = lowered + (above - bound[case, -1]).clamp_(min=0.0)
    return made
