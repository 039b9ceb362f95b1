"""Labels on the backbone of Keras' next-frame network: what it learned without labels can be started from.

::

    frames -> 4 x (ConvLSTM, batch normalisation) -> features -> convolution -> logits of the classes

The same `Backbone` carries the next-frame head of `echocast.models.keras_next_frame`. An experiment with
``training.init_from`` a checkpoint of that network takes over its backbone; the convolution begins anew.

    >>> import torch
    >>> network = KerasSegmenter(classes=2, hidden_channels=[4, 4])
    >>> tuple(network(torch.rand(1, 3, 1, 21, 34)).shape)
    (1, 3, 2, 21, 34)
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from echocast.models.keras_next_frame import Backbone
from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.segmentation.base import Segmenter, State, check_sizes


class KerasSegmenter(Segmenter):
    """ConvLSTMs with batch normalisation, and a 3x3 convolution to the classes.

    Args:
        channels: of each frame: 1 of grey levels or rain, 3 of colours.
        classes: how many there are, with the background.
        hidden_channels: of each layer.
        upscale: cells of the result along a side of one cell of the input.
        gate_activation, norm_momentum: see `Backbone`.
        scaling: between the values of the field and the network's grey levels.

    Source: the backbone is that of Keras' example ``conv_lstm``; the head of labels is ours.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        classes: int = 2,
        hidden_channels: Sequence[int] = (40, 40, 40, 40),
        upscale: int = 1,
        gate_activation: str = "hard_sigmoid_keras2",
        norm_momentum: float = 0.01,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
    ) -> None:
        super().__init__()
        check_sizes("KerasSegmenter", channels=channels, classes=classes, width=hidden_channels[0], upscale=upscale)
        self.channels, self.classes, self.hidden_channels = channels, classes, hidden_channels
        self.upscale, self.gate_activation, self.scaling = upscale, gate_activation, scaling
        self.norm_momentum = norm_momentum
        self.backbone = Backbone(
            channels, hidden_channels, gate_activation=gate_activation, norm_momentum=norm_momentum
        )
        self.labels = nn.Conv2d(self.backbone.features, classes * upscale**2, kernel_size=3, padding=1)

    def _logits(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        features, state = self.backbone(levels, state)
        logits: Tensor = pixel_shuffle(self.labels(features.flatten(0, 1)), self.upscale)
        return logits.reshape(*levels.shape[:2], *logits.shape[1:]), state
