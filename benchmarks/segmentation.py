"""The U-Net of ConvLSTMs: a training step against the same network of a plain loop of unfused cells, at equal loss."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import by_turns
from echocast.nn import ConvLSTM
from echocast.nn.activations import activation
from echocast.segmentation import UNetConvLSTM
from echocast.segmentation._decoder import Decoder, twice
from echocast.segmentation.losses import WeightedCrossEntropy

GATES = ("hard_sigmoid_keras2", "sigmoid")
"""The published gates, and those that take the fused path."""


class PlainLoop(nn.Module):
    """The layers of a `ConvLSTM` as one convolution a time step over [x, h], and single operations."""

    def __init__(self, layer: ConvLSTM, gate: str) -> None:
        super().__init__()
        cells: list[Any] = list(layer.cells)
        self.hidden: list[int] = [cell.hidden_channels for cell in cells]
        self.gate = activation(gate)
        self.convolutions = nn.ModuleList()
        for cell in cells:
            weight = torch.cat([cell.weight_x, cell.weight_h], dim=1).detach()
            made = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            made.load_state_dict({"weight": weight, "bias": cell.bias.detach()})
            self.convolutions.append(made)

    def forward(self, frames: Tensor, state: None) -> tuple[Tensor, None]:
        """The top layer's hidden states."""
        for size, convolution in zip(self.hidden, self.convolutions, strict=True):
            h = c = frames.new_zeros(len(frames), size, *frames.shape[3:])
            shown = []
            for frame in frames.unbind(1):
                i, f, g, o = convolution(torch.cat([frame, h], dim=1)).split(size, dim=1)
                c = self.gate(f) * c + self.gate(i) * torch.tanh(g)
                h = self.gate(o) * torch.tanh(c)
                shown.append(h)
            frames = torch.stack(shown, dim=1)
        return frames, None


class PlainDecoder(nn.Module):
    """A `Decoder` that repeats cells and concatenates first."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.middle, self.fine = copy.deepcopy(decoder.middle), copy.deepcopy(decoder.fine)
        self.larger = copy.deepcopy(decoder.larger)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """The logits."""
        shown = self.middle(torch.cat([middle, twice(coarse)], dim=1))
        logits: Tensor = self.fine(torch.cat([fine, twice(shown)], dim=1))
        for one in self.larger:
            logits = one(twice(logits))
        return logits


def plain(network: UNetConvLSTM) -> UNetConvLSTM:
    """The same network with the same weights, made of plain loops."""
    made = copy.deepcopy(network)
    for name in ("fine", "middle", "coarse"):
        setattr(made, name, PlainLoop(getattr(network, name), network.gate_activation))
    made.decoder = PlainDecoder(network.decoder)
    return made


def run(*, quick: bool, rounds: int, device: str) -> str:
    """The table as Markdown."""
    lines = [
        "Milliseconds of one step of training: median (quartiles). The loss is that of the first step.",
        "",
        "| batch x frames, size | gates | echocast | plain loop | times as fast | loss | plain loop's |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for batch, frames, rows, columns in ((1, 2, 8, 8),) if quick else ((2, 8, 32, 56), (1, 10, 96, 108)):
        for gate in GATES:
            torch.manual_seed(0)
            network = UNetConvLSTM(channels=3, classes=2, gate_activation=gate).to(device)
            levels = torch.rand(batch, frames, 3, rows, columns, device=device)
            labels = torch.randint(0, 2, (batch, frames, 1, 4 * rows, 4 * columns), device=device)
            steps = {name: _step(one, levels, labels) for name, one in (("ours", network), ("plain", plain(network)))}
            losses = [step() for step in steps.values()]
            times = by_turns({name: _timed(step) for name, step in steps.items()}, rounds)
            share = times["plain"].median / times["ours"].median
            case = f"{batch} x {frames}, {columns} x {rows}"
            lines.append(
                f"| {case} | {gate} | {times['ours']} | {times['plain']} | {share:.2f} |"
                f" {losses[0]:.6f} | {losses[1]:.6f} |"
            )
    return "\n".join([*lines, ""])


def _step(network: nn.Module, levels: Tensor, labels: Tensor) -> Callable[[], float]:
    loss_of = WeightedCrossEntropy()

    def step() -> float:
        network.zero_grad(set_to_none=True)
        loss = loss_of(network(levels), labels)
        loss.backward()
        return float(loss.detach())

    return step


def _timed(step: Callable[[], float]) -> Callable[[], None]:
    def once() -> None:
        step()

    return once
