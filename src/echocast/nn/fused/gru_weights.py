"""The parameters of one ConvGRU layer, in the forms that the fused path needs.

The convolutions of a time step see one buffer, whose channels are the old hidden state, the input and, where the reset
gate acts before the convolution, the reset hidden state::

    reset before     gates r, u  of  [h | x]                candidate n  of  [x | r h]
    reset after      n's part of the state, r, u, n's part of the input  of  [h | x]
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echocast.nn.fused.geometry import WHOLE, Blocks


@dataclass(frozen=True)
class GruWeights:
    """The parameters of one layer, as `ConvGRUCell` has them; `x` is None where there is no input, or where what it
    adds to the gates is computed elsewhere.

    `own` is the second bias of a layer whose reset gate acts after the convolution (`after`).
    """

    x: Tensor | None
    h: Tensor
    bias: Tensor | None
    own: Tensor | None
    after: bool

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return 0 if self.x is None else self.x.shape[1]

    @property
    def hidden(self) -> int:
        """Channels of the hidden state."""
        return self.h.shape[1]

    @property
    def seen(self) -> tuple[slice, ...]:
        """The channels of the buffer that each convolution sees."""
        first = slice(0, self.hidden + self.inputs)
        return (first,) if self.after else (first, slice(self.hidden, 2 * self.hidden + self.inputs))

    @property
    def made(self) -> tuple[slice, ...]:
        """The gates that each convolution gives, among the channels of the gradients of all gates: r, u and n, and
        before them n's part of the state where the reset gate acts after the convolution."""
        n = self.hidden
        if self.after:
            return (slice(0, 3 * n if self.x is None else 4 * n),)
        return slice(0, 2 * n), slice(2 * n, 3 * n)

    @property
    def of_gates(self) -> slice:
        """Where r, u and n lie among those channels."""
        return slice(self.hidden, 4 * self.hidden) if self.after else slice(0, 3 * self.hidden)

    @property
    def blocks(self) -> Blocks:
        """Which parts of each convolution's weight are not zero."""
        if not self.after or self.x is None:
            return WHOLE
        n = self.hidden
        h, x = slice(0, n), slice(n, n + self.inputs)
        return (h, slice(0, 3 * n)), (x, slice(n, 3 * n)), (x, slice(3 * n, 4 * n))

    def of_state(self) -> "GruWeights":
        """Those that are left where the input's part of the gates is computed elsewhere, the bias with it."""
        return replace(self, x=None, bias=None)

    def kernels(self) -> tuple[Tensor, ...]:
        """The weight of each convolution, (out, in, *kernel)."""
        n, h = self.hidden, self.h.detach()
        x = None if self.x is None else self.x.detach()
        if not self.after:
            gates, candidate = h[: 2 * n], h[2 * n :]
            if x is None:
                return gates, candidate
            return torch.cat([gates, x[: 2 * n]], dim=1), torch.cat([x[2 * n :], candidate], dim=1)
        state = torch.cat([h[2 * n :], h[: 2 * n]])
        if x is None:
            return (state,)
        whole = state.new_zeros(4 * n, n + self.inputs, *h.shape[2:])
        whole[: 3 * n, :n], whole[n:, n:] = state, x
        return (whole,)

    def split(self, kernels: list[Tensor]) -> tuple[Tensor | None, Tensor]:
        """The transpose of `kernels`: gradients of those as the gradients of `x` and `h`."""
        n = self.hidden
        if self.after:
            (whole,) = kernels
            return None if self.x is None else whole[n:, n:], torch.cat([whole[n : 3 * n, :n], whole[:n, :n]])
        gates, candidate = kernels
        h = torch.cat([gates[:, :n], candidate[:, self.inputs :]])
        return None if self.x is None else torch.cat([gates[:, n:], candidate[:, : self.inputs]]), h

    def biases(self) -> tuple[Tensor | None, ...]:
        """The bias of each convolution."""
        n, bias = self.hidden, None if self.bias is None else self.bias.detach()
        if not self.after:
            return (None, None) if bias is None else (bias[: 2 * n], bias[2 * n :])
        if bias is None and self.own is None:
            return (None,)
        own = self.h.new_zeros(n) if self.own is None else self.own.detach()
        rest = self.h.new_zeros(3 * n) if bias is None else bias
        return (torch.cat([own, rest[: 2 * n] if self.x is None else rest]),)

    def candidate_bias(self) -> Tensor | None:
        """What the candidate has beside the state, (1, hidden), where no convolution gives it: without input, and with
        the reset gate after the convolution."""
        if not self.after or self.x is not None:
            return None
        bias = self.h.new_zeros(3 * self.hidden) if self.bias is None else self.bias.detach()
        return bias[None, 2 * self.hidden :]
