"""The card beside weights that were adapted."""

from collections.abc import Iterable

import numpy as np

from echocast import fields
from echocast._version import __version__
from echocast.training.adapting import Adaptation, Learned


def card(job: Adaptation, learned: Learned, name: str, model: str, scores: Iterable[str]) -> str:
    """The card as Markdown.

    Args:
        job: what was learned from.
        learned: what the training came to.
        name: of the weights' file.
        model: the name or the path of the weights that it began with.
        scores: lines of Markdown about the test.
    """
    size = " x ".join(str(job.field.sizes[axis]) for axis in ("y", "x"))
    cells = f"means over {job.factor} x {job.factor} cells" if job.factor > 1 else "the cells as they are"
    return "\n".join(
        [
            f"# Model card: {name}",
            "",
            f"`{model}`, fine-tuned by `echocast adapt` (echocast {__version__}) on the archive `{job.store}`: {size}"
            f" cells of {fields.grid_km(job.field):.3g} km; learned from {cells}.",
            "",
            "| part | first frame (UTC) | last frame (UTC) |",
            "| --- | --- | --- |",
            *(f"| {part} | {_text(first)} | {_text(last)} |" for part, (first, last) in job.spans.items()),
            "",
            f"Validation: mean CSI at 0.5, 1, 2 and 5 mm/h {learned.csi_before:.4f} before and {learned.csi_after:.4f}"
            f" after {learned.steps} steps.",
            "",
            *scores,
            "",
            "The weights were kept because they were better on the test. A test of a few days says little about other"
            " weather: score them again when there is more.",
            "",
        ]
    )


def _text(time: np.datetime64) -> str:
    return str(time)[:16].replace("T", " ")
