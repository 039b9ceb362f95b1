"""The recurrent layers on shapes of every day: small grids and batches, odd grids, large kernels, one and three
dimensions, ConvGRU.

- **usual**: one convolution over [x, h] per step, single operations for the gates, in as many dimensions. That of a
  ConvGRU has a second one, over [x, r h].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.timing import by_turns, geometric_mean
from echocast._version import __version__
from echocast.nn import ConvGRU, ConvLSTM


@dataclass(frozen=True)
class Case:
    """One layer and its input, (steps, batch, inputs, *grid)."""

    kind: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    kernel: int
    grid: tuple[int, ...]

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.grid))
        return f"{self.kind} T={self.steps} B={self.batch} {self.inputs}->{self.hidden} k{self.kernel} {sizes}"


CASES = (
    Case("ConvLSTM", 20, 1, 1, 8, 3, (32, 32)),
    Case("ConvLSTM", 20, 4, 8, 8, 3, (16, 16)),
    Case("ConvLSTM", 20, 4, 16, 16, 3, (64, 64)),
    Case("ConvLSTM", 10, 4, 16, 32, 3, (33, 33)),
    Case("ConvLSTM", 10, 4, 16, 32, 3, (50, 62)),
    Case("ConvLSTM", 4, 4, 64, 64, 3, (64, 64)),
    Case("ConvLSTM", 4, 4, 1, 64, 3, (64, 64)),
    Case("ConvLSTM", 6, 4, 16, 16, 7, (32, 32)),
    Case("ConvLSTM", 10, 8, 16, 32, 5, (512,)),
    Case("ConvLSTM", 4, 1, 4, 16, 3, (24, 24, 24)),
    Case("ConvGRU", 10, 4, 1, 32, 3, (64, 64)),
    Case("ConvGRU", 10, 4, 32, 32, 3, (32, 32)),
    Case("ConvGRU", 20, 1, 16, 16, 3, (32, 32)),
    Case("ConvGRU", 10, 4, 16, 16, 3, (64, 64)),
    Case("ConvGRU", 10, 1, 64, 64, 3, (32, 32)),
    Case("ConvGRU", 4, 4, 64, 64, 3, (64, 64)),
)
QUICK = (Case("ConvLSTM", 2, 1, 1, 4, 3, (8, 8)), Case("ConvGRU", 2, 1, 1, 4, 3, (4, 4, 4)))


class UsualLayer(nn.Module):
    """The usual loop for one kind of layer."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.hidden, self.is_lstm = case.hidden, case.kind == "ConvLSTM"
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(case.grid) - 1]
        sizes, pad = case.inputs + case.hidden, case.kernel // 2
        self.gates = convolution(sizes, (4 if self.is_lstm else 2) * case.hidden, case.kernel, padding=pad)
        self.candidate = None if self.is_lstm else convolution(sizes, case.hidden, case.kernel, padding=pad)

    def forward(self, x: Tensor) -> Tensor:
        """All hidden states, (time, batch, hidden, *grid)."""
        h = c = x.new_zeros(x.shape[1], self.hidden, *x.shape[3:])
        outputs = []
        for frame in x:
            gates = self.gates(torch.cat([frame, h], dim=1))
            if self.candidate is None:
                i, f, o, g = gates.chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:
                r, u = torch.sigmoid(gates).chunk(2, dim=1)
                h = u * h + (1 - u) * torch.tanh(self.candidate(torch.cat([frame, r * h], dim=1)))
            outputs.append(h)
        return torch.stack(outputs)


def run(*, quick: bool = False, rounds: int = 7, device: str = "cpu") -> str:
    """Measure every shape and tell it in Markdown."""
    cases, rounds = (QUICK, 1) if quick else (CASES, rounds)
    report = [
        "# Recurrent layers: shapes of every day",
        f"`python -m benchmarks everyday{' --quick' * quick}{' --cpu-time' * timing.is_of_processor()}`: "
        f"echocast {__version__}, torch {torch.__version__}, "
        f"{timing.processor()}, {torch.get_num_threads()} threads, "
        f"{rounds} turns, 32 bits. Milliseconds{timing.of_what()}: median (quartiles).",
        (__doc__ or "").partition("\n\n")[2].strip(),
        _table(cases, rounds, torch.device(device)),
    ]
    return "\n\n".join(report) + "\n"


def _table(cases: tuple[Case, ...], rounds: int, where: torch.device) -> str:
    lines = ["| shape | inference | usual | ratio | training step | usual | ratio |", "|---|---|---|---|---|---|---|"]
    ratios: list[list[float]] = [[], []]
    for case in cases:
        torch.manual_seed(0)
        kernels: dict[str, Any] = {"input_kernel": case.kernel, "state_kernel": case.kernel, "dims": len(case.grid)}
        if case.kind == "ConvLSTM":
            layer: nn.Module = ConvLSTM(case.inputs, case.hidden, peephole=None, **kernels)
        else:
            layer = ConvGRU(case.inputs, case.hidden, **kernels)
        x, cells = torch.randn(case.steps, case.batch, case.inputs, *case.grid, device=where), []
        layers = {"echocast": layer.to(where), "usual": UsualLayer(case).to(where)}
        for work, found in zip((_infer, _train), ratios, strict=True):
            spent = by_turns({name: _bound(work, one, x) for name, one in layers.items()}, rounds)
            found.append(spent["usual"].median / spent["echocast"].median)
            cells.append(f"{spent['echocast']} | {spent['usual']} | **{found[-1]:.2f}**")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    for name, found in zip(("inference", "training"), ratios, strict=True):
        lines += ["", f"- {name}: geometric mean of the ratios {geometric_mean(found):.2f}, least {min(found):.2f}"]
    return "\n".join(lines)


def _bound(work: Callable[[nn.Module, Tensor], None], layer: nn.Module, x: Tensor) -> Callable[[], None]:
    return lambda: work(layer, x)


def _infer(layer: nn.Module, x: Tensor) -> None:
    with torch.inference_mode():
        layer(x)


def _train(layer: nn.Module, x: Tensor) -> None:
    made = layer(x)
    (made if isinstance(made, Tensor) else made[0]).pow(2).mean().backward()
