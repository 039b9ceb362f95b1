"""How weights follow gradients: AdamW, or RMSProp as the authors of the ConvLSTM have it; the learning rate by step.

>>> import torch
>>> weight = torch.nn.Parameter(torch.ones(1))
>>> optimiser = RMSProp([weight], lr=0.1)
>>> weight.grad = torch.ones(1)
>>> optimiser.step()
>>> round(weight.item(), 3)  # 1 - 0.1 / sqrt(0.1 + 1e-6)
0.684
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from echocast.errors import ExperimentError


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """The table ``[optimiser]``: the learning rate rises, stays and falls in straight lines.

    Args:
        name: "adamw", or "rmsprop" (see `RMSProp`).
        learning_rate: the rate between rise and fall.
        warmup: steps of rise; 0 starts with the full rate.
        decay_fraction: share of all steps, at the end, over which the rate falls to 0; 0 keeps it.
        gradient_clip: the largest norm of a gradient, longer ones are shortened to it; 0 leaves all as they are.
        ema_decay: how much of the averaged weights each step keeps; 0 keeps no average.
        weight_decay: how much of each weight a step at a learning rate of 1 takes away, beside its gradient; "adamw"
            only.
        rms_decay: how much of the mean squared gradient each step keeps; "rmsprop" only.
        epsilon: added to the mean squared gradient, inside the root; "rmsprop" only.

    Raises:
        ExperimentError: a weight decay for "rmsprop", which has none.
    """

    name: Literal["adamw", "rmsprop"] = "adamw"
    learning_rate: float = 1e-3
    warmup: int = 50
    decay_fraction: float = 0.4
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    weight_decay: float = 0.0
    rms_decay: float = 0.9
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.name == "rmsprop" and self.weight_decay:
            raise ExperimentError(
                f"optimiser.weight_decay = {self.weight_decay:g} needs optimiser.name = 'adamw'; 'rmsprop' has none"
            )

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch's optimiser of some parameters, at the full learning rate."""
        if self.name == "rmsprop":
            return RMSProp(parameters, lr=self.learning_rate, decay=self.rms_decay, eps=self.epsilon)
        return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=self.weight_decay)

    def factor(self, step: int, steps: int) -> float:
        """The share of `learning_rate` to use at a step out of `steps`."""
        rising = (step + 1) / max(1, self.warmup)
        if not self.decay_fraction:
            return min(1.0, rising)
        falling = (steps - step) / max(1.0, self.decay_fraction * steps)
        return max(0.0, min(1.0, rising, falling))


class RMSProp(torch.optim.Optimizer):
    """``p -= lr g / sqrt(m + eps)`` with ``m`` a running mean of ``g^2``: eps is inside the root, unlike PyTorch's.

    Args:
        params: what to change.
        lr: learning rate.
        decay: how much of the running mean each step keeps.
        eps: what keeps the root from 0.

    Source: the published scripts of Shi et al. 2015 (arXiv:1506.04214).
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float = 1e-3, decay: float = 0.9, eps: float = 1e-6
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once, after the loss and gradients of `closure` if there is one; returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._follow(parameter, parameter.grad, group)
        return loss

    def _follow(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"]
        mean.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        parameter.addcdiv_(gradient, (mean + group["eps"]).sqrt_(), value=-group["lr"])
