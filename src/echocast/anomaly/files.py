"""What was detected, in files: a CSV with a row for each frame.

>>> COLUMNS[:4]
('sequence', 'frame', 'time', 'score')
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from echocast.anomaly.detection import Detection, Result
from echocast.atomic import atomic_write

COLUMNS = ("sequence", "frame", "time", "score", "regularity", "abnormal")


def write_scores(result: Result, path: Path, labels: Mapping[str, Bool[np.ndarray, "frames"]] | None = None) -> None:
    """Write the scores of all frames, and beside them their labels if there are some.

    Of rain there are also how far a frame stands out by each measure, and the measure by which it does so most. A frame
    without a score has empty cells. The file appears whole or not at all.
    """
    parts = list(result.sequences[0].parts)
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *parts, *(["reason"] if parts else []), *(["label"] if labels else [])])
        for one in result.sequences:
            for number in range(len(one.times)):
                row = _row(one, number)
                writer.writerow([*row, *([int(labels[one.name][number])] if labels else [])])


def _row(one: Detection, number: int) -> list[str]:
    time = np.datetime_as_string(one.times[number], unit="ms")
    values = [_text(one.scores[number]), _text(one.regularity[number]), str(int(one.abnormal[number]))]
    parts = [_text(values[number]) for values in one.parts.values()]
    return [one.name, str(number), time, *values, *parts, *([one.reason(number)] if parts else [])]


def _text(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""
