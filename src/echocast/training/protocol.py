"""Training as the authors of the ConvLSTM did: cross-entropy summed over a sequence, RMSProp, best weights kept.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimiser = RMSProp([weight], lr=0.1)
    >>> weight.grad = torch.ones(1)
    >>> optimiser.step()
    >>> round(weight.item(), 3)  # 1 - 0.1 / sqrt(0.1 + 1e-6)
    0.684

Source: Shi et al. 2015 (arXiv:1506.04214), section 4, and the authors' published scripts.
"""

import csv
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from echocast.errors import ExperimentError
from echocast.models import base


class RMSProp(torch.optim.Optimizer):
    """``p -= lr g / sqrt(m + eps)`` with ``m`` a running mean of ``g^2``: eps is inside the root, unlike PyTorch's.

    Args:
        params: what to change.
        lr: learning rate.
        decay: how much of the running mean each step keeps.
        eps: what keeps the root from 0.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float = 1e-3, decay: float = 0.9, eps: float = 1e-6
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the parameters once."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                mean, gradient = state["mean"], parameter.grad
                mean.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
                parameter.addcdiv_(gradient, (mean + group["eps"]).sqrt_(), value=-group["lr"])


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a network may learn.

    Args:
        sequences: training sequences seen in all, each batch drawn anew.
        batch: sequences a step.
        validations: how many times, evenly, the validation sequences are scored and the best weights kept.
        learning_rate: of RMSProp.
        seed: of the first weights and of the order of sequences.
        bf16: whether the products are made in 16 bits.
    """

    sequences: int
    batch: int = 16
    validations: int = 10
    learning_rate: float = 1e-3
    seed: int = 1000
    bf16: bool = False

    @property
    def steps(self) -> int:
        """Batches in all."""
        return max(1, self.sequences // self.batch)


Part = Callable[[np.ndarray], Float[Tensor, "batch time channel y x"]]
"""Sequences in grey levels by their numbers."""


@dataclass(frozen=True)
class Sequences:
    """A set to draw from: how many sequences, and how to get some of them."""

    count: int
    get: Part


def cross_entropy(
    logits: Float[Tensor, "batch time channel y x"], levels: Float[Tensor, "batch time channel y x"]
) -> Float[Tensor, ""]:
    """Nats per sequence: summed over frames and pixels, averaged over sequences."""
    return binary_cross_entropy_with_logits(logits.float(), levels, reduction="sum") / len(levels)


def entropy_floor(levels: Float[Tensor, "batch time channel y x"]) -> float:
    """The cross-entropy (nats per sequence) that a perfect forecast has: the entropy of the grey levels themselves."""
    clipped = levels.clamp(1e-7, 1 - 1e-7)
    return float(-(levels * clipped.log() + (1 - levels) * (1 - clipped).log()).sum() / len(levels))


def learn(
    make: Callable[[], base.LearnedForecaster],
    train: Sequences,
    validation: Sequences,
    out: Path,
    *,
    past: int,
    budget: Budget,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> base.LearnedForecaster:
    """Train a network into the folder `out`, or go on where it stopped, and give its best weights.

    Writes ``weights.safetensors``, ``last.pt`` (to go on from) and ``metrics.csv``, each whole or not at all.

    Raises:
        ExperimentError: the loss is no number, or the folder holds a run with another budget.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(budget.seed)
    model = make().to(device)
    optimiser = RMSProp(model.parameters(), lr=budget.learning_rate)
    done = _resumed(out / "last.pt", model, optimiser, budget)
    every = max(1, budget.steps // budget.validations)
    best = done["best"]
    begun = time.monotonic() - done["seconds"]
    for step in range(done["step"], budget.steps):
        rng = np.random.default_rng([budget.seed, step])
        windows = train.get(rng.choice(train.count, budget.batch, replace=train.count < budget.batch)).to(device)
        model.train()
        with torch.autocast(device, torch.bfloat16, enabled=budget.bf16):
            logits = model(windows[:, :past], windows.shape[1] - past)
        loss = cross_entropy(logits, windows[:, past:])
        if not math.isfinite(float(loss.detach())):
            raise ExperimentError(f"{out}: the loss is {float(loss.detach())} at step {step}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % every == 0 or step + 1 == budget.steps:
            score = validate(model, validation, past=past, device=device)
            seconds = time.monotonic() - begun
            say(
                f"{out.name}: step {step + 1} of {budget.steps}, {seconds:.0f} s, loss {float(loss.detach()):.1f},"
                f" validation {score:.1f} nats a sequence"
            )
            if score < best:
                best = score
                base.save(model, out / "weights.safetensors")
            _keep(
                out,
                model,
                optimiser,
                budget,
                {"step": step + 1, "best": best, "seconds": seconds},
                {"step": step + 1, "seconds": seconds, "train": float(loss.detach()), "validation": score},
            )
    kept = base.load(out / "weights.safetensors")
    assert isinstance(kept, base.LearnedForecaster)  # it was saved from one
    return kept


@torch.no_grad()
def validate(
    model: base.LearnedForecaster, part: Sequences, *, past: int, device: str = "cpu", batch: int = 32
) -> float:
    """Cross-entropy in nats per sequence over all of a part."""
    model.eval()
    total = 0.0
    for begin in range(0, part.count, batch):
        windows = part.get(np.arange(begin, min(begin + batch, part.count))).to(device)
        total += float(cross_entropy(model(windows[:, :past], windows.shape[1] - past), windows[:, past:])) * len(
            windows
        )
    return total / part.count


def _resumed(path: Path, model: nn.Module, optimiser: RMSProp, budget: Budget) -> dict[str, Any]:
    if not path.exists():
        return {"step": 0, "best": math.inf, "seconds": 0.0}
    last = torch.load(path, weights_only=True)
    if last["budget"] != asdict(budget):
        raise ExperimentError(
            f"{path.parent}: holds a run with {last['budget']}, not {asdict(budget)}; take another folder"
        )
    model.load_state_dict(last["model"])
    optimiser.load_state_dict(last["optimiser"])
    return dict(last["done"])


def _keep(
    out: Path, model: nn.Module, optimiser: RMSProp, budget: Budget, done: dict[str, Any], row: dict[str, float]
) -> None:
    partial = out / ".last.pt.partial"
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "budget": asdict(budget), "done": done}
    torch.save(state, partial)
    partial.replace(out / "last.pt")
    path = out / "metrics.csv"
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
