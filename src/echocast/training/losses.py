"""What training makes small: one number from the network's logits and the observed rain.

Each loss takes ``(logits, observed, scaling, time_step_minutes)``: logits of grey levels and rain rates (mm/h), both
(batch, lead, channel, y, x), and the time between leads. Pixels that nobody observed (NaN) enter none of them.

    >>> import torch
    >>> from echocast.models.scaling import RainScaling, Scaling
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

    Source: Shi et al. 2015, section 4; targets are grey levels, so the loss has a floor above 0.
    """

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
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
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Weighted sum of errors over the number of observed pixels."""
        seen = observed.isfinite()
        weight = self.table[torch.bucketize(observed.nan_to_num().contiguous(), self.edges, right=True)] * seen
        error = (torch.sigmoid(logits) - scaling.to_network(observed)).abs()
        return (weight * (error + error.square())).sum() / seen.sum().clamp(min=1)


class FixedRisk(nn.Module):
    """The cost of warning or not at every rain rate: a miss costs more than a false alarm, by a factor for each rate.

    At each rate a forecast either says rain or not. Said in vain it costs 1, missed it costs the odds w of that rate
    and lead, and the loss is the cost over all rates, so the best forecast exceeds a rate wherever its chance is above
    ``1 / (1 + w)``. The forecast with the best CSI is the one with ``w = 1 / CSI``: long leads and heavy rain, whose
    CSI is low, are forecast at a lower chance. With w = 1 everywhere it is the mean absolute error.

    Args:
        rates: rain rates (mm/h), increasing; each stands for the rates around it.
        shares: how much the rates around each count, per grey level.
        skill: the CSI to be expected at each rate in the first minutes.
        lasting: after how many minutes that is e times less, at each rate.
        least: the CSI is never taken to be lower, so the odds are never above its inverse.
        squares: how much the squared error of rain rates (mm2/h2) counts beside, in the first minutes.
        squares_last: after how many minutes that is e times less.

    Source: the FIRM score of Taggart, Loveday and Griffiths 2022, doi:10.1002/qj.4266, with a continuum of categories;
    the odds are our own (see the decision page on the Lagrangian forecaster).
    """

    def __init__(
        self,
        *,
        rates: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
        shares: Sequence[float] = (0.3, 1.0, 1.5, 2.0, 3.5, 5.0, 5.0),
        skill: Sequence[float] = (0.78, 0.74, 0.67, 0.60, 0.52, 0.5, 0.4),
        lasting: Sequence[float] = (110.0, 95.0, 72.0, 55.0, 36.0, 25.0, 15.0),
        least: float = 0.09,
        squares: float = 0.02,
        squares_last: float = 30.0,
    ) -> None:
        super().__init__()
        if not len(rates) == len(shares) == len(skill) == len(lasting) or list(rates) != sorted(rates):
            raise ValueError(f"rates={list(rates)} must increase and be as many as shares, skill and lasting")
        self.least, self.squares, self.squares_last = least, squares, squares_last
        self.rates = list(rates)
        for name, values in (("shares", shares), ("skill", skill), ("lasting", lasting)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def odds(self, minutes: Float[Tensor, "lead"]) -> Float[Tensor, "rate lead"]:
        """What a miss costs in false alarms."""
        skill = self.get_buffer("skill")[:, None] * torch.exp(-minutes / self.get_buffer("lasting")[:, None])
        return 1.0 / skill.clamp(min=self.least)

    def forward(
        self,
        logits: Float[Tensor, "batch lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Mean cost over observed pixels."""
        leads = torch.arange(1, logits.shape[1] + 1, device=logits.device)
        odds = self.odds(leads * time_step_minutes).view(len(self.rates), 1, -1, 1, 1, 1)
        levels = [scaling.level(rate) for rate in self.rates]
        edges = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
        seen = observed.isfinite()
        forecast, truth = torch.sigmoid(logits), scaling.to_network(observed)
        cost = torch.zeros_like(logits)
        for n, (low, high) in enumerate(pairwise(edges)):
            short = truth.clamp(low, high) - forecast.clamp(low, high)
            cost = cost + self.get_buffer("shares")[n] * torch.where(short > 0, odds[n] * short, -short)
        if self.squares:
            counts = self.squares * torch.exp(-leads * time_step_minutes / self.squares_last).view(1, -1, 1, 1, 1)
            cost = cost + counts * (scaling.to_smooth_values(forecast) - observed.nan_to_num(0.0)).square()
        return (cost * seen).sum() / seen.sum().clamp(min=1)


