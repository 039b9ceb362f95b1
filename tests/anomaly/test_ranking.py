"""ROC area, equal error rate and the pixel level against scikit-learn and plain loops."""

import numpy as np
import pytest

from echocast.anomaly import ranking
from echocast.errors import DataError

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


@pytest.mark.parametrize("seed", range(5))
def test_roc_is_that_of_scikit_learn_with_ties_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(60) < 0.3
    scores = np.round(rng.normal(size=60) + labels, seed % 3)
    labels[:2] = [True, False]
    curve = ranking.roc(scores, labels)
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, false)
    np.testing.assert_allclose(curve.true_positive_rate, true)
    assert curve.area == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert curve.equal_error_rate == pytest.approx(equal_error_rate(false, true), abs=1e-4)


def equal_error_rate(false: np.ndarray, true: np.ndarray) -> float:
    """Where the curve, drawn finely, crosses the line from the upper left to the lower right corner."""
    along = np.linspace(0, len(false) - 1, 400_001)
    x, y = np.interp(along, range(len(false)), false), np.interp(along, range(len(true)), true)
    return float(x[np.abs(x - (1 - y)).argmin()])


def test_perfect_and_useless_scores() -> None:
    labels = np.array([0, 0, 1, 1])
    perfect, useless = ranking.roc(np.arange(4.0), labels), ranking.roc(np.zeros(4), labels)
    assert (perfect.area, perfect.equal_error_rate) == (1.0, 0.0)
    assert (useless.area, useless.equal_error_rate) == (0.5, 0.5)


def test_frames_without_a_score_are_left_out() -> None:
    curve = ranking.roc(np.array([np.nan, 0.1, 0.9, np.nan]), np.array([1, 0, 1, 0]))
    assert curve.area == 1.0


def test_one_kind_of_frames_is_refused() -> None:
    with pytest.raises(DataError, match="2 abnormal and 0 normal frames"):
        ranking.roc(np.array([0.1, 0.2]), np.array([1, 1]))


def test_pixel_level_is_what_the_protocol_says_at_every_threshold() -> None:
    rng = np.random.default_rng(1)
    maps, masks = rng.random((12, 6, 7)), rng.random((12, 6, 7)) < 0.2
    masks[::3] = False
    maps[1, 0, 0] = np.nan
    scores = ranking.pixel_scores(maps, masks)
    for threshold in np.linspace(0.05, 0.95, 19):
        for values, mask, score in zip(maps, masks, scores, strict=True):
            found = values > threshold
            hit = found[mask].sum() >= 0.4 * mask.sum() if mask.any() else found.any()
            assert (score > threshold) == hit
