"""Losses: one number from the network's logits and the observed frames, which training makes small.

Each loss takes ``(logits, observed, scaling, time_step_minutes)``: logits of grey levels and values in the unit of the
field (mm/h of rain), both (batch, lead, channel, y, x), and the time between leads. Pixels that were not observed (NaN)
are left out.

    >>> import torch
    >>> from echocast.models.scaling import RainScaling
    >>> float(CrossEntropy()(torch.zeros(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2), RainScaling())) > 0
    True
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from echocast.errors import ExperimentError
from echocast.models.scaling import Scaling
from echocast.plugins import construct


class CrossEntropy(nn.Module):
    """The paper's loss: binary cross-entropy of grey levels, in nats, summed over a sequence's leads and pixels.

    Args:
        missing_is_dry: pixels that were not observed count as grey level 0, as in the paper's pictures; else they are
            left out, as by the other losses.

    Source: Shi et al. 2015, section 4; targets are grey levels, so the loss has a floor above 0.
    """

    def __init__(self, *, missing_is_dry: bool = False) -> None:
        super().__init__()
        self.missing_is_dry = missing_is_dry

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Mean over the sequences of the batch."""
        losses = binary_cross_entropy_with_logits(logits, scaling.to_network(observed), reduction="none")
        if not self.missing_is_dry:
            losses = losses * observed.isfinite()
        return losses.sum() / len(logits)


class MSE(nn.Module):
    """Mean squared error of grey levels, over observed pixels."""

    power = 2

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Sum of errors over the number of observed pixels."""
        seen = observed.isfinite()
        error = (torch.sigmoid(logits) - scaling.to_network(observed)).abs() ** self.power
        return (error * seen).sum() / seen.sum().clamp(min=1)


class MAE(MSE):
    """Mean absolute error of grey levels, over observed pixels."""

    power = 1


class Balanced(nn.Module):
    """Absolute plus squared error of grey levels, each pixel weighted by its observed rain rate; their mean.

    With weights that grow with the rate the best forecast of an uncertain pixel is rain from a probability of
    ``1 / (1 + w)`` on. Without them it would be dry until rain is more likely than not, and heavy rain would never be
    forecast.

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
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Weighted sum of errors over the number of observed pixels."""
        seen = observed.isfinite()
        weight = self.table[torch.bucketize(observed.nan_to_num().contiguous(), self.edges, right=True)] * seen
        error = (torch.sigmoid(logits) - scaling.to_network(observed)).abs()
        return (weight * (error + error.square())).sum() / seen.sum().clamp(min=1)


class Firm(nn.Module):
    """The FIRM score over all rain rates: a miss costs more than a false alarm, by a factor for each rate and lead.

    A false alarm costs 1, a miss costs w, summed over all rates; so the best forecast exceeds a rate wherever the
    probability of that is above ``1 / (1 + w)``. The forecast with the best CSI is the one with ``w = 1 / CSI``: long
    leads and heavy rain, whose CSI is low, are forecast at a lower probability. With w = 1 everywhere it is the mean
    absolute error.

    Args:
        rates: rain rates (mm/h), increasing; each stands for the rates around it.
        weights: how much the rates around each count, per grey level.
        csi: the CSI to be expected at each rate in the first minutes.
        csi_decay_minutes: after how many minutes that is e times less, at each rate.
        min_csi: the CSI is never taken to be lower, so a miss never costs more than its inverse.
        mse_weight: how much the squared error of rain rates (mm2/h2) counts beside, in the first minutes.
        mse_decay_minutes: after how many minutes that is e times less.

    Source: the FIRM score of Taggart, Loveday and Griffiths 2022, doi:10.1002/qj.4266, with a continuum of categories;
    the costs of a miss are our own (see the decision page on the Lagrangian forecaster).
    """

    def __init__(
        self,
        *,
        rates: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
        weights: Sequence[float] = (0.3, 1.0, 1.5, 2.0, 3.5, 5.0, 5.0),
        csi: Sequence[float] = (0.78, 0.74, 0.67, 0.60, 0.52, 0.5, 0.4),
        csi_decay_minutes: Sequence[float] = (110.0, 95.0, 72.0, 55.0, 36.0, 25.0, 15.0),
        min_csi: float = 0.09,
        mse_weight: float = 0.02,
        mse_decay_minutes: float = 30.0,
    ) -> None:
        super().__init__()
        if not len(rates) == len(weights) == len(csi) == len(csi_decay_minutes) or list(rates) != sorted(rates):
            raise ValueError(f"rates={list(rates)} must increase and be as many as weights, csi and csi_decay_minutes")
        self.min_csi, self.mse_weight, self.mse_decay_minutes = min_csi, mse_weight, mse_decay_minutes
        self.rates = list(rates)
        for name, values in (("weights", weights), ("csi", csi), ("csi_decay_minutes", csi_decay_minutes)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def miss_cost(self, minutes: Float[Tensor, "lead"]) -> Float[Tensor, "rate lead"]:
        """What a miss costs, in false alarms."""
        csi = self.get_buffer("csi")[:, None] * torch.exp(-minutes / self.get_buffer("csi_decay_minutes")[:, None])
        return 1.0 / csi.clamp(min=self.min_csi)

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Mean cost over observed pixels."""
        leads = torch.arange(1, logits.shape[1] + 1, device=logits.device)
        miss = self.miss_cost(leads * time_step_minutes).view(len(self.rates), 1, -1, 1, 1, 1)
        levels = [scaling.level(rate) for rate in self.rates]
        edges = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
        seen = observed.isfinite()
        forecast, truth = torch.sigmoid(logits), scaling.to_network(observed)
        cost = torch.zeros_like(logits)
        for n, (low, high) in enumerate(pairwise(edges)):
            short = truth.clamp(low, high) - forecast.clamp(low, high)
            cost = cost + self.get_buffer("weights")[n] * torch.where(short > 0, miss[n] * short, -short)
        if self.mse_weight:
            counts = self.mse_weight * torch.exp(-leads * time_step_minutes / self.mse_decay_minutes).view(
                1, -1, 1, 1, 1
            )
            cost = cost + counts * (scaling.to_smooth_values(forecast) - observed.nan_to_num(0.0)).square()
        return (cost * seen).sum() / seen.sum().clamp(min=1)


