"""carlthome's tensorflow-convlstm-cell: gates j, i, f, o (j the candidate), peepholes per pixel in older versions.

Its ``normalize=True`` variant normalises over the whole image and is refused by its keys.
"""

import torch

from echocast.nn.compat.base import CellWeights, Imported, Weights, channels_first, in_order, split, with_forget_bias

MARKS = (r"(?P<prefix>.*?)W_ci",)


def convert(weights: Weights, *, forget_bias: float = 1.0) -> Imported:
    """``kernel`` (k, k, C + F, 4 F), ``bias`` (4 F) and, with peepholes, ``W_ci``, ``W_cf``, ``W_co`` (H, W, F).

    Args:
        weights: of one cell.
        forget_bias: the cell's argument; it is part of our bias.
    """
    kernel = channels_first(weights.take("kernel", (None, None, None, None)))
    x, h = split(kernel, order="gifo", name="kernel")
    bias = weights.maybe("bias", (len(kernel),))
    ordered = None if bias is None else in_order(bias, "gifo")
    peephole = None
    if weights.has("W_ci"):
        shape = (None, None, len(kernel) // 4)
        peephole = torch.stack([weights.take(f"W_c{gate}", shape).movedim(-1, 0) for gate in "ifo"])
    return Imported([CellWeights(x, h, with_forget_bias(ordered, forget_bias, x), peephole)])
