"""The Neural GPU: a convolutional GRU without input, applied to its own state as often as the input is long.

::

    symbols (length) -> embedding, tanh -> row 0 of a state (length, height, maps); the other rows are 0
                                             |  as often as the input is long:
                                             |  CGRU 1 -> CGRU 2, with the weights of relaxation (step mod 6)
                                           row 0 -> 1x1 convolution -> symbols (length)

    >>> import torch
    >>> tuple(NeuralGPU(maps=4)(torch.ones(2, 7, dtype=torch.int64)).shape)
    (2, 7, 4)
"""

from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv2d, dropout, embedding, pad

from echocast.algorithms.base import SequenceNetwork
from echocast.algorithms.tasks import SYMBOLS

_EMBEDDING, _WEIGHTS = 1.7, 1.8
"""Half the range of the first embeddings; the factor of the first weights (see `CGRU`)."""
_DROPOUT_LENGTH = 8
Gates = Literal["plain", "diagonal"]


def saturating_sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``1.2 sigmoid(x) - 0.1``, cut off at 0 and 1, which gates can therefore reach.

    Source: Kaiser and Sutskever 2015 (arXiv:1511.08228), section 2.
    """
    value: Tensor = _SaturatingSigmoid.apply(x)  # type: ignore[no-untyped-call]  # as PyTorch has it
    return value


class _SaturatingSigmoid(torch.autograd.Function):
    """In place, for a step is many small ones: its slope is ``1.2 s (1 - s)``, 0 where it is cut off."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        value = torch.sigmoid(x).mul_(1.2).sub_(0.1).clamp_(0.0, 1.0)
        ctx.save_for_backward(value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors
        slope = (1.1 - value).mul_(value + 0.1).mul_((value > 0) & (value < 1))
        gradient: Tensor = slope.mul_(gradients[0] / 1.2)
        return gradient


class CGRU(nn.Module):
    """A convolutional GRU without input: ``s' = g s + (1 - g) tanh(U (r s) + b)``, gates ``r``, ``g`` from ``s`` too.

    Args:
        maps: channels of the state.
        kernel: odd size of the convolutions along the sequence and along the height.
        relaxations: how many sets of weights there are, of which each step uses one.
        gates: ``diagonal``: what the gate keeps comes, for the second third of the maps, from the position before, and
            for the last third from the position after.

    Source: Kaiser and Sutskever 2015 (arXiv:1511.08228), with the first weights of its authors' code: uniform, 1.8
    times as wide as keeps the variance, gates with a bias of 1. Diagonal gates: Freivalds and Liepins 2017
    (arXiv:1702.08727).
    """

    def __init__(self, maps: int, kernel: tuple[int, int], *, relaxations: int = 1, gates: Gates = "plain") -> None:
        super().__init__()
        self.gates = gates
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.weight = nn.Parameter(torch.empty(relaxations, 3 * maps, maps, *kernel))
        self.bias = nn.Parameter(torch.zeros(relaxations, 3 * maps))
        reach = _WEIGHTS * (3.0 / (maps * kernel[0] * kernel[1])) ** 0.5
        nn.init.uniform_(self.weight, -reach, reach)
        with torch.no_grad():
            self.bias[:, : 2 * maps] = 1.0

    def forward(
        self, state: Float[Tensor, "batch map length height"], relaxation: int = 0
    ) -> Float[Tensor, "batch map length height"]:
        """The next state; the weights are those of reset gate, gate and candidate, in this order."""
        return self.step(state, self.weight[relaxation], self.bias[relaxation])

    def step(self, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The next state by one set of weights; who makes many steps takes all sets apart once, not at every step."""
        maps = state.shape[1]
        gates = conv2d(state, weight[: 2 * maps], bias[: 2 * maps], padding=self.padding)
        reset, keep = saturating_sigmoid(gates).chunk(2, dim=1)
        candidate = torch.tanh(conv2d(reset * state, weight[2 * maps :], bias[2 * maps :], padding=self.padding))
        return torch.lerp(candidate, _shifted(state) if self.gates == "diagonal" else state, keep)


class NeuralGPU(SequenceNetwork):
    """Learns algorithms on sequences, and with luck in the seed does them on longer ones.

    Args:
        symbols: how many symbols there are, in and out.
        maps: channels of the state.
        height: rows of the state; 1 makes it the variant in one dimension.
        kernel: odd size of the convolutions, along the sequence and along the height.
        layers: CGRUs a step.
        relaxations: sets of weights that steps use in turn, which training pulls together; 1: none.
        dropout: of a sequence of 8 symbols, the share of the state that each step loses in training; of longer ones
            less, in proportion.
        gates: see `CGRU`.

    Raises:
        ValueError: sizes that are not positive, or an even kernel.

    Source: Kaiser and Sutskever 2015 (arXiv:1511.08228); dropout as in the code of Price, Zaremba and Sutskever 2016.
    With ``height=1``, ``layers=1`` and ``relaxations=1`` it is the variant of C. Huyen's assignment.
    """

    def __init__(
        self,
        *,
        symbols: int = SYMBOLS,
        maps: int = 24,
        height: int = 4,
        kernel: int = 3,
        layers: int = 2,
        relaxations: int = 6,
        dropout: float = 0.15,
        gates: Gates = "plain",
    ) -> None:
        super().__init__()
        if min(symbols, maps, height, layers, relaxations) < 1 or kernel % 2 == 0 or not 0 <= dropout < 1:
            raise ValueError(
                f"symbols={symbols}, maps={maps}, height={height}, layers={layers} and relaxations={relaxations} must"
                f" be positive, kernel={kernel} odd, and dropout={dropout:g} a share below 1"
            )
        self.symbols, self.maps, self.height, self.kernel = symbols, maps, height, kernel
        self.layers, self.relaxations, self.dropout, self.gates = layers, relaxations, dropout, gates
        self.embedding = nn.Parameter(torch.empty(symbols - 1, maps).uniform_(-_EMBEDDING, _EMBEDDING))
        size = (kernel, kernel if height > 1 else 1)
        self.cells = nn.ModuleList(CGRU(maps, size, relaxations=relaxations, gates=gates) for _ in range(layers))
        self.output = nn.Linear(maps, symbols)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length symbol"]:
        """Logits of the output's symbols after as many steps as the sequence is long.

        Args:
            tokens: symbols below `symbols`; 0 is padding, whose embedding is 0.
        """
        state, length = self.first_state(tokens), tokens.shape[1]
        lost = self.dropout * min(1.0, _DROPOUT_LENGTH / length)
        cells = [cast(CGRU, cell) for cell in self.cells]
        sets = [list(zip(cell.weight.unbind(), cell.bias.unbind(), strict=True)) for cell in cells]
        for step in range(length):
            state = dropout(state, lost, training=self.training)
            for cell, weights in zip(cells, sets, strict=True):
                state = cell.step(state, *weights[step % self.relaxations])
        logits: Tensor = self.output(state[..., 0].transpose(1, 2))
        return logits

    def first_state(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch map length height"]:
        """The embedded symbols in row 0, nothing in the others."""
        table = torch.tanh(torch.cat([torch.zeros_like(self.embedding[:1]), self.embedding]))
        row = embedding(tokens, table).transpose(1, 2).unsqueeze(-1)
        return pad(row, (0, self.height - 1)).contiguous(memory_format=torch.channels_last)

    def spread(self) -> Tensor | None:
        """The squared distance of each set of weights from their mean, summed; None without relaxations."""
        if self.relaxations == 1:
            return None
        weights = [weight for cell in self.cells for weight in cell.parameters()]
        return torch.stack([(weight - weight.mean(0)).square().sum() for weight in weights]).sum()

    @torch.no_grad()
    def unite(self) -> None:
        """Set all sets of weights to their mean."""
        for cell in self.cells:
            for weight in cell.parameters():
                weight.copy_(weight.mean(0, keepdim=True).expand_as(weight))


def _shifted(state: Tensor) -> Tensor:
    """The first third of the maps as it is, the second from the position before, the last from the position after."""
    still, before, after = state.tensor_split(3, dim=1)
    return torch.cat([still, pad(before, (0, 0, 1, 0))[:, :, :-1], pad(after, (0, 0, 0, 1))[:, :, 1:]], dim=1)
