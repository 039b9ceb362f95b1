"""A U-Net without memory: each frame on its own, what recurrence is to be compared with.

It is `unet_convlstm` with each ConvLSTM replaced by a 3x3 convolution and a rectifier; everything else is the same.

    >>> import torch
    >>> network = UNet(classes=2, upscale=1)
    >>> tuple(network(torch.rand(1, 2, 1, 24, 27)).shape)
    (1, 2, 2, 24, 27)
"""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.segmentation import _decoder
from echocast.segmentation.base import Segmenter, State, check_sizes


class UNet(Segmenter):
    """U-Net of convolutions.

    Args:
        channels: of each frame: 1 of grey levels or rain, 3 of colours.
        classes: how many there are, with the background.
        width: channels of the first level; the two below it have twice as many. 33 gives about as many weights as a
            `UNetConvLSTM` of width 12.
        upscale: cells of the result along a side of one cell of the input: 1, 2 or 4.
        scaling: between the values of the field and the network's grey levels.

    Source: Ronneberger et al. 2015 (arXiv:1505.04597) for the form; sizes and levels are those of `UNetConvLSTM`.
    """

    multiple = 4

    def __init__(
        self,
        *,
        channels: int = 1,
        classes: int = 3,
        width: int = 33,
        upscale: int = 4,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
    ) -> None:
        super().__init__()
        check_sizes("UNet", channels=channels, classes=classes, width=width, upscale=upscale)
        self.channels, self.classes, self.width, self.upscale = channels, classes, width, upscale
        self.scaling = scaling
        self.fine = _block(channels, width)
        self.middle = _block(width, 2 * width)
        self.coarse = _block(2 * width, 2 * width)
        self.decoder = _decoder.Decoder(width, classes, upscale)

    def _logits(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        fine = self.fine(levels.flatten(0, 1))
        middle = self.middle(max_pool2d(fine, 2))
        coarse = self.coarse(max_pool2d(middle, 2))
        logits = self.decoder(fine, middle, coarse)
        return logits.reshape(*levels.shape[:2], *logits.shape[1:]), None


def _block(channels: int, width: int) -> nn.Sequential:
    parts = [(_decoder.convolution(inputs, width), nn.ReLU()) for inputs in (channels, width, width)]
    return nn.Sequential(*(layer for pair in parts for layer in pair))
