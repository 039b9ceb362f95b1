"""Keras 1's ConvLSTM2D: twelve arrays a layer, the hard sigmoid clip(0.2 x + 0.5, 0, 1), "valid" borders by default."""

from typing import Literal

import torch

from echocast.nn.compat.base import CellWeights, Imported, Weights, channels_first

MARKS = (r"(?P<prefix>.*?)U_i",)


def convert(
    weights: Weights,
    *,
    inner_activation: str = "hard_sigmoid",
    activation: str = "tanh",
    border_mode: Literal["same", "valid"] = "valid",
    dim_ordering: Literal["tf", "th"] = "tf",
) -> Imported:
    """``W_i, U_i, b_i, W_c, U_c, b_c, W_f, U_f, b_f, W_o, U_o, b_o`` of one layer.

    Args:
        weights: of one layer.
        inner_activation, activation, border_mode: the layer's arguments.
        dim_ordering: ``tf`` for kernels (k, k, in, out), ``th`` for (out, in, k, k).
    """

    def gates(letter: str) -> torch.Tensor:
        kernels = [weights.take(f"{letter}_{gate}", (None, None, None, None)) for gate in "ifco"]
        return torch.cat([channels_first(kernel) if dim_ordering == "tf" else kernel for kernel in kernels])

    x, h = gates("W"), gates("U")
    bias = torch.cat([weights.take(f"b_{gate}", (len(x) // 4,)) for gate in "ifco"])
    options = {
        "gate_activation": "hard_sigmoid_keras2" if inner_activation == "hard_sigmoid" else inner_activation,
        "activation": activation,
        "padding": border_mode,
    }
    return Imported([CellWeights(x, h, bias)], options)