class EnsembleCrps(nn.Module):
    """The almost fair CRPS of a few members: of rain rates, of their means over squares and leads, and of grey levels.

    Pixel by pixel alone, noise of any scale would do; the means over squares and over leads tell how far errors are
    alike in space and time.

    Args:
        members: how many are made of each window to learn from.
        fairness: the share of the fair CRPS, which knows that members are few; the rest is that of these members as
            they are, without which all but one could be anything.
        pool_sizes: sides of the squares (cells).
        level_weight: the weight of the CRPS of grey levels, which counts light rain too, beside that of rates in mm/h.

    Source: Lang et al. 2024 (arXiv:2412.15832), equation 4, for the almost fair CRPS.
    """

    def __init__(
        self,
        *,
        members: int = 4,
        fairness: float = 0.95,
        pool_sizes: Sequence[int] = (1, 4, 16),
        level_weight: float = 2.0,
    ) -> None:
        super().__init__()
        if members < 2:
            raise ValueError(f"members={members}: a spread needs at least 2")
        self.members, self.fairness = members, fairness
        self.pool_sizes, self.level_weight = tuple(pool_sizes), level_weight

    def forward(
        self,
        logits: Float[Tensor, "batch member lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Sum over grey levels, rates at each pool size and means over leads, each a mean over windows and pixels."""
        seen = observed.isfinite()
        truth = observed.nan_to_num(0.0)
        grey = torch.sigmoid(logits)
        total = self.level_weight * self._mean(grey, scaling.to_network(observed), seen, 1)
        rates = scaling.to_smooth_values(grey)
        for side in self.pool_sizes:
            total = total + self._mean(rates, truth, seen, side)
        always = seen.all(dim=1, keepdim=True)
        return total + self._mean(rates.mean(dim=2, keepdim=True), truth.mean(dim=1, keepdim=True), always, 4)

    def _mean(self, members: Tensor, truth: Tensor, seen: Tensor, side: int) -> Tensor:
        known = _pooled(seen.to(truth), side) > 0
        members = _pooled(members * seen.unsqueeze(1), side)
        truth = _pooled(truth * seen, side)
        count = self.members
        apart = torch.zeros_like(truth)
        for a in range(count):
            for b in range(a):
                apart = apart + (members[:, a] - members[:, b]).abs()
        fair = 1.0 - (1.0 - self.fairness) / count
        crps: Tensor = (members - truth.unsqueeze(1)).abs().mean(dim=1) - fair * apart / (count * (count - 1))
        total: Tensor = (crps * known).sum() / known.sum().clamp(min=1)
        return total


def _pooled(values: Tensor, side: int) -> Tensor:
    """Means over squares of `side` cells."""
    if side == 1:
        return values
    means = avg_pool2d(values.reshape(-1, 1, *values.shape[-2:]), side)
    return means.reshape(*values.shape[:-2], *means.shape[-2:])


def entropy_floor(levels: Float[Tensor, "batch time channel y x"]) -> float:
    """The cross-entropy (nats per sequence) that a perfect forecast has: the entropy of the grey levels themselves."""
    clipped = levels.clamp(1e-7, 1 - 1e-7)
    return float(-(levels * clipped.log() + (1 - levels) * (1 - clipped).log()).sum() / len(levels))


_LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "mse": MSE,
    "mae": MAE,
    "balanced": Balanced,
    "firm": Firm,
    "ensemble_crps": EnsembleCrps,
}


def make(*, name: str = "balanced", **arguments: object) -> nn.Module:
    """A loss by name; raises `ExperimentError` for a wrong name or argument."""
    if name not in _LOSSES:
        raise ExperimentError(f"[loss] name = {name!r}: there are {', '.join(sorted(_LOSSES))}")
    return construct(_LOSSES[name], arguments, where="[loss]", error=ExperimentError)
