"""What training makes small: one number from the network's logits and the observed rain.

Each loss takes ``(logits, observed, scaling)``: logits of grey levels and rain rates (mm/h), both (batch, lead,
channel, y, x). Pixels that nobody observed (NaN) enter none of them.

    >>> import torch
    >>> from echocast.models.scaling import Scaling
    >>> float(CrossEntropy()(torch.zeros(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2), Scaling())) > 0
    True
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from echocast.errors import ExperimentError
from echocast.models.scaling import Scaling
from echocast.plugins import construct


class CrossEntropy(nn.Module):
    """The paper's loss: binary cross-entropy of grey levels, in nats, summed over a sequence's leads and pixels.

    Source: Shi et al. 2015, section 4; targets are grey levels, so the loss has a floor above 0.
    """

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
    ) -> Float[Tensor, ""]:
        """Mean over the sequences of the batch."""
        losses = binary_cross_entropy_with_logits(logits, scaling.to_network(observed), reduction="none")
        return (losses * observed.isfinite()).sum() / len(logits)


class Balanced(nn.Module):
    """Absolute plus squared error of grey levels, each pixel weighted by its observed rain rate; mean over seen pixels.

    With weights growing with the rate the best forecast of a doubtful pixel is rain as soon as its chance is worth the
    risk: ``w / (1 + w)`` against ``1 / (1 + w)``. Without them it would be dry until rain is more likely than not, and
    heavy rain would never be forecast.

    Args:
        thresholds: rain rates (mm/h) from which each weight applies, increasing.
        weights: the weights, as many as thresholds; below the first threshold it is 1.

    Source: B-MAE and B-MSE of Shi et al. 2017 (arXiv:1706.03458), section 3.3; the weights are our own (see the
    decision page on the loss).
    """

    def __init__(
        self,
        *,
        thresholds: Sequence[float] = (0.5, 1.0, 2.0, 5.0, 10.0),
        weights: Sequence[float] = (2.5, 3.0, 4.5, 8.0, 12.0),
    ) -> None:
        super().__init__()
        if len(thresholds) != len(weights) or list(thresholds) != sorted(thresholds):
            raise ValueError(f"thresholds={list(thresholds)} must increase and match weights={list(weights)}")
        self.edges = nn.Buffer(torch.tensor(thresholds), persistent=False)
        self.table = nn.Buffer(torch.tensor([1.0, *weights]), persistent=False)

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
    ) -> Float[Tensor, ""]:
        """Weighted sum of errors over the number of observed pixels."""
        seen = observed.isfinite()
        weight = self.table[torch.bucketize(observed.nan_to_num().contiguous(), self.edges, right=True)] * seen
        error = (torch.sigmoid(logits) - scaling.to_network(observed)).abs()
        return (weight * (error + error.square())).sum() / seen.sum().clamp(min=1)


_LOSSES: dict[str, type[nn.Module]] = {"cross_entropy": CrossEntropy, "balanced": Balanced}


def make(*, name: str = "balanced", **arguments: object) -> nn.Module:
    """A loss by name; raises `ExperimentError` for a wrong name or argument."""
    if name not in _LOSSES:
        raise ExperimentError(f"[loss] name = {name!r}: there are {', '.join(sorted(_LOSSES))}")
    return construct(_LOSSES[name], arguments, where="[loss]", error=ExperimentError)
