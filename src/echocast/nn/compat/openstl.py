"""OpenSTL's ConvLSTMCell: gates i, f, g, o, no bias, no peepholes, and weights that it never uses.

Its input and state convolutions have one size; its ``layer_norm`` variant normalises each of the two on its own over a
fixed grid, which no layer here does, and is refused by its keys.
"""

import re

from echocast.nn.compat.base import CellWeights, Imported, Weights

MARKS = (r"(?P<prefix>.*?)cell_list\.0\.conv_x\.0\.weight", r"(?P<prefix>.*?)conv_x\.0\.weight")


def convert(weights: Weights) -> Imported:
    """``cell_list.N.conv_x.0.weight`` and ``cell_list.N.conv_h.0.weight``; a cell's names have no ``cell_list.N.``.

    ``conv_o`` and ``conv_last`` take part in none of the cell's equations and are left out.
    """
    stems = [""]
    if not weights.has("conv_x.0.weight"):
        stems = [f"cell_list.{n}." for n in weights.numbers(r"cell_list\.(\d+)\.conv_x\.0\.weight")]
    cells = []
    for stem in stems:
        x = weights.take(f"{stem}conv_x.0.weight", (None, None, None, None))
        h = weights.take(f"{stem}conv_h.0.weight", (len(x), len(x) // 4, None, None))
        weights.ignore(re.escape(stem) + r"(conv_o\.0|conv_last)\.weight")
        cells.append(CellWeights(x, h))
    return Imported(cells)
