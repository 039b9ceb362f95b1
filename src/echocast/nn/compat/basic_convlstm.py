"""BasicConvLSTMCell of TensorFlow 1: gates i, j, f, o (j the candidate), no peepholes, a forget bias added as it runs.

loliverhennigh's cell of the same name, which has a bias, is read here too.
"""

from echocast.nn.compat.base import CellWeights, Imported, Weights, channels_first, in_order, split, with_forget_bias

MARKS = (r"(?P<prefix>.*?)Conv/Matrix",)


def convert(weights: Weights, *, forget_bias: float = 1.0) -> Imported:
    """``kernel`` (k, k, C + F, 4 F), or ``Conv/Matrix`` and ``Conv/Bias``.

    Args:
        weights: of one cell.
        forget_bias: the cell's argument; it is part of our bias.
    """
    name, bias_name = ("Conv/Matrix", "Conv/Bias") if weights.has("Conv/Matrix") else ("kernel", "bias")
    kernel = channels_first(weights.take(name, (None, None, None, None)))
    x, h = split(kernel, order="igfo", name=name)
    bias = weights.maybe(bias_name, (len(kernel),))
    ordered = None if bias is None else in_order(bias, "igfo")
    return Imported([CellWeights(x, h, with_forget_bias(ordered, forget_bias, x))])
