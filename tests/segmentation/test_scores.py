"""Scores against numbers worked by hand, other libraries, and DAVIS' own definition."""

import math

import numpy as np
import pytest
from scipy import ndimage

from echocast.samples.tensors import IGNORED
from echocast.segmentation import scores
from echocast.verification.base import add


def drawn(seed: int, classes: int = 3, shape: tuple[int, ...] = (4, 20, 30)) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0, 2, 2))
    return np.digitize(smooth, np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1]))


def test_iou_dice_and_accuracy_are_those_of_torchmetrics() -> None:
    import torch
    from torchmetrics.functional import jaccard_index
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

    predicted, truth = drawn(1), drawn(2)
    truth[0, :5] = IGNORED
    found = scores.values(scores.statistics(predicted, truth, classes=3))
    pair = torch.from_numpy(predicted), torch.from_numpy(truth)
    same = {"num_classes": 3, "ignore_index": IGNORED}
    np.testing.assert_allclose(found["iou"], jaccard_index(*pair, task="multiclass", average="none", **same))
    np.testing.assert_allclose(found["dice"], multiclass_f1_score(*pair, average="none", **same), rtol=1e-6)
    assert found["accuracy"] == pytest.approx(float(multiclass_accuracy(*pair, average="micro", **same)))


def test_a_class_without_truth_has_no_score_and_an_absent_prediction_scores_0() -> None:
    truth, predicted = np.zeros((2, 6, 6), int), np.zeros((2, 6, 6), int)
    truth[0, :3, :3] = 1
    predicted[1, 3:, 3:] = 2
    found = scores.values(scores.statistics(predicted, truth, classes=4))
    for name in ("iou", "frame_iou", "dice", "boundary_f"):
        assert found[name][1] == 0, name
        assert np.isnan(found[name][2:]).all(), name
    nothing = scores.values(scores.statistics(predicted, np.full_like(truth, IGNORED), classes=4))
    assert all(np.isnan(value).all() for value in nothing.values())


def test_sums_of_frames_add() -> None:
    predicted, truth = drawn(3), drawn(4)
    whole = scores.values(scores.statistics(predicted, truth, classes=3))
    halves = add(*(scores.statistics(predicted[s], truth[s], classes=3) for s in (slice(1), slice(1, None))))
    for name, value in scores.values(halves).items():
        np.testing.assert_allclose(value, whole[name])


def davis_boundary(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The measure as the paper words it, cell by cell: distances between outlines instead of dilations."""

    def border(region: np.ndarray) -> np.ndarray:
        rows, columns = region.shape
        found = np.zeros(region.shape, bool)
        for y in range(rows):
            for x in range(columns):
                near = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
                found[y, x] = any(region[min(b, rows - 1), min(a, columns - 1)] != region[y, x] for b, a in near)
        return found

    found, known = border(predicted), border(truth)
    reach = math.ceil(0.008 * math.hypot(*truth.shape))
    precision = (ndimage.distance_transform_edt(~known)[found] <= reach).mean()
    recall = (ndimage.distance_transform_edt(~found)[known] <= reach).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("shape", [(40, 60), (150, 200)])
def test_boundary_f(shape: tuple[int, int]) -> None:
    predicted, truth = (drawn(seed, 2, (1, *shape))[0] > 0 for seed in (5, 6))
    assert scores.boundary_f(predicted, truth) == pytest.approx(davis_boundary(predicted, truth))
    assert scores.boundary_f(truth, truth) == 1
    assert 0 < scores.boundary_f(predicted, truth) < 1


def test_boundary_f_of_a_shifted_square_by_hand() -> None:
    truth, predicted = np.zeros((50, 50), bool), np.zeros((50, 50), bool)
    truth[10:20, 10:20] = predicted[10:20, 11:21] = True  # 0.8 % of 70.7 is one cell: all match
    assert scores.boundary_f(predicted, truth) == 1
    assert scores.boundary_f(np.roll(predicted, 20, axis=1), truth) == 0
    empty = np.zeros_like(truth)
    assert scores.boundary_f(empty, truth) == scores.boundary_f(truth, empty) == 0
    assert scores.boundary_f(empty, empty) == 1


@pytest.mark.usefixtures("as_users_run")
def test_what_are_no_classes_is_refused() -> None:
    frames = np.zeros((1, 3, 3), int)
    with pytest.raises(ValueError, match="predicted has class numbers from 2 to 2; classes=2"):
        scores.statistics(frames + 2, frames, classes=2)
    with pytest.raises(ValueError, match="truth has class numbers from -1"):
        scores.statistics(frames, frames - 1, classes=2)
    with pytest.raises(ValueError, match="must both be"):
        scores.statistics(frames, frames[:, :2], classes=2)
