"""automan000's Convolution_LSTM_PyTorch: eight convolutions a cell, peepholes that are not trained and so are 0.

Its model feeds one frame at every step: give that frame repeated along time.
"""

import torch

from echocast.nn.compat.base import CellWeights, Imported, Weights

MARKS = (r"(?P<prefix>.*?)cell0\.Wxi\.weight",)


def convert(weights: Weights) -> Imported:
    """``cellN.Wxi.weight``, ``.bias`` and ``cellN.Whi.weight`` for i, f, c, o; ``cellN.Wci`` (1, F, H, W) if saved."""
    cells = []
    for n in weights.numbers(r"cell(\d+)\.Wxi\.weight"):
        x = torch.cat([weights.take(f"cell{n}.Wx{gate}.weight", (None, None, None, None)) for gate in "ifco"])
        hidden = len(x) // 4
        h = torch.cat([weights.take(f"cell{n}.Wh{gate}.weight", (hidden, hidden, None, None)) for gate in "ifco"])
        bias = torch.cat([weights.take(f"cell{n}.Wx{gate}.bias", (hidden,)) for gate in "ifco"])
        peephole = None
        if weights.has(f"cell{n}.Wci"):
            shape = (1, hidden, None, None)
            peephole = torch.cat([weights.take(f"cell{n}.Wc{gate}", shape) for gate in "ifo"])
        cells.append(CellWeights(x, h, bias, peephole))
    return Imported(cells)
