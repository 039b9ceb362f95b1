"""Activations by name, as layers and weight files of other libraries name them.

>>> import torch
>>> float(activation("hard_sigmoid")(torch.tensor(3.0)))
1.0
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]


def hard_sigmoid_keras2(x: Tensor) -> Tensor:
    """clip(0.2 x + 0.5, 0, 1): the hard sigmoid of Keras 1 and 2 and of Theano; PyTorch and Keras 3 have x / 6."""
    return torch.clamp(0.2 * x + 0.5, 0, 1)


def _identity(x: Tensor) -> Tensor:
    return x


def _leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,  # clip(x / 6 + 1 / 2, 0, 1): PyTorch and Keras 3
    "hard_sigmoid_keras2": hard_sigmoid_keras2,
    "tanh": torch.tanh,
    "hard_tanh": F.hardtanh,
    "relu": torch.relu,
    "leaky_relu": _leaky_relu,  # slope 0.2
    "elu": F.elu,
    "softsign": F.softsign,
    "identity": _identity,
}


def activation(name: str | Activation) -> Activation:
    """The function of that name; a function is taken as it is.

    Raises:
        ValueError: there is none.
    """
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"there is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
