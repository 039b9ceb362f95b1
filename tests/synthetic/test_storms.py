"""Simulated storms: the same for a seed, and like weather."""

import numpy as np
import pytest

from echocast import fields
from echocast.synthetic import storms
from echocast.synthetic._flow import Flow


def test_a_seed_is_a_storm() -> None:
    first, again, other = (storms.generate(frames=3, size=40, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.values, again.values)
    assert not np.array_equal(np.nan_to_num(first.values), np.nan_to_num(other.values))
    assert fields.check(first) is first


def test_frames_come_at_the_step_asked_for() -> None:
    times = storms.generate(frames=3, size=24, grid_km=4.0, time_step_minutes=10.0).time.values
    assert np.diff(times).tolist() == [600_000_000_000] * 2


@pytest.mark.parametrize("seed", range(3))
def test_it_rains_like_radar_sees_it(seed: int) -> None:
    rain = storms.generate(frames=28, seed=seed)
    seen = np.isfinite(rain.values)
    assert (seen == seen[0]).all()  # the coverage does not change
    assert 0.6 < seen.mean() < 0.8  # a disk, less a sector
    wet = (rain.values[seen] >= 0.5).mean()
    assert 0.05 < wet < 0.5
    assert 20 < np.nanmax(rain.values) < 150
    totals = np.nansum(rain.values, axis=(1, 2))
    assert np.ptp(totals) > 0.1 * totals.mean()  # it grows and decays
    steps = np.nanmean(np.abs(np.diff(rain.values, axis=0)), axis=(1, 2))
    assert steps.max() < np.nanmean(rain.values)  # and does not jump


def test_the_flow_carries_exactly_and_back() -> None:
    flow = Flow.draw(np.random.default_rng(0), 160.0)
    place = np.random.default_rng(1).uniform(-100, 100, (5, 2))
    np.testing.assert_allclose(flow.carry(flow.carry(place, 30), -30), place, atol=1e-9)
    small = (flow.carry(place, 0.01) - place) / (0.01 / 60)
    np.testing.assert_allclose(small, flow.velocity(place), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bad", [{"frames": 0}, {"size": 4}, {"grid_km": 0.0}, {"time_step_minutes": -5.0}])
def test_impossible_storms_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot simulate"):
        storms.generate(**bad)  # type: ignore[arg-type]
