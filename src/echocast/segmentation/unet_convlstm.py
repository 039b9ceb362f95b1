"""A U-Net whose blocks are ConvLSTMs: a class for every cell of every frame, with a memory of the frames before.

::

    frames (time, channel, y, x)
       | 3 x ConvLSTM(c) ----------------------------- beside -> convolution(classes) -> n x (twice, convolution)
       | max pool                                        ^ twice                                   -> logits
       | 3 x ConvLSTM(2c) -- beside -> convolution(c) ---+
       | max pool              ^ twice
       | 3 x ConvLSTM(2c) -----+

All kernels are 3x3, all convolutions linear; ``twice`` repeats each cell.

    >>> import torch
    >>> network = UNetConvLSTM(channels=3)
    >>> sum(weight.numel() for weight in network.parameters())
    272415
    >>> tuple(network(torch.rand(1, 2, 3, 24, 27)).shape)
    (1, 2, 3, 96, 108)
"""

from torch import Tensor
from torch.nn.functional import max_pool2d

from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.nn import ConvLSTM
from echocast.segmentation import _decoder
from echocast.segmentation.base import Segmenter, State, check_sizes


class UNetConvLSTM(Segmenter):
    """U-Net of ConvLSTMs: 271,551 weights with one channel, 272,415 with three.

    Args:
        channels: of each frame: 1 of grey levels or rain, 3 of colours.
        classes: how many there are, with the background.
        width: channels of the first level of ConvLSTMs; the two below it have twice as many.
        upscale: cells of the result along a side of one cell of the input: 4, as published, where the frames are a
            quarter of the labels' size; 1 for labels on the frames' own grid.
        gate_activation: of the ConvLSTMs' gates: ``hard_sigmoid_keras2`` is that of Keras 1; ``sigmoid`` is faster on
            the CPU here.
        scaling: between the values of the field and the network's grey levels.

    Source: the Keras 1 network "FCN + ConvLSTM" behind A. Vieira's slides "Convolutional LSTM for image processing",
    with Keras 1's defaults: no peepholes, a forget bias of 1, state kernels orthogonal at first, others Glorot's. Its
    convolutions of 3 channels are those of `classes` here.
    """

    multiple = 4

    def __init__(
        self,
        *,
        channels: int = 1,
        classes: int = 3,
        width: int = 12,
        upscale: int = 4,
        gate_activation: str = "hard_sigmoid_keras2",
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
    ) -> None:
        super().__init__()
        check_sizes("UNetConvLSTM", channels=channels, classes=classes, width=width, upscale=upscale)
        self.channels, self.classes, self.width, self.upscale = channels, classes, width, upscale
        self.gate_activation, self.scaling = gate_activation, scaling
        self.fine = self._block(channels, width)
        self.middle = self._block(width, 2 * width)
        self.coarse = self._block(2 * width, 2 * width)
        self.decoder = _decoder.Decoder(width, classes, upscale)

    def _block(self, channels: int, hidden: int) -> ConvLSTM:
        return ConvLSTM(
            channels,
            [hidden] * 3,
            batch_first=True,
            peephole=None,
            forget_bias=1.0,
            init="orthogonal",
            gate_activation=self.gate_activation,
        )

    def _logits(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        before = (None, None, None) if state is None else state
        fine, first = self.fine(levels, before[0])
        middle, second = self.middle(_halved(fine), before[1])
        coarse, third = self.coarse(_halved(middle), before[2])
        logits = self.decoder(*(one.flatten(0, 1) for one in (fine, middle, coarse)))
        return logits.reshape(*levels.shape[:2], *logits.shape[1:]), (first, second, third)


def _halved(frames: Tensor) -> Tensor:
    made = max_pool2d(frames.flatten(0, 1), 2)
    return made.reshape(*frames.shape[:2], *made.shape[1:])
