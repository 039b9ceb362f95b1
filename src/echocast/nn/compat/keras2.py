"""Keras 2's ConvLSTM2D: gates i, f, c, o, the hard sigmoid clip(0.2 x + 0.5, 0, 1), padding "valid" by default."""

from typing import Literal

from echocast.nn.compat import keras3
from echocast.nn.compat.base import Imported, Weights

MARKS, fits, assumed = keras3.MARKS, keras3.fits, keras3.assumed


def convert(
    weights: Weights,
    *,
    recurrent_activation: str = "hard_sigmoid",
    activation: str = "tanh",
    padding: Literal["same", "valid"] = "valid",
    strides: int = 1,
    dilation_rate: int = 1,
) -> Imported:
    """``kernel`` (k, k, C, 4 F), ``recurrent_kernel`` (k, k, F, 4 F) and ``bias`` of one layer.

    Args:
        weights: of one layer.
        recurrent_activation, activation, padding, strides, dilation_rate: the layer's arguments.
    """
    hard = recurrent_activation == "hard_sigmoid"
    return keras3.convert(
        weights,
        recurrent_activation="hard_sigmoid_keras2" if hard else recurrent_activation,
        activation=activation,
        padding=padding,
        strides=strides,
        dilation_rate=dilation_rate,
    )
