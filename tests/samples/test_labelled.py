"""Labels belong to images by the names of sequences and the places of frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echocast.errors import DataError, ExperimentError
from echocast.samples.labelled import LabelledData, label_frames

IMAGES = [("a", 0, 4), ("b", 5, 3), ("c", 9, 2)]


def test_labels_lie_in_another_order_and_some_are_missing() -> None:
    labelled = np.array([True, False, True, False, True, True])
    found = label_frames(IMAGES, [("c", 0, 1), ("a", 2, 4), ("z", 7, 9)], labelled)
    #                     a           gap b           gap c
    assert found.tolist() == [2, -1, 4, 5, -1, -1, -1, -1, -1, 0, -1]


def test_labels_that_fit_no_frames_are_refused() -> None:
    with pytest.raises(DataError, match=r"'b' has labels for its frame 3 .* only 3 frames; .*--beside"):
        label_frames(IMAGES, [("b", 0, 4)], np.ones(4, bool))
    with pytest.raises(DataError, match=r"none of the sequences a, b, c has labels; the archive of labels has z"):
        label_frames(IMAGES, [("z", 0, 4)], np.ones(4, bool))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs either validation"),
        ({"validation": Path("v"), "validation_sequences": ("a",)}, "needs either validation"),
        ({"validation_sequences": ("a",), "held_out": ("a",)}, "'a', which data.validation_sequences names too"),
        ({"validation_sequences": ("a",), "frames": 0}, "data.frames = 0"),
        ({"validation_sequences": ("a",), "max_turn": 200.0}, "data.max_turn = 200"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        LabelledData(train=Path("t"), labels=Path("l"), **settings)
