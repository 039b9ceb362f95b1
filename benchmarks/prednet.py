"""PredNet: time of a training step against a plain loop of unfused cells, and whether both learn the same.

- **plain loop**: one convolution per cell over its inputs concatenated, single operations for the gates.
- **four convolutions**: one per gate, as the authors' code has it.
"""

import platform
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d

from benchmarks.timing import Candidate, by_turns
from echocast._version import __version__
from echocast.models.prednet import PredNet


@dataclass(frozen=True)
class Case:
    """A network and a batch."""

    hidden: tuple[int, ...]
    channels: int
    batch: int
    steps: int
    size: tuple[int, int]

    def __str__(self) -> str:
        layers = "-".join(map(str, (self.channels, *self.hidden)))
        return f"{layers} T={self.steps} B={self.batch} {self.size[0]}x{self.size[1]}"


CASES = (Case((48, 96, 192), 3, 4, 10, (128, 160)), Case((16, 32, 64), 1, 4, 10, (64, 80)))
QUICK = (Case((4, 6), 1, 1, 3, (8, 8)),)
LEARNING = Case((16, 24), 1, 2, 6, (32, 40))


def run(*, quick: bool = False, rounds: int = 7, device: str = "cpu") -> str:
    """Measure and tell it in Markdown.

    Args:
        quick: a tiny shape, one round: shows that it runs, says nothing about speed.
        rounds: turns of each candidate.
        device: where to measure.
    """
    cases, rounds, where = (QUICK, 1, torch.device(device)) if quick else (CASES, rounds, torch.device(device))
    machine = f"{platform.machine()} CPU" if where.type == "cpu" else torch.cuda.get_device_name(where)
    lines = [
        "# PredNet: training speed",
        "",
        f"`python -m benchmarks prednet{' --quick' * quick}`: echocast {__version__}, torch {torch.__version__}, "
        f"{machine}, {torch.get_num_threads()} threads, {rounds} turns. Milliseconds: median (quartiles).",
        (__doc__ or "").partition("\n\n")[2],
        "| training step (L_0) | echocast | plain loop | ratio | four convolutions | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        spent = by_turns(_candidates(case, where), rounds)
        ours, *others = (spent[name] for name in ("echocast", "plain", "four"))
        told = " | ".join(f"{one} | **{one.median / ours.median:.2f}**" for one in others)
        lines.append(f"| {case} | {ours} | {told} |")
    return "\n".join([*lines, "", _equal_loss(2 if quick else 40, where)]) + "\n"


def _candidates(case: Case, where: torch.device) -> dict[str, Candidate]:
    model = _model(case).to(where)
    drawn = torch.Generator().manual_seed(1)
    frames = torch.rand(case.batch, case.steps, case.channels, *case.size, generator=drawn).to(where)

    def work(name: str) -> None:
        model.zero_grad(set_to_none=True)
        loss = model.training_loss(frames, 1) if name == "echocast" else plain_loss(model, frames, apart=name == "four")
        torch.autograd.backward(loss)
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    def candidate(name: str) -> Candidate:
        return lambda: work(name)

    return {name: candidate(name) for name in ("echocast", "plain", "four")}


def _model(case: Case) -> PredNet:
    torch.manual_seed(0)
    return PredNet(channels=case.channels, hidden_channels=case.hidden)


def plain_loss(model: PredNet, frames: Tensor, *, apart: bool) -> Tensor:
    """The loss L_0 with the same weights, by a plain loop; `apart`: with one convolution for each gate."""
    sizes = model.layers.sizes
    batch, steps, _, rows, columns = frames.shape
    r = [frames.new_zeros(batch, n, rows >> k, columns >> k) for k, n in enumerate(sizes)]
    c, e = list(r), [torch.cat([zero, zero], dim=1) for zero in r]
    losses = []
    for t in range(steps):
        for k in reversed(range(len(sizes))):
            seen = [r[k], e[k]] + ([interpolate(r[k + 1], scale_factor=2.0)] if k + 1 < len(sizes) else [])
            i, f, o, g = _gates(torch.cat(seen, dim=1), model.layers.cells[k], apart=apart)
            i, f, o = (torch.clamp(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
            c[k] = f * c[k] + i * torch.tanh(g)
            r[k] = o * torch.tanh(c[k])
        target = frames[:, t]
        for k in range(len(sizes)):
            made = torch.relu(model.layers.predictions[k](r[k]))
            made = made.clamp(max=1.0) if k == 0 else made
            e[k] = torch.cat([torch.relu(made - target), torch.relu(target - made)], dim=1)
            if k + 1 < len(sizes):
                target = max_pool2d(torch.relu(model.layers.targets[k](e[k])), 2)
        losses.append(e[0].mean())
    return torch.stack(losses[1:]).mean()


def _gates(seen: Tensor, cell: nn.Module, *, apart: bool) -> list[Tensor]:
    weight, bias = cell.get_parameter("weight"), cell.get_parameter("bias")
    if not apart:
        return list(conv2d(seen, weight, bias, padding=1).chunk(4, dim=1))
    pairs = zip(weight.chunk(4), bias.chunk(4), strict=True)
    return [conv2d(seen, own, own_bias, padding=1) for own, own_bias in pairs]


def _equal_loss(steps: int, where: torch.device) -> str:
    """The same short training twice."""
    lines = [f"{steps} steps of Adam on {LEARNING}, drifting waves, the same for both.", ""]
    lines += ["| path | loss at the start | loss at the end |", "|---|---|---|"]
    for name in ("plain loop", "echocast"):
        model = _model(LEARNING).to(where)
        adam, losses, drawn = torch.optim.Adam(model.parameters(), 2e-3), [], torch.Generator().manual_seed(1)
        for _ in range(steps):
            frames = _waves(drawn).to(where)
            loss = model.training_loss(frames, 1) if name == "echocast" else plain_loss(model, frames, apart=False)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            losses.append(float(loss.detach()))
        lines.append(f"| {name} | {losses[0]:.5f} | {losses[-1]:.5f} |")
    return "\n".join(lines)


def _waves(drawn: torch.Generator) -> Tensor:
    phase, speed = (torch.rand(LEARNING.batch, 1, 1, 1, 1, generator=drawn) for _ in range(2))
    rows, columns = (torch.arange(side).float() for side in LEARNING.size)
    along = rows[:, None] / 7 + columns / 5 + torch.arange(LEARNING.steps).view(1, -1, 1, 1, 1) * speed
    return 0.5 + 0.5 * torch.sin(along + 6 * phase)
