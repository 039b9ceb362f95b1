"""echocast segment: a class for every cell of every frame."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from echocast.cli import arguments, output
from echocast.cli.progress import Bar
from echocast.errors import DataError


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A video (mp4, avi, gif, ...), a folder of pictures, a folder of such folders, an array (npy, npz,"
            " HDF5).",
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", metavar="PATH", help="The checkpoint of a segmentation network (`echocast train`)."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to write to.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FOLDER",
            help="Label maps to compare with: folders of the same names as those of INPUT, with pictures of the same"
            " names; some frames may have none.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="VALUE,...",
            help="The pixel values of class 0, 1, ... of the labels. Default: the values are the classes.",
        ),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform",
            metavar="TRANSFORM",
            help="Applied to each frame first, as 'resize height=128'; give those of the archive that the model learned"
            " from. May be repeated.",
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            "--memory",
            metavar="FRAMES",
            min=1,
            help="After so many frames the network starts afresh. One that learned from short windows may drift when it"
            " remembers longer: give data.frames of its training. Default: it never does.",
        ),
    ] = None,
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
    """Segment a video: find the class of every cell of every frame.

    Writes masks/SEQUENCE/00000.png and so on, whose pixel values are class numbers; overlay/SEQUENCE.mp4 (.gif where
    PyAV is not installed); report.html; and scores.csv if there are labels: IoU, Dice, boundary F by class, and pixel
    accuracy. Frames keep their size, and a network that needs another one fills up the border and cuts it off again.

    Example: echocast segment davis16/frames --model runs/segmentation_davis/weights.safetensors --out masks/
    """
    _check(path, out, labels, classes)
    values = arguments.whole_numbers(classes, "--classes") if classes else ()
    from echocast import video
    from echocast.archive import transforms as transforming
    from echocast.report.segmentation import score_table, write_segmentation_report
    from echocast.segmentation import run

    with Bar("segmenting", "sequences") as bar:
        result = run.run(
            path,
            model,
            out,
            options=video.Options(frame_rate=frame_rate),
            transforms=transforming.parse(transform) if transform else (),
            labels=run.Labels(labels, values) if labels is not None else None,
            memory=memory,
            on_sequence=bar.to,
        )
    write_segmentation_report(result, out, command=shlex.join(["echocast", *sys.argv[1:]]))
    if result.sums:
        header, rows = score_table(result)
        output.say_table(header, rows, right=header[1:])
    output.say(
        f"{out}: {sum(result.frames.values())} frames of {len(result.frames)} sequences segmented; look at"
        f" {out / 'report.html'} and {result.videos[0]}"
    )


def _check(path: Path, out: Path, labels: Path | None, classes: str | None) -> None:
    if classes and labels is None:
        raise typer.BadParameter("--classes is for --labels")
    for given in (path, labels):
        if given is not None and not given.exists():
            raise DataError(f"{given}: no such file or folder; give a video, a folder of pictures or an array")
    arguments.check_output_folder(out, "--out", [str(one) for one in (path, labels) if one is not None])
