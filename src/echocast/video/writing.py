"""Frames as a video, an animated GIF or an array, whole or not at all.

>>> SUFFIXES
('.mp4', '.gif', '.npz')
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from echocast.atomic import atomic_write
from echocast.errors import DataError, MissingDependency

SUFFIXES = (".mp4", ".gif", ".npz")


def write(path: Path, frames: UInt8[np.ndarray, "time y x 3"], *, frame_rate: float) -> None:
    """Write pictures as an mp4 (H.264) or a GIF, by the ending of `path`.

    Raises:
        DataError: another ending, or the file cannot be written.
        MissingDependency: mp4 needs the package av.
    """
    if path.suffix.lower() == ".gif":
        _gif(path, frames, frame_rate)
    elif path.suffix.lower() == ".mp4":
        _mp4(path, frames, frame_rate)
    else:
        raise DataError(f"{path}: a video is written as .mp4 or .gif; give one of these endings")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an npz."""
    with atomic_write(path) as partial:
        np.savez_compressed(partial, allow_pickle=False, **arrays)


def to_pictures(frames: np.ndarray, *, enlarge: int = 1) -> UInt8[np.ndarray, "time y x 3"]:
    """Levels from 0 to 1, (time, channel, y, x) of 1 or 3 channels, as pictures; NaN is black."""
    eight = np.rint(np.nan_to_num(frames).clip(0, 1) * 255).astype(np.uint8)
    colours = np.moveaxis(eight, 1, -1)
    colours = np.repeat(colours, 3, axis=-1) if colours.shape[-1] == 1 else colours
    return np.ascontiguousarray(colours.repeat(enlarge, axis=1).repeat(enlarge, axis=2))


def _gif(path: Path, frames: np.ndarray, frame_rate: float) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    milliseconds = max(20, round(1000 / frame_rate))
    with atomic_write(path) as partial:
        pictures[0].save(
            partial, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
        )


def _mp4(path: Path, frames: np.ndarray, frame_rate: float) -> None:
    try:
        import av
    except ModuleNotFoundError as missing:
        raise MissingDependency("av", "video") from missing
    even = np.pad(
        frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0))
    )  # H.264 needs even sides
    with atomic_write(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(1001 * 120))
        stream.width, stream.height, stream.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
        stream.options = {"crf": "18"}
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
