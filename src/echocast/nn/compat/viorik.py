"""viorik's ConvLSTM for Torch7: a convolution with bias of the input and one without of the state for every gate.

Torch7 has no names for its tensors; save them as ``GATE.input.weight``, ``GATE.input.bias`` and ``GATE.state.weight``
for the gates ``input``, ``forget``, ``cell`` and ``output``. The untied variant, whose first step has weights of its
own and no recurrence, is in `viorik_untied`.
"""

import torch

from echocast.nn.compat.base import CellWeights, Imported, Weights

_GATES = ("input", "forget", "cell", "output")


MARKS = (r"(?P<prefix>.*?)forget\.state\.weight",)


def convert(weights: Weights) -> Imported:
    """``GATE.input.weight`` (F, C, kc, kc), ``GATE.input.bias`` (F), ``GATE.state.weight`` (F, F, km, km)."""
    x = torch.cat([weights.take(f"{gate}.input.weight", (None, None, None, None)) for gate in _GATES])
    hidden = len(x) // 4
    h = torch.cat([weights.take(f"{gate}.state.weight", (hidden, hidden, None, None)) for gate in _GATES])
    bias = torch.cat([weights.take(f"{gate}.input.bias", (hidden,)) for gate in _GATES])
    return Imported([CellWeights(x, h, bias)])
