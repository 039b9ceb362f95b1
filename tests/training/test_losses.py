"""Losses by hand."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from echocast.errors import ExperimentError
from echocast.models.scaling import ImageScaling, RainScaling
from echocast.training import losses

SCALING = RainScaling()


def shaped(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, 1, -1)


def test_cross_entropy_is_summed_over_pixels_and_averaged_over_sequences() -> None:
    # A dry pixel under p = 0.5 costs ln 2; two sequences of two pixels cost 2 ln 2 each.
    made = losses.CrossEntropy()(torch.zeros(2, 1, 1, 1, 2), torch.zeros(2, 1, 1, 1, 2), SCALING)
    assert float(made) == pytest.approx(2 * math.log(2))


def test_missing_pixels_may_count_as_dry() -> None:
    observed = torch.tensor([0.0, torch.nan]).view(1, 1, 1, 1, 2)
    logits = torch.zeros(1, 1, 1, 1, 2)
    assert float(losses.CrossEntropy()(logits, observed, SCALING)) == pytest.approx(math.log(2))
    dry = losses.make(name="cross_entropy", missing_is_dry=True)
    assert float(dry(logits, observed, SCALING)) == pytest.approx(2 * math.log(2))


def test_cross_entropy_of_pictures_has_the_entropy_as_its_floor() -> None:
    logits, levels = torch.randn(3, 2, 1, 4, 4), torch.rand(3, 2, 1, 4, 4)
    loss = losses.CrossEntropy()
    expected = binary_cross_entropy(torch.sigmoid(logits), levels, reduction="sum") / 3
    torch.testing.assert_close(loss(logits, levels, ImageScaling()), expected)
    best = float(loss(torch.logit(levels), levels, ImageScaling()))
    assert losses.entropy_floor(levels) == pytest.approx(best, rel=1e-4)
    assert losses.entropy_floor((levels > 0.5).float()) == pytest.approx(0.0, abs=1e-3)


def test_balanced_by_hand() -> None:
    loss = losses.Balanced(thresholds=(1.0,), weights=(3.0,))
    # Level 0.5 against dry: 0.5 + 0.25, weight 1; against 1 mm/h (level 0.38350): 0.1165 + 0.01357, weight 3.
    made = loss(shaped(0.0, 0.0), shaped(0.0, 1.0), SCALING)
    assert float(made) == pytest.approx((0.75 + 3 * (0.11650 + 0.11650**2)) / 2, abs=1e-4)


@pytest.mark.parametrize("name", ["cross_entropy", "balanced", "firm"])
def test_unseen_pixels_cost_nothing_and_get_no_gradient(name: str) -> None:
    logits = torch.randn(1, 2, 1, 3, 4, requires_grad=True)
    observed = torch.rand(1, 2, 1, 3, 4) * 5
    observed[..., 2:] = torch.nan
    made = losses.make(name=name)(logits, observed, SCALING)
    made.backward()
    assert made.isfinite()
    assert logits.grad is not None
    assert logits.grad[..., 2:].abs().max() == 0
    assert logits.grad[..., :2].abs().min() > 0


def test_wrong_names_and_arguments_are_refused() -> None:
    with pytest.raises(ExperimentError, match="balanced, cross_entropy"):
        losses.make(name="mean_squared")
    with pytest.raises(ExperimentError, match=r"\[loss\] has no key 'weight'; did you mean 'weights'"):
        losses.make(name="balanced", weight=[1.0])
    with pytest.raises(ValueError, match="must increase"):
        losses.Balanced(thresholds=(2.0, 1.0), weights=(1.0, 2.0))


def test_firm_by_hand() -> None:
    # One bin over all levels: level 0.5 against dry costs 0.5; against 1 mm/h (0.38350) 0.1165; missed it costs costs.
    loss = losses.Firm(rates=(1.0,), weights=(1.0,), csi=(0.5,), csi_decay_minutes=(1e9,), mse_weight=0.0)
    assert float(loss(shaped(0.0, 0.0), shaped(0.0, 1.0), SCALING)) == pytest.approx((0.5 + 0.1165) / 2, abs=1e-4)
    missed = loss(torch.logit(shaped(0.2)), shaped(1.0), SCALING)
    assert float(missed) == pytest.approx(2.0 * (0.3835 - 0.2), abs=1e-4)


def test_firm_forecasts_at_the_probability_of_best_csi() -> None:
    # Rain of 4 mm/h or none: at costs of 4 the best forecast is rain from a probability of 1 / (1 + 4) on.
    loss = losses.Firm(rates=(1.0,), weights=(1.0,), csi=(0.25,), csi_decay_minutes=(1e9,), mse_weight=0.0)
    for wet, rain_is_best in ((30, True), (10, False)):
        observed = shaped(*([4.0] * wet + [0.0] * (100 - wet)))
        costs = [float(loss(torch.full_like(observed, level), observed, SCALING)) for level in (-4.0, 0.1)]
        assert (costs[1] < costs[0]) == rain_is_best


def test_squared_errors_of_rain_count_in_the_first_minutes() -> None:
    few, many = (
        losses.Firm(
            rates=(1.0,), weights=(0.0,), csi=(1.0,), csi_decay_minutes=(1e9,), mse_weight=0.5, mse_decay_minutes=last
        )
        for last in (1e9, 5.0)
    )
    off = float(SCALING.to_smooth_values(torch.tensor(0.5))) - 1.0
    assert float(few(torch.zeros(1, 1, 1, 1, 1), shaped(1.0), SCALING)) == pytest.approx(0.5 * off**2, rel=1e-4)
    expected = 0.5 * off**2 * math.exp(-1)
    assert float(many(torch.zeros(1, 1, 1, 1, 1), shaped(1.0), SCALING, 5.0)) == pytest.approx(expected, rel=1e-4)


def test_the_costs_grow_with_lead_and_rate() -> None:
    costs = losses.Firm().miss_cost(torch.tensor([5.0, 30.0, 90.0]))
    assert (costs.diff(dim=1) >= 0).all()
    assert (costs.diff(dim=0) >= 0).all()
    assert float(costs.max()) == pytest.approx(1 / 0.09)
    with pytest.raises(ValueError, match="must increase"):
        losses.Firm(rates=(2.0, 1.0), weights=(1.0, 1.0), csi=(0.5, 0.5), csi_decay_minutes=(60.0, 60.0))


def test_the_crps_of_members_is_that_of_the_library() -> None:
    xskillscore = pytest.importorskip("xskillscore", reason="xskillscore is not installed")
    import xarray as xr

    loss = losses.EnsembleCrps(members=5, fairness=0.0, pool_sizes=(1,), level_weight=0.0)
    logits = torch.randn(2, 5, 3, 1, 8, 8)
    observed = torch.rand(2, 3, 1, 8, 8) * 3
    rates = SCALING.to_smooth_values(torch.sigmoid(logits)).numpy()
    arrays = (
        xr.DataArray(observed.numpy()),
        xr.DataArray(rates, dims=["dim_0", "member", "dim_1", "dim_2", "dim_3", "dim_4"]),
    )
    expected = float(xskillscore.crps_ensemble(*arrays).mean())
    fair = losses.EnsembleCrps(members=5, fairness=1.0, pool_sizes=(1,), level_weight=0.0)
    mean = loss._mean(torch.from_numpy(rates), observed, observed.isfinite(), 1)
    # The plain CRPS has sum |x_i - x_j| / 2 M^2; the fair one M (M - 1) in its place.
    apart = np.abs(rates[:, :, None] - rates[:, None]).mean() / 2
    plain = float(np.abs(rates - observed.numpy()[:, None]).mean() - apart)
    assert expected == pytest.approx(plain, rel=1e-5)
    assert float(mean) == pytest.approx(plain, rel=1e-4)
    unbiased = fair._mean(torch.from_numpy(rates), observed, observed.isfinite(), 1)
    assert float(unbiased) == pytest.approx(plain - apart * (5 / 4 - 1), rel=1e-4)


def test_members_are_best_when_they_spread_as_the_truth_does() -> None:
    torch.manual_seed(0)
    loss = losses.EnsembleCrps(members=4)
    spread, observed = torch.randn(64, 4, 1, 1, 16, 16), torch.randn(64, 1, 1, 16, 16)
    truth = SCALING.to_smooth_values(torch.sigmoid(observed))
    costs = [float(loss(factor * spread, truth, SCALING)) for factor in (0.3, 1.0, 2.0)]
    assert costs[1] == min(costs)
    truth[:, :, :, 4:] = torch.nan
    assert math.isfinite(float(loss(spread, truth, SCALING)))
    with pytest.raises(ValueError, match="at least 2"):
        losses.EnsembleCrps(members=1)
