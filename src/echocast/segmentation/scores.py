"""Scores of segmentation by class: IoU, Dice, boundary F, and pixel accuracy.

As in `echocast.verification`, `statistics` makes sums that add over frames, sequences and machines, and `values` makes
scores of them. Cells whose label is `echocast.samples.tensors.IGNORED` do not count. A class that no label has, has no
score: NaN, neither 0 nor 1.

    truth      0 0 1 1        class 1: 2 cells in both, 4 in either: IoU 2 / 4, Dice 4 / 6
               0 0 1 1        class 0: 4 and 6: IoU 4 / 6, Dice 8 / 10
    predicted  0 0 0 1        pixel accuracy: 6 of 8
               0 0 0 1

>>> truth = np.array([[[0, 0, 1, 1]] * 2])
>>> predicted = np.array([[[0, 0, 0, 1]] * 2])
>>> {name: found.round(3).tolist() for name, found in values(statistics(predicted, truth, classes=2)).items()}
{'iou': [0.667, 0.5], 'frame_iou': [0.667, 0.5], 'dice': [0.8, 0.667], 'boundary_f': [1.0, 1.0], 'accuracy': 0.75}
"""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from echocast.samples.tensors import IGNORED
from echocast.verification.base import Score, Sums

SCORES = {
    "iou": Score("Intersection over union", 1.0, abbreviation="IoU", main=True),
    "frame_iou": Score("Mean intersection over union of frames", 1.0, abbreviation="IoU by frame (J)"),
    "dice": Score("Dice coefficient", 1.0, abbreviation="Dice", main=True),
    "boundary_f": Score("F measure of boundaries", 1.0, abbreviation="Boundary F", main=True),
    "accuracy": Score("Pixel accuracy", 1.0, abbreviation="Accuracy"),
}
"""By the names that `values` gives."""

TOLERANCE = 0.008
"""How far boundaries may be apart and still match, as a share of the frame's diagonal."""


def statistics(predicted: Int[np.ndarray, "frame y x"], truth: Int[np.ndarray, "frame y x"], *, classes: int) -> Sums:
    """Sums over frames.

    Args:
        predicted: class numbers.
        truth: the same, `IGNORED` where there is no label.
        classes: how many there are.

    Returns:
        ``table`` (class of the truth, class predicted): cells. By class: ``frames`` whose truth has it, the sum of
        their IoU in ``frame_iou`` and of their boundary F in ``boundary_f``.

    Raises:
        ValueError: other shapes, or numbers that are no classes.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise ValueError(f"predicted {predicted.shape} and truth {truth.shape} must both be (frame, y, x)")
    sums = {
        "table": np.zeros((classes, classes)),
        "frames": np.zeros(classes),
        "frame_iou": np.zeros(classes),
        "boundary_f": np.zeros(classes),
    }
    for found, known in zip(predicted, truth, strict=True):
        table = confusion(found, known, classes)
        sums["table"] += table
        shared = iou(table)
        for number in np.flatnonzero(table.sum(axis=1)):
            sums["frames"][number] += 1
            sums["frame_iou"][number] += shared[number]
            inside = known != IGNORED
            sums["boundary_f"][number] += boundary_f((found == number) & inside, known == number)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores: by class, (class,), and one number for the pixel accuracy.

    ``iou`` and ``dice`` are of all cells together; ``frame_iou`` and ``boundary_f`` are means over the frames whose
    truth has the class. NaN for a class that no truth has.

    Source: ``frame_iou`` and ``boundary_f`` are J and F of Perazzi et al. 2016 (doi:10.1109/CVPR.2016.85), which counts
    a frame without the object as 1 where the prediction has none either; here such a frame does not count.
    """
    table, frames = sums["table"], np.where(sums["frames"] > 0, sums["frames"], np.nan)
    hits, total = np.diag(table).copy(), table.sum()
    known = np.where(table.sum(axis=1) > 0, table.sum(axis=1), np.nan)
    return {
        "iou": iou(table),
        "frame_iou": sums["frame_iou"] / frames,
        "dice": 2 * hits / (known + table.sum(axis=0)),
        "boundary_f": sums["boundary_f"] / frames,
        "accuracy": np.asarray(hits.sum() / total if total else np.nan),
    }


def confusion(
    predicted: Int[np.ndarray, "*frames y x"], truth: Int[np.ndarray, "*frames y x"], classes: int
) -> Float[np.ndarray, "classes classes"]:
    """How many cells of each class (row) were given each class (column); raises `ValueError` for other numbers."""
    known = truth != IGNORED
    rows, columns = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    for what, numbers in (("truth", rows), ("predicted", columns)):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
            raise ValueError(f"{what} has class numbers from {numbers.min()} to {numbers.max()}; classes={classes}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes).astype(float)


def iou(table: Float[np.ndarray, "classes classes"]) -> Float[np.ndarray, "classes"]:
    """Intersection over union of each class of a `confusion`; NaN for a class that the truth has nowhere."""
    hits, known = np.diag(table), table.sum(axis=1)
    return np.asarray(hits / (np.where(known > 0, known, np.nan) + table.sum(axis=0) - hits))


def boundary_f(predicted: Bool[np.ndarray, "y x"], truth: Bool[np.ndarray, "y x"]) -> float:
    """How well two outlines match: the harmonic mean of precision and recall of their cells.

    A cell of one outline matches if a cell of the other lies within 0.8 % of the frame's diagonal, rounded up.

    Source: Perazzi et al. 2016 (doi:10.1109/CVPR.2016.85), in the form in which DAVIS is scored.
    """
    found, known = outline(predicted), outline(truth)
    if not found.any() or not known.any():
        return 1.0 if found.any() == known.any() else 0.0
    reach = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    along = np.arange(-reach, reach + 1)
    disk = (along[:, None] ** 2 + along**2 <= reach**2).astype(np.uint8)
    near_found, near_known = (cv2.dilate(one.astype(np.uint8), disk) > 0 for one in (found, known))
    precision, recall = float(near_known[found].mean()), float(near_found[known].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(region: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The cells that differ from the one to the right, below, or right below; the border itself is no outline."""
    filled = np.pad(region, ((0, 1), (0, 1)), mode="edge")
    right, below, both = filled[:-1, 1:], filled[1:, :-1], filled[1:, 1:]
    return np.asarray((region != right) | (region != below) | (region != both))
