"""Images to coarser tensors and back, losing nothing (the paper's Figure 1).

A patch of ``p x p`` pixels becomes ``p * p`` channels of one cell; channel ``r * p + c`` is row `r`, column `c` of the
patch.

    >>> import torch
    >>> image = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    >>> to_patches(image, 2)[0, 0, :, 0, 0].tolist()
    [0.0, 1.0, 4.0, 5.0]
"""

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from echocast.shapes import Float


def to_patches(images: Float[Tensor, "*batch channel y x"], patch: int) -> Float[Tensor, "*batch patches rows columns"]:
    """Cut images into patches of `patch` x `patch` pixels: (..., C, H, W) -> (..., C p p, H / p, W / p).

    Raises:
        ValueError: height or width is not divisible by `patch`.
    """
    height, width = images.shape[-2:]
    if height % patch or width % patch:
        raise ValueError(
            f"a grid of {height} x {width} cannot be cut into patches of {patch} x {patch} (patch={patch})"
        )
    return pixel_unshuffle(images, patch)


def from_patches(
    patches: Float[Tensor, "*batch patches rows columns"], patch: int
) -> Float[Tensor, "*batch channel y x"]:
    """The inverse of `to_patches`: (..., C p p, H / p, W / p) -> (..., C, H, W)."""
    return pixel_shuffle(patches, patch)
