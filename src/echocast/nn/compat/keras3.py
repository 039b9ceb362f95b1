"""Keras 3's ConvLSTM1D, 2D and 3D: gates i, f, c, o, no peepholes, padding "valid" by default."""

from collections.abc import Mapping
from typing import Any, Literal

from echocast.errors import CheckpointMismatch
from echocast.nn.compat.base import CellWeights, Imported, Weights, channels_first

MARKS = (r"(?P<prefix>(.*/)?cell/)vars/1", r"(?P<prefix>(.*/)?)recurrent_kernel")


def fits(tensors: Mapping[str, Any], prefix: str) -> bool:
    """Whether the state's kernel is that of four gates of a convolution; an LSTM's and a GRU's are matrices."""
    kernel = tensors.get(f"{prefix}vars/1", tensors.get(f"{prefix}recurrent_kernel"))
    shape = () if kernel is None else tuple(kernel.shape)
    return len(shape) > 2 and shape[-1] == 4 * shape[-2]


def assumed(hints: Mapping[str, Any]) -> list[str]:
    """What a file without Keras' description of the model does not tell."""
    if "padding" in hints:
        return []
    return [
        "assumed: Keras' own settings, padding=valid among them, for the file holds weights only; others are given by"
        " --set padding=same and so on"
    ]


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
