"""Rain corrected by how earlier forecasts came true: what is counted, what it makes of rain, what it learns."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from echocast.context import Context
from echocast.models import base
from echocast.models._amounts import EDGES, RATES_MM_H, Areas, Correction
from echocast.models.base import Forecaster
from echocast.models.corrected import Corrected, prior
from echocast.models.expected_rain import ExpectedRain

FIVE_MINUTES = Context(grid_km=2.0, time_step_minutes=5.0)


def showers(frames: int, size: int = 64, *, seed: int = 0) -> torch.Tensor:
    """Rain of 0 to some 20 mm/h that changes in place from frame to frame."""
    draw = np.random.default_rng(seed)
    fields = np.stack([draw.gamma(0.3, 4.0, (size, size)) for _ in range(frames)]).astype(np.float32)
    return torch.from_numpy(fields)[None, :, None]


class TimesTheTruth(Forecaster):
    """Knows what comes, but says that it is so many times as much."""

    def __init__(self, truth: torch.Tensor, factor: float) -> None:
        super().__init__()
        self.truth, self.factor = truth, factor

    def _forecast(self, past: Tensor, steps: int, context: Context) -> Tensor:
        newest = (self.truth[0, :, 0, 0, 0] == past[0, -1, 0, 0, 0]).nonzero().item()
        return self.factor * self.truth[:, newest + 1 : newest + 1 + steps]


def test_areas_are_those_counted_one_by_one() -> None:
    draw = np.random.default_rng(1)
    forecast, observed = (draw.gamma(0.3, 8.0, (40, 50)).astype(np.float32) for _ in range(2))
    forecast[:3], observed[-2:] = np.nan, np.nan
    areas = Areas.none(2)
    areas.add(1, forecast, observed, cell_km2=4.0, weight=0.5)
    known = np.isfinite(forecast) & np.isfinite(observed)
    for r, rate in enumerate(RATES_MM_H):
        for e in (0, 40, 100, len(EDGES) - 1):
            both = known & (observed >= rate) & (forecast >= EDGES[e] * (1 - 1e-5))
            assert areas.km2[1, 1 + r, 1 + e] == pytest.approx(2.0 * both.sum(), abs=2.0)
        assert areas.km2[1, 1 + r, 0] == 2.0 * (known & (observed >= rate)).sum()
    assert not areas.km2[0].any()


def test_neighbouring_leads_are_pooled_with_weights_that_add_up_to_one() -> None:
    areas = Areas(np.ones((9, 2, 3)))
    assert areas.pooled(1.0).km2 == pytest.approx(areas.km2)
    pooled = areas.pooled(4.0).km2
    assert pooled[4] == pytest.approx(1.0)
    assert 0.6 < pooled[0].max() < 0.7  # at the first lead there are no earlier ones


def test_a_correction_keeps_order_and_what_is_light_dry_or_unknown() -> None:
    correct = Correction(np.array([1.5, 3.0, 12.0]))
    rain = np.array([0.0, 0.01, 0.3, 1.0, 1.2, 1.5, 3.0, 12.0, 40.0, 90.0], np.float32)
    made = correct(rain)
    assert made.dtype == np.float32
    assert (np.diff(made) > 0).all()
    expected = np.array([0.0, 0.01, 0.3, 1.0, made[4], 2.0, 5.0, 10.0, 40.0, 90.0])
    np.testing.assert_allclose(made, expected, rtol=1e-4)
    assert np.isnan(correct(np.array([np.nan], np.float32))).all()


def test_rates_that_cannot_be_told_apart_keep_their_order() -> None:
    rain = np.linspace(0.5, 45, 200, dtype=np.float32)
    for known in ([0.5, 0.5, 0.5], [8.0, 20.0, 40.0], [2.0, 2.0, 2.0]):
        assert (np.diff(Correction(np.array(known))(rain)) > 0).all()


def test_a_rate_is_given_to_so_many_cells_or_to_those_that_have_it() -> None:
    rain = np.array([[0.5, 1.5, 2.5, 3.5, 4.5, 6.0, 12.0]], np.float32)
    correct = Correction(np.array([1.3, 3.0, 5.0]))
    assert [int((correct(rain) >= rate).sum()) for rate in RATES_MM_H] == [6, 4, 2]
    few = correct.within(rain, [4, 2, 0])(rain)
    assert [int((few >= rate).sum()) for rate in RATES_MM_H] == [5, 2, 1]  # 5 cells and 1 cell have it already
    np.testing.assert_array_equal(correct.within(rain, [9, 9, 9])(rain), correct(rain))
    assert (np.diff(few[0]) > 0).all()


def test_without_any_table_nothing_is_corrected() -> None:
    rain = showers(1)[0, 0, 0].numpy()
    np.testing.assert_allclose(Areas.none(1).correction(0)(rain), rain, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_what_is_always_wrong_by_a_factor_becomes_right(factor: float) -> None:
    frames = showers(52)
    model = Corrected(frames=4)
    model._made.append(TimesTheTruth(frames, factor))
    past, future = frames[:, :46], frames[:, 46:]
    made = model.forecast(past, 6, FIVE_MINUTES)
    wet = future > 5.0
    before, after = ((wet & (f > 5.0)).sum() / (wet | (f > 5.0)).sum() for f in (factor * future, made))
    assert float(before) < 0.6
    assert float(after) > 0.93
    few = model.forecast(past[:, -3:], 6, FIVE_MINUTES)  # nothing to learn from
    assert not torch.allclose(few, made, rtol=0.2)


def test_a_forecast_depends_on_its_own_past_alone() -> None:
    model = Corrected(forecaster="persistence", frames=3)
    cases = torch.cat([showers(16, seed=1), 3 * showers(16, seed=2)])
    together = model.forecast(cases, 4, FIVE_MINUTES)
    for number in range(2):
        alone = model.forecast(cases[number : number + 1], 4, FIVE_MINUTES)
        torch.testing.assert_close(alone[0], together[number])


def test_few_frames_are_corrected_as_on_the_archive_which_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    model, past = Corrected(forecaster="persistence"), showers(3)
    with caplog.at_level(logging.INFO):
        made = model.forecast(past, 2, FIVE_MINUTES)
        model.forecast(past, 2, FIVE_MINUTES)
    newest = past[0, -1, 0].numpy()
    expected = prior(2, 5.0).correction(1)(newest)
    for rate in RATES_MM_H:  # the newest frame's areas at most twice as large
        assert (made[0, 1, 0].numpy() >= rate).sum() == min((expected >= rate).sum(), 2 * (newest >= rate).sum())
    told = [line for line in caplog.messages if "corrected" in line]
    assert told == [
        "corrected: 0 of the 6 forecasts of the last 180 min could be made from 3 frames; 46 frames hold all"
    ]


def test_a_missing_frame_is_neither_learned_from_nor_forecast_from() -> None:
    model, frames = Corrected(forecaster="persistence", frames=3, back_minutes=30), showers(12)
    whole = model.forecast(frames, 2, FIVE_MINUTES)
    gap = frames.clone()
    gap[:, 5] = torch.nan  # the newest frame of the forecast of 30 minutes ago
    few = model.forecast(frames[:, -3:], 2, FIVE_MINUTES)
    torch.testing.assert_close(model.forecast(gap, 2, FIVE_MINUTES), few)
    assert not torch.equal(whole, few)


def test_the_prior_is_of_any_lead_time_and_step() -> None:
    five, ten = prior(18, 5.0), prior(12, 10.0)
    np.testing.assert_array_equal(ten.km2[0], five.km2[1])
    np.testing.assert_array_equal(ten.km2[-1], five.km2[-1])  # beyond 90 minutes
    assert five.km2[:, 2, 0].max() < five.km2[:, 1, 0].min()  # less area of 5 than of 2 mm/h


def test_it_is_saved_with_the_name_of_the_other(tmp_path: Path) -> None:
    base.save(Corrected(forecaster="persistence", every_minutes=15), tmp_path / "c.safetensors")
    again = base.load(tmp_path / "c.safetensors")
    assert isinstance(again, Corrected)
    assert (again.forecaster, again.every_minutes) == ("persistence", 15)


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"back_minutes": -1.0}, {"every_minutes": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Corrected(**wrong)


def test_frames_of_several_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 channel of rain; got 2"):
        Corrected(forecaster="persistence").forecast(showers(3).expand(1, 3, 2, 64, 64), 1, FIVE_MINUTES)


@pytest.mark.parametrize("kind", [Corrected, ExpectedRain])
def test_blank_frames_are_taken_where_the_other_forecaster_knows_them(
    kind: type[Corrected | ExpectedRain],
) -> None:
    assert kind(forecaster="persistence").takes_blank_frames
    assert not kind(forecaster="sprog").takes_blank_frames
