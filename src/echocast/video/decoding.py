"""Videos and animated GIFs: frames in their own size, channels and rate.

PyAV decodes (the libraries of FFmpeg in wheels of its own), Pillow reads GIF.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from echocast.errors import MissingDependency, UnreadableFile

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")
_MOST_BYTES = 8 * 2**30


def is_video(path: Path) -> bool:
    """Whether a file is called like a video."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, *, grey: bool = False) -> tuple[Shaped[np.ndarray, "time channel y x"], float | None]:
    """The frames of a video, uint8, and how many there are a second, if it says so.

    Args:
        path: a local file.
        grey: make one channel of three; a video whose pictures are grey has one anyway.

    Raises:
        UnreadableFile: it is no video, it is cut off, or its frames change their size.
        MissingDependency: the package av is not installed.
    """
    frames, rate = _gif(path) if path.suffix.lower() == ".gif" else _video(path)
    return (luma(frames) if grey and frames.shape[1] == 3 else frames), rate


def luma(frames: Shaped[np.ndarray, "time 3 y x"]) -> Shaped[np.ndarray, "time 1 y x"]:
    """Grey levels of colours, by ITU-R BT.601, of the same type."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey = np.einsum("tcyx,c->tyx", frames.astype(np.float32), weights)[:, None]
    return np.asarray(grey if frames.dtype == np.float32 else np.rint(grey).astype(frames.dtype))


def _video(path: Path) -> tuple[np.ndarray, float | None]:
    try:
        import av
    except ModuleNotFoundError as missing:
        raise MissingDependency("av", "video") from missing
    frames: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableFile(f"{path}: holds no video; give a file with one")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            promised, rate = stream.frames, stream.average_rate
            for frame in container.decode(stream):
                frames.append(_frame(frame, frames, path))
    except av.error.FFmpegError as bad:
        raise UnreadableFile(f"{path}: cannot be decoded after {len(frames)} frames ({bad}); fetch it again") from bad
    if not frames or len(frames) < promised:
        raise UnreadableFile(f"{path}: is cut off: it holds {len(frames)} of {promised} frames; fetch it again")
    return np.stack(frames), float(Fraction(rate)) if rate else None


def _frame(frame: Any, before: list[np.ndarray], path: Path) -> np.ndarray:
    grey = frame.format.name.startswith("gray")
    shown = frame.to_ndarray(format="gray" if grey else "rgb24")
    made = shown[None] if grey else np.ascontiguousarray(np.moveaxis(shown, -1, 0))
    if before and made.shape != before[0].shape:
        raise UnreadableFile(
            f"{path}: frame {len(before)} has {made.shape[2]} x {made.shape[1]} pixels, the first"
            f" {before[0].shape[2]} x {before[0].shape[1]}; cut it where the size changes"
        )
    if made.nbytes * (len(before) + 1) > _MOST_BYTES:
        raise UnreadableFile(f"{path}: is larger than {_MOST_BYTES // 2**30} GiB when decoded; cut it into parts")
    return np.asarray(made)


def _gif(path: Path) -> tuple[np.ndarray, float | None]:
    frames, durations = [], []
    try:
        with Image.open(path, formats=["GIF"]) as picture:
            for number in range(getattr(picture, "n_frames", 1)):
                picture.seek(number)
                frames.append(np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0))
                durations.append(float(picture.info.get("duration", 0)))
    except (OSError, ValueError, SyntaxError) as bad:
        raise UnreadableFile(f"{path}: is no whole GIF ({bad}); fetch it again") from bad
    made = np.stack(frames)
    if (made[:, :1] == made[:, 1:]).all():
        made = made[:, :1]
    usual = float(np.median(durations))
    return np.ascontiguousarray(made), 1000.0 / usual if usual > 0 else None
