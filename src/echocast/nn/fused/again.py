"""One ConvLSTM layer over a sequence in single operations of PyTorch, for second and higher derivatives.

The backward pass of the fused path has no derivative of its own. Where one is wanted (``create_graph=True``), the
sequence is computed again as here, from the tensors that the forward pass was given, and autograd differentiates that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from echocast.nn.activations import Activation, activation

Given = Sequence[Tensor | None]
"""x, x_gates, h, c, and the weights of input, state, bias and peephole; see `recurrence.train`."""


def gradients(
    given: Given, needed: Sequence[bool], wanted: Sequence[Tensor | None], steps: int, gate: str
) -> list[Tensor | None]:
    """The gradients of what was given, each of which can be differentiated again.

    Args:
        given: the tensors of the forward pass.
        needed: whether the gradient of each is needed.
        wanted: the gradients of its three results, (time, batch, *space, hidden) and twice (batch, *space, hidden).
        steps: number of time steps.
        gate: the activation of the gates.
    """
    with torch.enable_grad():
        # An alias of each, so that what one owes to another (a state to the input, say) is not counted here.
        here = [None if t is None else t.view_as(t) for t in given]
        results = _sequence(here, steps, activation(gate))
        pairs = [(made, d) for made, d in zip(results, wanted, strict=True) if d is not None]
        inputs = [t for t, need in zip(here, needed, strict=True) if need and t is not None]
        found = iter(
            torch.autograd.grad(
                [made for made, _ in pairs], inputs, [d for _, d in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if need and t is not None else None for t, need in zip(here, needed, strict=True)]


def _sequence(given: Given, steps: int, gate: Activation) -> tuple[Tensor, Tensor, Tensor]:
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
        hidden.append(h.movedim(1, -1))
    return torch.stack(hidden), h.movedim(1, -1), c.movedim(1, -1).to(kind)
