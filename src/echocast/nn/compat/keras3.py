"""Keras 3's ConvLSTM1D, 2D and 3D: gates i, f, c, o, no peepholes, padding "valid" by default."""

from typing import Literal

from echocast.errors import CheckpointMismatch
from echocast.nn.compat.base import CellWeights, Imported, Weights, channels_first


def convert(
    weights: Weights,
    *,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    padding: Literal["same", "valid"] = "valid",
    strides: int = 1,
    dilation_rate: int = 1,
) -> Imported:
    """``kernel`` (*k, C, 4 F), ``recurrent_kernel`` (*k, F, 4 F) and ``bias`` of one layer.

    Args:
        weights: of one layer; a file's names ``vars/0``, ``vars/1``, ``vars/2`` are these three.
        recurrent_activation, activation, padding, strides, dilation_rate: the layer's arguments.

    Raises:
        CheckpointMismatch: strides with padding "same", which in Keras depends on the image's size.
    """
    if strides != 1 and padding == "same":
        raise CheckpointMismatch(
            f"strides={strides} with padding='same' cannot be converted: the padding of Keras then depends on the "
            "image's size; only padding='valid' has strides"
        )
    names = ("vars/0", "vars/1", "vars/2") if weights.has("vars/0") else ("kernel", "recurrent_kernel", "bias")
    x = channels_first(weights.take(names[0]))
    h = channels_first(weights.take(names[1], (*x.shape[2:], len(x) // 4, len(x))))
    bias = weights.maybe(names[2], (len(x),))
    options = {
        "gate_activation": recurrent_activation,
        "activation": activation,
        "padding": padding,
        "stride": strides,
        "dilation": dilation_rate,
    }
    return Imported([CellWeights(x, h, bias)], options)
