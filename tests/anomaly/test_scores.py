"""From errors to scores, each against a plain loop or numbers worked by hand."""

from pathlib import Path

import numpy as np
import pytest

from echocast.anomaly import normal, scores, screening
from echocast.errors import DataError


@pytest.mark.parametrize("block", [1, 3, 5, 40, None])
def test_block_means_are_those_of_a_plain_loop(block: int | None) -> None:
    rng = np.random.default_rng(0)
    errors = rng.random((2, 9, 11))
    errors[rng.random(errors.shape) < 0.3] = np.nan
    found = scores.block_means(errors, block)
    for (number, y, x), mean in np.ndenumerate(found):
        sides = errors.shape[1:] if block is None else (min(block, 9), min(block, 11))
        low = [-(side // 2) for side in sides]
        rows = range(y + low[0], y + low[0] + sides[0]) if block else range(9)
        columns = range(x + low[1], x + low[1] + sides[1]) if block else range(11)
        inside = [errors[number, r, c] for r in rows for c in columns if 0 <= r < 9 and 0 <= c < 11]
        known = [value for value in inside if np.isfinite(value)]
        enough = len(known) >= (1 if block is None else len(inside) / 2)
        assert mean == pytest.approx(np.mean(known) if enough else np.nan, nan_ok=True)


def test_the_score_is_the_worst_block() -> None:
    maps = np.array([[[1.0, np.nan], [3.0, 2.0]], [[np.nan, np.nan], [np.nan, np.nan]]])
    np.testing.assert_array_equal(scores.of_maps(maps), [3.0, np.nan])


def test_smoothing_leaves_out_what_is_not_known() -> None:
    found = scores.smoothed(np.array([np.nan, 1.0, 4.0, 4.0]), 3)
    np.testing.assert_allclose(found, [np.nan, 2.5, 3.0, 4.0])


def test_regularity_by_hand() -> None:
    np.testing.assert_allclose(scores.regularity(np.array([2.0, np.nan, 4.0, 3.0])), [1.0, np.nan, 0.0, 0.5])
    np.testing.assert_allclose(scores.regularity(np.array([2.0, 2.0])), [1.0, 1.0])
    assert np.isnan(scores.regularity(np.array([np.nan]))).all()


def test_stretches() -> None:
    assert scores.stretches(np.array([1, 1, 0, 0, 1, 0, 1], bool)) == [(0, 1), (4, 4), (6, 6)]
    assert scores.stretches(np.zeros(3, bool)) == []


def test_the_normal_error_by_place_is_a_root_mean_square() -> None:
    errors = np.full((4, 6, 6), 0.125)
    errors[:, :, 3:] = 0.5
    learned = normal.learn([iter([errors[:2], errors[2:]])], scores.Settings(block=1, smooth=1, by_place=True))
    np.testing.assert_allclose(learned.scale, errors[0])
    assert learned.threshold == pytest.approx(1.0)
    whole = normal.learn([iter([errors])], scores.Settings(block=1, smooth=1))
    np.testing.assert_allclose(whole.scale, np.sqrt((0.125**2 + 0.5**2) / 2))
    assert whole.threshold == pytest.approx(0.5 / whole.scale[0, 0])


def test_what_is_normal_is_saved_and_loaded(tmp_path: Path) -> None:
    learned = normal.learn([iter([np.full((3, 4, 4), 0.2)])], scores.Settings(block=None, smooth=3, by_place=True))
    learned.save(tmp_path / "normal.npz")
    again = normal.load(tmp_path / "normal.npz")
    assert again.settings == learned.settings
    np.testing.assert_array_equal(again.scale, learned.scale)
    (tmp_path / "other.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="no file of normal errors"):
        normal.load(tmp_path / "other.npz")
    with pytest.raises(DataError, match="no frame of the normal sequences has an error"):
        normal.learn([iter([np.full((2, 4, 4), np.nan)])], scores.Settings())


def test_measures_of_a_radar_frame_by_hand() -> None:
    rain = np.zeros((1, 6, 6))
    rain[0, 0, 0] = np.nan
    rain[0, 2:4, 2:4] = 1.0  # a shower of four: none of them alone
    rain[0, 5, 5], rain[0, 0, 5] = 250.0, 0.4  # a lone absurd cell, and one too weak to be an echo
    found = {name: values[0] for name, values in screening.measures(rain).items()}
    assert found == {"observed": 35.0, "isolated": 1.0, "extreme": 1.0}


def test_deviations_are_robust_and_follow_a_slow_change() -> None:
    values = np.linspace(0, 100, 101)
    values[50] += 40
    found = screening.deviations("observed", values)
    assert found.argmax() == 50
    assert found[50] == 39  # in cells: without it the others lie on their line, and it makes their median one larger
    assert np.delete(found, 50)[13:-13].max() <= 1


def test_deviations_by_hand() -> None:
    observed = screening.deviations("observed", np.array([50.0, np.nan, 50.0, 20.0]))
    np.testing.assert_allclose(observed, [0, np.nan, 0, 30])  # fewer cells count as much as more
    counted = screening.deviations("isolated", np.array([100.0, 100.0, 100.0, 70.0, 130.0]))
    np.testing.assert_allclose(counted, [0, 0, 0, -3, 3])  # the root of 100 is 10


@pytest.mark.parametrize("wrong", [{"block": 0}, {"smooth": 0}])
def test_wrong_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        scores.Settings(**wrong)  # type: ignore[arg-type]
