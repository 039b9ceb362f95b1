"""PredNet's convolutions and pointwise parts, plainly in PyTorch's operations or by the fused kernels of the CPU.

Both are made for one sequence and have the same methods; the plain one defines what is computed.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from echocast.nn import fused
from echocast.nn.activations import hard_sigmoid_keras2


@runtime_checkable
class Operations(Protocol):
    """What happens in each layer, of tensors (batch, channel, y, x)."""

    def cell(self, layer: int, r: Tensor, c: Tensor, e: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
        """The new representation and cell state, of the old ones, the error, and the representation above."""

    def prediction(self, layer: int, r: Tensor) -> Tensor:
        """What the representation says, before it is cut off at 0."""

    def errors(self, raw: Tensor, target: Tensor) -> Tensor:
        """The positive parts of prediction minus target and of target minus prediction, side by side."""

    def target(self, layer: int, e: Tensor) -> Tensor:
        """What the layer above is to predict, of half the size."""


class Layers(nn.Module):
    """The convolutions of a PredNet, all 3x3.

    Args:
        sizes: channels of each layer's targets, predictions and representations; the first are those of a frame.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        above = [*self.sizes[1:], 0]
        self.cells = nn.ModuleList(_convolution(3 * n + up, n, 4) for n, up in zip(self.sizes, above, strict=True))
        self.predictions = nn.ModuleList(_convolution(n, n) for n in self.sizes)
        self.targets = nn.ModuleList(_convolution(2 * n, up) for n, up in zip(self.sizes, above, strict=True) if up)

    def operations(self, frames: Tensor) -> Operations:
        """The faster ones for frames (batch, time, channel, y, x), whose sides every layer but the last can halve."""
        rows, columns = frames.shape[-2:]
        spaces = [(rows >> layer, columns >> layer) for layer in range(len(self.sizes))]
        weights = list(self.parameters())
        kernels = [
            part[layer].get_parameter("weight").numel()
            for part in (self.cells, self.predictions)
            for layer in range(len(spaces))
        ]
        products = len(frames) * sum(n * y * x for n, (y, x) in zip(kernels, spaces * 2, strict=True))
        wide = not torch.is_autocast_enabled("cpu") and all(t.dtype == torch.float32 for t in (frames, *weights))
        fast = wide and fused.takes(frames, *weights, products=products)
        return _Fused(self, spaces) if fast else _Plain(self)


class _Plain:
    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def cell(self, layer: int, r: Tensor, c: Tensor, e: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = [r, e] if above is None else [r, e, interpolate(above, scale_factor=2.0, mode="nearest")]
        i, f, o, g = self._layers.cells[layer](torch.cat(seen, dim=1)).chunk(4, dim=1)
        c = hard_sigmoid_keras2(f) * c + hard_sigmoid_keras2(i) * torch.tanh(g)
        return hard_sigmoid_keras2(o) * torch.tanh(c), c

    def prediction(self, layer: int, r: Tensor) -> Tensor:
        made: Tensor = self._layers.predictions[layer](r)
        return made

    def errors(self, raw: Tensor, target: Tensor) -> Tensor:
        short = torch.relu(raw) - target
        return torch.cat([torch.relu(short), torch.relu(-short)], dim=1)

    def target(self, layer: int, e: Tensor) -> Tensor:
        return torch.relu(max_pool2d(self._layers.targets[layer](e), 2))


class _Fused:
    def __init__(self, layers: Layers, spaces: list[tuple[int, int]]) -> None:
        from echocast.nn.fused import predictive, repeated

        def prepared(part: nn.ModuleList) -> list[repeated.Convolution]:
            return [
                repeated.prepare(one.weight, one.bias, space=space)  # type: ignore[arg-type]
                for one, space in zip(part, spaces, strict=False)
            ]

        self._cells, self._predictions = prepared(layers.cells), prepared(layers.predictions)
        self._targets = prepared(layers.targets)
        self._pointwise = predictive

    def cell(self, layer: int, r: Tensor, c: Tensor, e: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._pointwise.cell(self._cells[layer](r, e, halved=above), c)

    def prediction(self, layer: int, r: Tensor) -> Tensor:
        return self._predictions[layer](r)

    def errors(self, raw: Tensor, target: Tensor) -> Tensor:
        return self._pointwise.errors(raw, target)

    def target(self, layer: int, e: Tensor) -> Tensor:
        return torch.relu(max_pool2d(self._targets[layer](e), 2))


def _convolution(inputs: int, outputs: int, count: int = 1) -> nn.Conv2d:
    """`count` convolutions of the same input in one, each with Keras' first weights."""
    made = nn.Conv2d(inputs, count * outputs, kernel_size=3, padding=1)
    for part in made.weight.chunk(count):
        nn.init.xavier_uniform_(part)
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]  # it has a bias
    return made
