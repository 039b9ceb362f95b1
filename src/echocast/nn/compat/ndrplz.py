"""ndrplz's ConvLSTM_pytorch: one convolution over input and state, gates i, f, o, g, no peepholes.

Its outputs are always (batch, time, ...), whatever its ``batch_first`` says.
"""

from echocast.nn.compat.base import CellWeights, Imported, Weights, in_order, split


def convert(weights: Weights) -> Imported:
    """``cell_list.N.conv.weight`` (4 F, C + F, k, k) and ``cell_list.N.conv.bias``."""
    cells = []
    for n in weights.numbers(r"cell_list\.(\d+)\.conv\.weight"):
        name = f"cell_list.{n}.conv.weight"
        kernel = weights.take(name, (None, None, None, None))
        x, h = split(kernel, order="ifog", name=name)
        bias = weights.maybe(f"cell_list.{n}.conv.bias", (len(kernel),))
        cells.append(CellWeights(x, h, None if bias is None else in_order(bias, "ifog")))
    return Imported(cells)
