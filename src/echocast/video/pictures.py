"""A folder of pictures as one sequence.

>>> natural(Path("frame10.png")) > natural(Path("frame9.png"))
True
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image, UnidentifiedImageError

from echocast.errors import UnreadableFile
from echocast.video.decoding import luma

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_MOST_CELLS = 2**28


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def natural(path: Path) -> tuple[Any, ...]:
    """What to sort names by: numbers in them count as numbers."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name) if part
    )


def read(files: Iterable[Path], *, grey: bool = False, index: bool = False) -> Shaped[np.ndarray, "time channel y x"]:
    """Pictures of one size, uint8, or uint16 if they have 16 bits.

    Args:
        files: in the order of time.
        grey: make one channel of three.
        index: of a picture with a palette take the number in it, not the colour, as label maps are kept.

    Raises:
        UnreadableFile: a picture is damaged, or of another size or kind than the first.
    """
    frames: list[np.ndarray] = []
    for path in files:
        frame = _picture(path, grey=grey, index=index)
        if frames and (frame.shape != frames[0].shape or frame.dtype != frames[0].dtype):
            was, now = (
                f"{one.shape[2]} x {one.shape[1]} pixels of {one.shape[0]} channels, {one.dtype}"
                for one in (frames[0], frame)
            )
            raise UnreadableFile(f"{path}: is of {now}; the pictures before it are of {was}")
        frames.append(frame)
    return np.stack(frames)


def _picture(path: Path, *, grey: bool, index: bool) -> Shaped[np.ndarray, "channel y x"]:
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > _MOST_CELLS:
                raise UnreadableFile(f"{path}: has {picture.width} x {picture.height} pixels, more than can be read")
            return _array(picture, grey=grey, index=index)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as bad:
        if isinstance(bad, UnreadableFile):
            raise
        raise UnreadableFile(f"{path}: is no whole picture ({bad}); fetch it again, or remove it") from bad


def _array(picture: Image.Image, *, grey: bool, index: bool) -> np.ndarray:
    if picture.mode.startswith("I") or (picture.mode == "P" and index):
        whole = np.asarray(picture)
        return (whole if picture.mode == "P" else whole.astype(np.uint16))[None]
    if picture.mode in ("1", "L", "LA"):
        return np.asarray(picture.convert("L"))[None]
    colours = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
    one_grey = (colours[:1] == colours[1:]).all() and picture.mode == "P"
    if one_grey:
        return np.ascontiguousarray(colours[:1])
    return luma(colours[None])[0] if grey else np.ascontiguousarray(colours)
