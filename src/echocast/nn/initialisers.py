"""How the weights of recurrent layers start.

- ``xavier``: convolutions uniform over both fans (Glorot and Bengio 2010); biases 0.
- ``shi2015``: convolutions uniform within 1 / sqrt(channels), the fan without the kernel's area, as the authors of Shi
  et al. 2015 (arXiv:1506.04214) drew them; large. Biases 0.
- ``orthogonal``: state convolutions orthogonal gate by gate, input convolutions ``xavier``, as Keras does.
- ``torch``: everything, biases too, uniform within 1 / sqrt(hidden channels x kernel area): with a kernel of one, what
  `torch.nn.LSTM` does.

Peepholes start at 0, except with ``torch``; `forget_bias` is added to the forget gate's bias.

>>> h, bias = torch.empty(8, 2, 3, 3), torch.ones(8)
>>> initialise("shi2015", x=None, h=h, rest=[bias], gates=4)
>>> bool((h.abs() <= 2**-0.5).all()), float(bias.sum())
(True, 0.0)
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Initialiser = Literal["xavier", "shi2015", "orthogonal", "torch"]


def check_name(name: str) -> None:
    """
    Raises:
        ValueError: there is no initialiser `name`.
    """
    if name not in get_args(Initialiser):
        raise ValueError(f"init must be one of {', '.join(get_args(Initialiser))}; got {name!r}")


@torch.no_grad()
def initialise(name: Initialiser, *, x: Tensor | None, h: Tensor, rest: list[Tensor], gates: int) -> None:
    """Initialise the weights in place: of the input `x`, of the state `h`, and the `rest` (biases, peepholes)."""
    if name == "torch":
        bound = 1 / math.sqrt(h[0].numel())
        for weight in (x, h, *rest):
            if weight is not None:
                weight.uniform_(-bound, bound)
        return
    for weight in rest:
        weight.zero_()
    for weight in (x, h):
        if weight is None:
            continue
        if name == "shi2015":
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound)
        elif name == "orthogonal" and weight is h:
            for gate in weight.chunk(gates):
                nn.init.orthogonal_(gate)
        else:
            nn.init.xavier_uniform_(weight)
