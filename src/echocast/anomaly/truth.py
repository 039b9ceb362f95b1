"""What is really abnormal: labels of frames from JSON or CSV, masks of pixels from folders of pictures.

JSON holds a list of 0 and 1 for each sequence, ``{"01": [0, 0, 1]}``, or one list where there is one sequence; the
object may lie in another one with a single name. CSV has the columns ``sequence``, ``frame`` (from 0) and ``label``;
``sequence`` may be left out where there is one. Masks lie in folders that are called as the sequences, a picture a
frame, white where it is abnormal.

    >>> _by_sequence({"ped2": {"01": [0, 1]}}, ["01"], Path("labels.json"))
    {'01': [0, 1]}
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from echocast import video
from echocast.anomaly.detection import Result
from echocast.anomaly.ranking import Curve, pixel_scores, roc
from echocast.errors import DataError

_JSON = '{"SEQUENCE": [0, 1, ...]}'


def read_labels(path: Path, lengths: dict[str, int]) -> dict[str, Bool[np.ndarray, "frames"]]:
    """Whether each frame of each sequence is abnormal.

    Args:
        path: a JSON or CSV file.
        lengths: the number of frames of each sequence.

    Raises:
        DataError: the file is neither, lacks a sequence, has too many or too few labels, or other values than 0 and 1.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".csv":
            given = _of_rows(csv.DictReader(text.splitlines()), lengths, path)
        else:
            given = _by_sequence(json.loads(text), list(lengths), path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as bad:
        raise DataError(f"{path}: cannot be read as labels ({bad}); give JSON, {_JSON}, or CSV") from bad
    return {name: _checked(given.get(name), name, length, path) for name, length in lengths.items()}


def read_masks(folder: Path, result: Result) -> dict[str, Bool[np.ndarray, "frames y x"]]:
    """Whether each pixel is abnormal, by sequence.

    Raises:
        DataError: a sequence has no masks, or another number or size of them than its frames.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder with the masks of the sequences")
    found = {one.name: one.frames[:, 0] > 0 for one in video.sequences([folder], video.Options(grey=True))}
    if len(result.sequences) == 1 and len(found) == 1:  # a folder of pictures, whatever it is called
        found = {result.sequences[0].name: next(iter(found.values()))}
    for one in result.sequences:
        masks = found.get(one.name)
        if masks is None or masks.shape != one.maps.shape:
            has = "no masks" if masks is None else f"masks of the shape {masks.shape}"
            raise DataError(
                f"{folder}: {one.name} has {has}, and its frames are {one.maps.shape} (frames, rows, columns); give a"
                " folder of masks, one for each frame and of its size, called as the sequence"
            )
    return {one.name: found[one.name] for one in result.sequences}


def frame_curve(result: Result, labels: dict[str, Bool[np.ndarray, "frames"]], *, regular: bool = False) -> Curve:
    """The ROC curve of all frames with a score; `regular`: by 1 - regularity, which each sequence has on its own."""
    scores = [1 - one.regularity if regular else one.scores for one in result.sequences]
    return roc(np.concatenate(scores), np.concatenate([labels[one.name] for one in result.sequences]))


def pixel_curve(result: Result, masks: dict[str, Bool[np.ndarray, "frames y x"]]) -> Curve:
    """The ROC curve at pixel level of all frames with a score, see `echocast.anomaly.ranking.pixel_scores`."""
    scores, labels = [], []
    for one in result.sequences:
        known = np.isfinite(one.scores)
        found: Float[np.ndarray, "frames"] = pixel_scores(one.maps.astype(np.float64), masks[one.name])
        scores.append(np.where(known, found, np.nan))
        labels.append(masks[one.name].any(axis=(1, 2)))
    return roc(np.concatenate(scores), np.concatenate(labels))


def _by_sequence(content: Any, names: Sequence[str], path: Path) -> dict[str, Any]:
    if isinstance(content, list) and len(names) == 1:
        return {names[0]: content}
    if isinstance(content, dict) and len(content) == 1:
        (inner,) = content.values()
        if isinstance(inner, dict):
            content = inner
        elif len(names) == 1 and names[0] not in content:
            return {names[0]: inner}
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; labels are {_JSON}")
    return {str(name): labels for name, labels in content.items()}


def _of_rows(rows: Iterable[dict[str, str]], lengths: dict[str, int], path: Path) -> dict[str, list[int]]:
    only = next(iter(lengths)) if len(lengths) == 1 else None
    found: dict[str, dict[int, int]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            name = row.get("sequence") or only
            if name is None:
                raise KeyError("sequence")
            found.setdefault(name, {})[int(row["frame"])] = int(row["label"])
        except (KeyError, ValueError, TypeError) as bad:
            raise DataError(
                f"{path}, line {number}: {dict(row)} has no sequence, frame and label that are understood; the columns"
                " are sequence,frame,label"
            ) from bad
    return {name: [labels[key] for key in sorted(labels)] for name, labels in found.items()}


def _checked(labels: Any, name: str, length: int, path: Path) -> Bool[np.ndarray, "frames"]:
    if labels is None:
        raise DataError(f"{path}: has no labels of the sequence {name!r}; give a list of 0 and 1 for each sequence")
    if not isinstance(labels, list) or not all(label in (0, 1) for label in labels):
        raise DataError(f"{path}: the labels of {name!r} are no list of 0 (normal) and 1 (abnormal)")
    if len(labels) != length:
        raise DataError(f"{path}: has {len(labels)} labels of {name!r}, which has {length} frames; give one for each")
    return np.array(labels, bool)