class MembersCrps(nn.Module):
    """The almost fair CRPS of a few members: of rain rates, of their means over squares and leads, and of grey levels.

    Pixel by pixel alone, noise of any scale would do; the means over squares and over leads tell how far the doubt
    reaches in space and time.

    Args:
        members: how many are made of each window to learn from.
        fairness: the share of the fair CRPS, which knows that members are few; the rest is that of these members as
            they are, without which all but one could be anything.
        squares: sides of the squares (cells).
        levels: the share of the CRPS of grey levels, which looks at light rain too, in grey levels a mm/h.

    Source: Lang et al. 2024 (arXiv:2412.15832), equation 4, for the almost fair CRPS.
    """

    def __init__(
        self, *, members: int = 4, fairness: float = 0.95, squares: Sequence[int] = (1, 4, 16), levels: float = 2.0
    ) -> None:
        super().__init__()
        if members < 2:
            raise ValueError(f"members={members}: a spread needs at least 2")
        self.members, self.fairness, self.squares, self.levels = members, fairness, tuple(squares), levels

    def forward(
        self,
        logits: Float[Tensor, "batch member lead channel y x"],
        observed: Float[Tensor, "batch lead channel y x"],
        scaling: Scaling,
        time_step_minutes: float = 5.0,
    ) -> Float[Tensor, ""]:
        """Mean over windows, leads, squares and the kinds of means."""
        seen = observed.isfinite()
        truth = observed.nan_to_num(0.0)
        grey = torch.sigmoid(logits)
        total = self.levels * self._mean(grey, scaling.to_network(observed), seen, 1)
        rates = scaling.to_smooth_values(grey)
        for side in self.squares:
            total = total + self._mean(rates, truth, seen, side)
        always = seen.all(dim=1, keepdim=True)
        return total + self._mean(rates.mean(dim=2, keepdim=True), truth.mean(dim=1, keepdim=True), always, 4)

    def _mean(self, members: Tensor, truth: Tensor, seen: Tensor, side: int) -> Tensor:
        known = _squares(seen.to(truth), side) > 0
        members = _squares(members * seen.unsqueeze(1), side)
        truth = _squares(truth * seen, side)
        count = self.members
        apart = torch.zeros_like(truth)
        for a in range(count):
            for b in range(a):
                apart = apart + (members[:, a] - members[:, b]).abs()
        fair = 1.0 - (1.0 - self.fairness) / count
        crps: Tensor = (members - truth.unsqueeze(1)).abs().mean(dim=1) - fair * apart / (count * (count - 1))
        total: Tensor = (crps * known).sum() / known.sum().clamp(min=1)
        return total


def _squares(values: Tensor, side: int) -> Tensor:
    """Means over squares of `side` cells."""
    if side == 1:
        return values
    means = avg_pool2d(values.reshape(-1, 1, *values.shape[-2:]), side)
    return means.reshape(*values.shape[:-2], *means.shape[-2:])


_LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "balanced": Balanced,
    "fixed_risk": FixedRisk,
    "members": MembersCrps,
}


def make(*, name: str = "balanced", **arguments: object) -> nn.Module:
    """A loss by name; raises `ExperimentError` for a wrong name or argument."""
    if name not in _LOSSES:
        raise ExperimentError(f"[loss] name = {name!r}: there are {', '.join(sorted(_LOSSES))}")
    return construct(_LOSSES[name], arguments, where="[loss]", error=ExperimentError)
