"""Classes as pictures: masks with a palette, and frames with the classes laid over them.

>>> colours(3).tolist()
[[0, 0, 0], [230, 159, 0], [86, 180, 233]]
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from echocast.atomic import atomic_write
from echocast.errors import DataError
from echocast.segmentation.scores import outline

UNOBSERVED = 255
"""The number in a mask's picture where nothing is observed."""

_SAFE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""The colours of Okabe and Ito, which can be told apart in any colour vision."""
_GREY = (128, 128, 128)
_OPACITY = 0.5


def colours(classes: int) -> UInt8[np.ndarray, "classes 3"]:
    """The colour of each class: black for the background; from the eighth on they repeat, darker."""
    found = [(0, 0, 0)]
    for number in range(classes - 1):
        turn, place = divmod(number, len(_SAFE))
        found.append(tuple(round(part * 0.65**turn) for part in _SAFE[place]))  # type: ignore[arg-type]
    return np.array(found[:classes], np.uint8)


def write_mask(path: Path, classes: Float[np.ndarray, "y x"], count: int) -> None:
    """Write one frame's classes as a PNG whose pixel values are the class numbers.

    Args:
        path: ends in ``.png``.
        classes: class numbers, NaN where nothing is observed, which becomes `UNOBSERVED`.
        count: how many classes there are.

    Raises:
        DataError: more classes than a palette has colours, or the file cannot be written.
    """
    if count > UNOBSERVED:
        raise DataError(f"{path}: a PNG with a palette holds {UNOBSERVED} classes; the model has {count}")
    picture = Image.fromarray(np.where(np.isnan(classes), UNOBSERVED, classes).astype(np.uint8), mode="P")
    table = np.tile(np.array(_GREY, np.uint8), (256, 1))
    table[:count] = colours(count)
    picture.putpalette(table.tobytes())
    with atomic_write(path) as partial:
        picture.save(partial, format="PNG")


def overlay(
    pictures: UInt8[np.ndarray, "time y x 3"], classes: Float[np.ndarray, "time rows columns"], count: int
) -> UInt8[np.ndarray, "time rows columns 3"]:
    """Pictures with every class but the background in its colour, and a line around it.

    Args:
        pictures: the frames.
        classes: class numbers on the same or a finer grid, NaN where nothing is observed.
        count: how many classes there are.
    """
    factor = classes.shape[-1] // pictures.shape[2]
    shown = pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    known = np.nan_to_num(classes).astype(int)
    painted = colours(count)[known]
    mixed = np.rint(_OPACITY * painted + (1 - _OPACITY) * shown).astype(np.uint8)
    lines = np.stack([np.any([outline(one == k) for k in range(1, count)], axis=0) for one in known])
    inside = (known > 0)[..., None]
    return np.where(lines[..., None], np.uint8(255), np.where(inside, mixed, shown))
