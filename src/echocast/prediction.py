"""The next frames of a video, beside the true ones where there are some.

>>> made = predict(Path("bikes.mp4"), "runs/prednet/weights.safetensors", frames=10)  # doctest: +SKIP
>>> to_file(made, Path("next.gif"))  # doctest: +SKIP
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from echocast import video
from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.models import base
from echocast.samples import tensors
from echocast.video import writing

PAST = 10
"""Frames that a prediction uses unless told otherwise."""
_SMALLEST_SIDE = 240
_LABEL_ROWS = 22


@dataclass(frozen=True)
class Prediction:
    """What was given, what was predicted, and what came in truth as far as the sequence goes; levels from 0 to 1.

    Args:
        name: of the sequence.
        past: the frames given.
        predicted: the frames that follow.
        truth: the true ones, from the same time on; none, or fewer than predicted, where the sequence ends.
        frame_rate: frames a second.
    """

    name: str
    past: Float[np.ndarray, "past channel y x"]
    predicted: Float[np.ndarray, "lead channel y x"]
    truth: Float[np.ndarray, "known channel y x"]
    frame_rate: float

    def mse(self) -> dict[str, list[float]]:
        """Mean squared error of each frame whose truth is known: of the prediction and of the last frame repeated."""
        known = len(self.truth)
        made, last = self.predicted[:known], self.past[-1:]
        errors = {"prediction": (made - self.truth) ** 2, "last frame": (last - self.truth) ** 2}
        return {name: np.asarray(one.mean(axis=(1, 2, 3), dtype=np.float64)).tolist() for name, one in errors.items()}


def predict(
    path: Path,
    model: str | Path,
    *,
    frames: int = 10,
    past: int = PAST,
    last: int | None = None,
    options: video.Options = video.DEFAULT,
) -> Prediction:
    """Predict the frames that follow in a video, a folder of pictures or an array.

    Args:
        path: of one sequence, see `echocast.video`.
        model: a forecaster's name, or the path of a checkpoint, for pictures.
        frames: how many frames to predict.
        past: how many frames to give it; fewer if there are fewer.
        last: the number, from 0, of the last frame that is given; the sequence's last if None. What comes behind it is
            the truth.
        options: how to read the sequence.

    Raises:
        UnreadableFile: the sequence cannot be read.
        MissingFrames: it is too short for the model, or has no frame `last`.
        WrongUnits: the model is for something else than pictures.
        ModelError: no such model, or one for another number of channels.
    """
    forecaster = base.resolve(model)
    sequence = video.one(path, options)
    count = len(sequence.frames)
    end = count - 1 if last is None else last
    if not 0 <= end < count:
        raise MissingFrames(f"{path}: has the frames 0 to {count - 1}, and no frame {end}; give another --last")
    first = max(0, end + 1 - past)
    given = sequence.field(first, end + 1)
    minutes = 1.0 / 60.0 / sequence.frame_rate
    forecaster.check_past(given.sizes["time"], minutes, str(given.name), given.sizes.get("channel", 1))
    levels = tensors.to_tensor(given)
    future = forecaster.forecast(levels, frames, Context(time_step_minutes=minutes))
    truth = tensors.to_tensor(sequence.field(end + 1, end + 1 + frames))[0].numpy() if end + 1 < count else None
    empty = np.zeros((0, *levels.shape[2:]), np.float32)
    predicted = torch.clamp(future[0], 0.0, 1.0).numpy()
    return Prediction(
        sequence.name, levels[0].numpy(), predicted, empty if truth is None else truth, sequence.frame_rate
    )


def to_file(made: Prediction, path: Path) -> None:
    """Write a prediction: a video or GIF of what was given and predicted, beside the truth, or the arrays (npz).

    The npz holds ``past``, ``predicted`` and ``truth``, (time, channel, y, x) from 0 to 1, and ``frame_rate``.

    Raises:
        DataError: the file cannot be written.
    """
    if path.suffix.lower() == ".npz":
        arrays = {"past": made.past, "predicted": made.predicted, "truth": made.truth}
        writing.write_arrays(path, arrays | {"frame_rate": np.array(made.frame_rate)})
        return
    rate = min(made.frame_rate, 25.0) if path.suffix.lower() == ".gif" else made.frame_rate
    writing.write(path, _pictures(made), frame_rate=max(rate, 2.0))


def _pictures(made: Prediction) -> np.ndarray:
    """Each frame as a picture: the truth on the left where there is one, the prediction on the right, with labels."""
    enlarge = max(1, -(-_SMALLEST_SIDE // max(made.past.shape[-2:])))
    past = writing.to_pictures(made.past, enlarge=enlarge)
    predicted = writing.to_pictures(made.predicted, enlarge=enlarge)
    if not len(made.truth):
        rows = [_labelled([(frame, "given")]) for frame in past]
        return np.stack([*rows, *(_labelled([(one, f"predicted, +{n}")]) for n, one in enumerate(predicted, 1))])
    truth = writing.to_pictures(made.truth, enlarge=enlarge)
    missing = np.zeros_like(predicted[: len(predicted) - len(truth)])
    rows = [_labelled([(frame, "given"), (frame, "given")]) for frame in past]
    for n, (true, one) in enumerate(zip([*truth, *missing], predicted, strict=True), 1):
        rows.append(
            _labelled([(true, f"truth, +{n}" if n <= len(truth) else "truth not known"), (one, f"predicted, +{n}")])
        )
    return np.stack(rows)


def _labelled(panels: list[tuple[np.ndarray, str]]) -> np.ndarray:
    """Pictures side by side, each with its label above."""
    gap = 6
    rows, columns, _ = panels[0][0].shape
    sheet = Image.new("RGB", (len(panels) * (columns + gap) - gap, rows + _LABEL_ROWS), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (picture, label) in enumerate(panels):
        left = number * (columns + gap)
        colour = "#b3261e" if label.startswith("predicted") else "#222222"
        draw.text((left + 2, 4), label, fill=colour, font=ImageFont.load_default(14))
        sheet.paste(Image.fromarray(picture), (left, _LABEL_ROWS))
    return np.asarray(sheet)
