"""echocast predict: the next frames of a video."""

from pathlib import Path
from typing import Annotated

import typer

from echocast.cli import arguments, output

_SUFFIXES = (".mp4", ".gif", ".npz")


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="A video (mp4, avi, gif, ...), a folder of pictures, or an array (npy, npz, HDF5)."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="A forecaster of pictures: persistence or a checkpoint.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="What to write: .mp4, .gif, or .npz with the levels.")
    ],
    frames: Annotated[int, typer.Option("--frames", min=1, max=1000, help="Number of frames to predict.")] = 10,
    past: Annotated[int, typer.Option("--past", min=1, help="Number of frames given to the model.")] = 10,
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            min=0,
            metavar="FRAME",
            help="The last frame that is given, from 0; what follows it is the truth. Default: the last frame.",
        ),
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Make grey levels of colours.")] = False,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            "--frame-rate",
            metavar="PER SECOND",
            min=1e-6,
            callback=arguments.finite,
            help="Frames a second. Default: what a video says; 1 for pictures and arrays.",
        ),
    ] = None,
) -> None:
    """Predict the next frames of a video, shown beside the true ones where --last leaves some.

    Frames keep their size: a model that needs another one fills up the border and cuts it off again. Where the truth is
    known, the mean squared error of each frame is printed, beside that of the last frame repeated.

    Example: echocast predict bikes.mp4 --model runs/prednet/weights.safetensors --last 199 --out next.gif
    """
    arguments.check_output(out, "--out", _SUFFIXES, [str(path)])
    arguments.check_model(model)
    from echocast import prediction, video

    options = video.Options(grey=grey, frame_rate=frame_rate)
    made = prediction.predict(path, model, frames=frames, past=past, last=last, options=options)
    prediction.to_file(made, out)
    errors = made.mse()
    rows = list(zip(*errors.values(), strict=True))
    if rows:
        listed = [(f"+{n}", *(f"{value:.6f}" for value in row)) for n, row in enumerate(rows, 1)]
        means = [sum(values) / len(rows) for values in errors.values()]
        output.say_table(("frame", *(f"MSE of {name}" for name in errors)), listed)
        output.say(f"mean of {len(rows)}: " + ", ".join(f"{n} {v:.6f}" for n, v in zip(errors, means, strict=True)))
    output.say(f"{out}: {len(made.predicted)} frames predicted from {len(made.past)} of {made.name}")
