"""The parameters of one ConvLSTM layer, in the forms that the fused path needs."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

SLOPES = {"hard_sigmoid": 1 / 6, "hard_sigmoid_keras2": 0.2}
GATES = ("sigmoid", *SLOPES)
"""The activations of gates that the kernels know, by their names in `echocast.nn.activations`."""


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer, as `ConvLSTMCell` has them; `x` is None where `x_gates` is computed elsewhere.

    `gate` names the activation of its gates, one of `GATES`.
    """

    x: Tensor | None
    h: Tensor
    bias: Tensor | None
    peephole: Tensor | None
    gate: str = "sigmoid"

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return 0 if self.x is None else self.x.shape[1]

    @property
    def hidden(self) -> int:
        """Channels of the hidden state."""
        return self.h.shape[1]

    @property
    def kind(self) -> str | None:
        """None, ``channel`` or ``pixel``."""
        if self.peephole is None:
            return None
        return "pixel" if self.peephole[0, 0].numel() > 1 else "channel"

    def of_state(self) -> "Weights":
        """Those that are left where the input's part of the gates is computed elsewhere, the bias with it."""
        return replace(self, x=None, bias=None)

    def joined(self) -> Tensor:
        """Input and state kernels side by side, as the buffer has input and state."""
        return (self.h if self.x is None else torch.cat([self.x, self.h], dim=1)).detach()

    def peephole_rows(self) -> Tensor | None:
        """The peepholes as rows of (pixels, 3 hidden)."""
        if self.peephole is None:
            return None
        return self.peephole.detach().float().flatten(2).permute(2, 0, 1).flatten(1).contiguous()
