"""The authors' own Theano code: one tensor a gate, true convolutions (kernels flipped), one peephole a channel."""

import torch

from echocast.nn.compat.base import CellWeights, Imported, Weights

MARKS = (r"(?P<prefix>.*?)W_xi",)


def convert(weights: Weights) -> Imported:
    """``W_xi`` (F, C, k, k), ``W_hi`` (F, F, k, k), ``b_i`` (F) for i, f, c, o and ``W_ci``, ``W_cf``, ``W_co`` (F)."""
    x = torch.cat([weights.take(f"W_x{gate}", (None, None, None, None)) for gate in "ifco"])
    hidden = len(x) // 4
    h = torch.cat([weights.take(f"W_h{gate}", (hidden, hidden, None, None)) for gate in "ifco"])
    bias = torch.cat([weights.take(f"b_{gate}", (hidden,)) for gate in "ifco"])
    peephole = torch.stack([weights.take(f"W_c{gate}", (hidden,)) for gate in "ifo"])
    # A true convolution flips its kernel; PyTorch computes a correlation, which does not.
    return Imported([CellWeights(x.flip(2, 3), h.flip(2, 3), bias, peephole[..., None, None])])
