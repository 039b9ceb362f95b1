"""A report of a segmentation: one page with scores by class and pictures to look at.

>>> write_segmentation_report(result, Path("masks"), command="echocast segment ...")  # doctest: +SKIP
"""

from itertools import islice
from pathlib import Path

from matplotlib.figure import Figure

from echocast._version import __version__
from echocast.report import page
from echocast.report.files import written_folder
from echocast.report.page import Section
from echocast.report.tables import Table
from echocast.segmentation.run import Result
from echocast.segmentation.scores import SCORES

_SEQUENCES = 8


def write_segmentation_report(result: Result, folder: Path, *, command: str) -> None:
    """Write ``report.html`` into a folder; raises `DataError` if it cannot be written.

    Args:
        result: of `echocast.segmentation.run.run`.
        folder: made if it does not exist.
        command: the command line that the report names.
    """
    figures = {
        f"frames{number}": (f"{name}: every class but the background in its colour.", _drawn(result, name))
        for number, name in enumerate(islice(result.examples, _SEQUENCES))
    }
    count, frames = len(result.frames), sum(result.frames.values())
    head = Section(
        "Segmentation",
        [
            f"{frames} frames of {count} sequence{'s' if count > 1 else ''}; {result.classes} classes, class 0 is the"
            " background.",
            "Cells without a label do not count. A class that no label has, has no score. IoU and Dice are of all cells"
            " of a sequence together; IoU by frame and boundary F are means over the frames that have the class."
            if result.sums
            else "There are no labels, so there are no scores.",
            f"Made by echocast {__version__}: `{command}`",
        ],
    )
    found = [
        head,
        *([Section("Scores", tables=[("By sequence and class", score_table(result))])] if result.sums else []),
    ]
    with written_folder(folder) as made:
        for name, (_, figure) in figures.items():
            figure.savefig(made / f"{name}.png", dpi=100, facecolor="white", bbox_inches="tight", pad_inches=0.05)
        (made / "report.html").write_text(page.html(found, figures, made), encoding="utf-8")
        for name in figures:
            (made / f"{name}.png").unlink()


def score_table(result: Result) -> Table:
    """Header and rows: a row for each sequence and class."""
    by_class = [name for name in SCORES if name != "accuracy"]
    rows = []
    for sequence, found in result.scores().items():
        for number in range(result.classes):
            accuracy = f"{float(found['accuracy']):.3f}" if number == 0 else ""
            rows.append([sequence, str(number), *(f"{found[name][number]:.3f}" for name in by_class), accuracy])
    return ["sequence", "class", *(SCORES[name].short_title for name in (*by_class, "accuracy"))], rows


def _drawn(result: Result, name: str) -> Figure:
    frames = result.examples[name]
    rows, columns = frames.shape[1:3]
    figure = Figure(figsize=(3 * len(frames), 3 * rows / columns), layout="constrained")
    for axis, frame in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames, strict=True):
        axis.imshow(frame, interpolation="nearest")
        axis.set_axis_off()
    return figure
