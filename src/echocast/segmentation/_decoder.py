"""The way up of a U-Net: what the levels say, made logits of the classes.

A convolution of frames in which each cell was repeated, 2 x 2, is made as one of the small frames with four times as
many results, which are then laid out: fewer products, and nothing large is stored.

>>> import torch
>>> layer, frames = convolution(2, 3), torch.rand(1, 2, 5, 6)
>>> bool(torch.allclose(of_twice(frames, layer.weight, layer.bias), layer(twice(frames)), atol=1e-5))
True
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pixel_shuffle


class Decoder(nn.Module):
    """Linear 3x3 convolutions of what three levels say.

    Args:
        width: channels of the first level; the two below it have twice as many.
        classes: channels of the result.
        upscale: cells of the result along a side of one cell of the first level: 1, 2 or 4.
    """

    def __init__(self, width: int, classes: int, upscale: int) -> None:
        super().__init__()
        self.middle = convolution(4 * width, width)
        self.fine = convolution(2 * width, classes)
        self.larger = nn.ModuleList(convolution(classes, classes) for _ in range(upscale.bit_length() - 1))

    def forward(
        self,
        fine: Float[Tensor, "frame c y x"],
        middle: Float[Tensor, "frame d y2 x2"],
        coarse: Float[Tensor, "frame d y4 x4"],
    ) -> Float[Tensor, "frame class rows columns"]:
        """The logits."""
        logits = _beside(self.fine, fine, _beside(self.middle, middle, coarse))
        for one in self.larger:
            logits = of_twice(logits, one.weight, one.bias)  # type: ignore[arg-type]  # they are convolutions
        return logits


def _beside(layer: nn.Conv2d, large: Tensor, small: Tensor) -> Tensor:
    """The convolution of `large` and of `small` with each cell repeated, as if they were concatenated."""
    count = large.shape[1]
    own = conv2d(large, layer.weight[:, :count], layer.bias, padding=1)
    return own + of_twice(small, layer.weight[:, count:], None)


def twice(frames: Float[Tensor, "frame channel y x"]) -> Float[Tensor, "frame channel rows columns"]:
    """Frames of twice as many rows and columns, each cell repeated."""
    return interpolate(frames, scale_factor=2.0, mode="nearest")


def of_twice(
    frames: Float[Tensor, "frame channel y x"],
    weight: Float[Tensor, "out channel 3 3"],
    bias: Float[Tensor, "out"] | None,
) -> Float[Tensor, "frame out rows columns"]:
    """The 3x3 convolution, padded with zeros, of `twice` these frames."""
    taps = weight.new_tensor(_TAPS)
    phases = torch.einsum("pij,qkl,ocjl->opqcik", taps, taps, weight).reshape(-1, *weight.shape[1:])
    return pixel_shuffle(conv2d(frames, phases, None if bias is None else bias.repeat_interleave(4), padding=1), 2)


_TAPS = (((1, 0, 0), (0, 1, 1), (0, 0, 0)), ((0, 0, 0), (1, 1, 0), (0, 0, 1)))
"""Which taps of a kernel (last) see which small cell (middle), from the first and the second of two large cells."""


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, with Keras' first weights: Glorot's, biases 0."""
    made = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
    nn.init.xavier_uniform_(made.weight)
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]  # it has a bias
    return made
