"""How the weights of recurrent layers start.

- ``xavier``: convolutions uniform over both fans (Glorot and Bengio 2010); biases 0.
- ``paper``: convolutions uniform within 1 / sqrt(channels), the fan without the kernel's area, as the authors of Shi et
  al. 2015 drew them; large. Biases 0.
- ``orthogonal``: state convolutions orthogonal gate by gate, input convolutions ``xavier``, as Keras does.
- ``torch``: everything, biases too, uniform within 1 / sqrt(hidden channels x kernel area): on a grid of one cell with
  a kernel of one, what `torch.nn.LSTM` does.

Peepholes start at 0 but for ``torch``, and the forget gate's bias has its own start added.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Initialiser = Literal["xavier", "paper", "orthogonal", "torch"]


def check_name(name: str) -> None:
    """
    Raises:
        ValueError: `name` is no initialiser.
    """
    if name not in get_args(Initialiser):
        raise ValueError(f"init must be one of {', '.join(get_args(Initialiser))}; got {name!r}")


@torch.no_grad()
def initialise(name: Initialiser, *, x: Tensor | None, h: Tensor, rest: list[Tensor], gates: int) -> None:
    """Draw the input's convolution `x`, the state's `h` and set the `rest` (biases, peepholes), in place."""
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
        if name == "paper":
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound)
        elif name == "orthogonal" and weight is h:
            for gate in weight.chunk(gates):
                nn.init.orthogonal_(gate)
        else:
            nn.init.xavier_uniform_(weight)
