"""What is usually done: per step one convolution over [x, h] concatenated, gates by single operations, frames stacked.

The candidate that our layers are measured against; its equations are those of ndrplz' and torchgeo's layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UsualCell(nn.Module):
    """One layer, one step."""

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The next ``(h, c)``."""
        seen = h if x is None else torch.cat([x, h], dim=1)
        i, f, o, g = torch.split(self.conv(seen), self.hidden, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def sequence(self, x: Tensor | None, h: Tensor, c: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """All hidden states (batch, time, ...) and the last state."""
        outputs = []
        for t in range(steps):
            h, c = self(None if x is None else x[:, t], h, c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h, c


class UsualNetwork(nn.Module):
    """The paper's encoder and forecaster of such cells."""

    def __init__(self, patch: int, hidden: Sequence[int], kernel: int) -> None:
        super().__init__()
        inputs = patch**2
        self.patch = patch
        self.encoder = nn.ModuleList(UsualCell(i, n, kernel) for i, n in zip([inputs, *hidden], hidden, strict=False))
        self.forecaster = nn.ModuleList(UsualCell(i, n, kernel) for i, n in zip([0, *hidden], hidden, strict=False))
        self.output = nn.Conv2d(sum(hidden), inputs, 1)

    def forward(self, past: Tensor, steps: int) -> Tensor:
        """The future's logits, (batch, time, 1, y, x)."""
        x: Tensor | None = nn.functional.pixel_unshuffle(past, self.patch)
        assert x is not None  # for the type checker: the variable is reused below
        zero, states = x.new_zeros(x.shape[0], 1, *x.shape[3:]), []
        encoder, forecaster = (_cells(layers) for layers in (self.encoder, self.forecaster))
        for cell in encoder:
            start = zero.expand(-1, cell.hidden, -1, -1)
            x, h, c = cell.sequence(x, start, start, past.shape[1])
            states.append((h, c))
        first, below, layers = torch.cat([h for h, _ in states], dim=1), None, []
        for cell, (h, c) in zip(forecaster, states, strict=True):
            below, *_ = cell.sequence(below, h, c, steps - 1)
            layers.append(below)
        features = torch.cat([first.unsqueeze(1), torch.cat(layers, dim=2)], dim=1)
        logits = self.output(features.flatten(0, 1))
        return nn.functional.pixel_shuffle(logits.view(*features.shape[:2], *logits.shape[1:]), self.patch)


def _cells(layers: nn.ModuleList) -> list[UsualCell]:
    return list(layers)  # type: ignore[arg-type]  # a ModuleList does not say what it holds
