"""One layer over a sequence in single operations of PyTorch, for second and higher derivatives.

The backward pass of the fused path has no derivative of its own. Where one is wanted (``create_graph=True``), the
sequence is computed again as here, from the tensors that the forward pass was given, and autograd differentiates that.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from echocast.nn.activations import Activation

Given = Sequence[Tensor | None]
"""x, x_gates, the state, the weights of input and state, bias, and the layer's own weight; see `recurrence.train`."""


def gradients(
    given: Given,
    needed: Sequence[bool],
    wanted: Sequence[Tensor | None],
    compute: Callable[[Given], Sequence[Tensor]],
) -> list[Tensor | None]:
    """The gradients of what was given, each of which can be differentiated again.

    Args:
        given: the tensors of the forward pass.
        needed: whether the gradient of each is needed.
        wanted: the gradients of its results, (time, batch, hidden, *space) and, of the state, (batch, *space, hidden).
        compute: the forward pass again: `convlstm` or `convgru`.
    """
    with torch.enable_grad():
        # An alias of each, so that what one owes to another (a state to the input, say) is not counted here.
        here = [None if t is None else t.view_as(t) for t in given]
        results = compute(here)
        pairs = [(made, d) for made, d in zip(results, wanted, strict=True) if d is not None]
        inputs = [t for t, need in zip(here, needed, strict=True) if need and t is not None]
        found = iter(
            torch.autograd.grad(
                [made for made, _ in pairs], inputs, [d for _, d in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if need and t is not None else None for t, need in zip(here, needed, strict=True)]


def convlstm(given: Given, steps: int, gate: Activation) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states of a ConvLSTM and, channels-last, its last state."""
    x, x_gates, h, c, weight_x, weight_h, bias, peephole = given
    if h is None or c is None or weight_h is None:
        raise TypeError("a layer has a state and the state's weights")
    convolve = F.conv2d if weight_h.dim() == 4 else F.conv3d
    padding = [size // 2 for size in weight_h.shape[2:]]
    dtype, kind, hidden = h.dtype, c.dtype, []
    c = c.float()
    peeps = None if peephole is None else peephole.float()
    frames = x if x_gates is None else x_gates
    for frame in [None] * steps if frames is None else frames:
        gates = convolve(h, weight_h.to(dtype), padding=padding).float()
        if x_gates is not None and frame is not None:
            gates = gates + frame.float()
        else:
            if frame is not None and weight_x is not None:
                gates = gates + convolve(frame.to(dtype), weight_x.to(dtype), padding=padding).float()
            if bias is not None:
                gates = gates + bias.float().reshape(-1, *[1] * (h.dim() - 2))
        i, f, g, o = gates.chunk(4, dim=1)
        if peeps is not None:
            i, f = i + peeps[0] * c, f + peeps[1] * c
        c = gate(f) * c + gate(i) * torch.tanh(g)
        o = o if peeps is None else o + peeps[2] * c
        h = (gate(o) * torch.tanh(c)).to(dtype)
        hidden.append(h)
    return torch.stack(hidden), h.movedim(1, -1), c.movedim(1, -1).to(kind)


def convgru(given: Given, steps: int, after: bool) -> tuple[Tensor, Tensor]:
    """The hidden states of a ConvGRU and, channels-last, the last one."""
    x, x_gates, h, weight_x, weight_h, bias, own = given
    if h is None or weight_h is None:
        raise TypeError("a layer has a state and the state's weights")
    convolve = F.conv2d if weight_h.dim() == 4 else F.conv3d
    padding = [size // 2 for size in weight_h.shape[2:]]
    split, ones = 2 * h.shape[1], [1] * (h.dim() - 2)
    added: Tensor | None = None if bias is None else bias.reshape(-1, *ones)
    hidden = []
    for t in range(steps):
        if x_gates is not None:
            gates = x_gates[t]
        else:
            gates = h.new_zeros(()) if x is None or weight_x is None else convolve(x[t], weight_x, padding=padding)
            gates = gates if added is None else gates + added
        gates = gates.expand(len(h), 3 * h.shape[1], *h.shape[2:])
        seen = convolve(h, weight_h if after else weight_h[:split], padding=padding)
        r, u = torch.sigmoid(gates[:, :split] + seen[:, :split]).chunk(2, dim=1)
        if after:
            seen = seen[:, split:] if own is None else seen[:, split:] + own.reshape(-1, *ones)
            n = torch.tanh(gates[:, split:] + r * seen)
        else:
            n = torch.tanh(gates[:, split:] + convolve(r * h, weight_h[split:], padding=padding))
        h = u * h + (1 - u) * n
        hidden.append(h)
    return torch.stack(hidden), h.movedim(1, -1)
