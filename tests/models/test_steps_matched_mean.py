"""The mean of members with their amounts."""

import numpy as np
import pytest
import torch

from echocast.context import Context
from echocast.models.steps import Steps
from echocast.models.steps_matched_mean import StepsMatchedMean, matched_mean
from echocast.synthetic import storms


def test_every_nth_of_all_rates_goes_to_the_places_in_the_order_of_the_mean() -> None:
    members = torch.tensor([[0.0, 5.0, 1.0, 9.0], [0.0, 3.0, 0.0, 2.0], [0.0, 4.0, 0.0, 4.0]])
    # Means 0, 4, 1/3, 5; all rates 0 0 0 | 0 0 1 | 2 3 4 | 4 5 9, of which the middle ones are 0, 0, 3 and 5.
    assert matched_mean(members[None])[0].tolist() == [0.0, 3.0, 0.0, 5.0]


def test_it_has_the_distribution_of_the_members_and_the_order_of_their_mean() -> None:
    members = torch.from_numpy(np.random.default_rng(0).gamma(0.5, 2.0, (1, 8, 500)).astype(np.float32))
    made, mean = matched_mean(members)[0], members[0].mean(dim=0)
    assert (made[mean.argsort()].diff() >= 0).all()
    levels = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(made.quantile(levels), members.flatten().quantile(levels), rtol=0.02, atol=0.01)
    assert mean.quantile(0.9) < 0.8 * made.quantile(0.9)


def test_places_that_some_members_lack_are_kept_and_those_that_all_lack_are_unknown() -> None:
    nan = float("nan")
    members = torch.tensor([[[1.0, nan, 3.0, nan], [1.0, 2.0, 5.0, nan]]])
    # Means 1, 2, 4; all rates 1 1 2 3 5 in three parts, whose middles are the first, third and fifth.
    torch.testing.assert_close(matched_mean(members)[0], torch.tensor([1.0, 2.0, 5.0, nan]), equal_nan=True)
    assert matched_mean(torch.full((1, 2, 3), nan)).isnan().all()


def test_it_is_made_of_the_members_of_steps() -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    rain = storms.generate(frames=4, size=64, seed=5).values.astype(np.float32)
    past, context = torch.from_numpy(rain)[None, :, None], Context(grid_km=2.0, time_step_minutes=5.0)
    made = StepsMatchedMean(members=4).forecast(past, 3, context)
    members = Steps(members=4).ensemble(past, 3, context=context)
    expected = matched_mean(members[0, :, 2].flatten(1)[None])[0].view(64, 64)
    torch.testing.assert_close(made[0, 2, 0], expected, equal_nan=True)
    smooth = Steps(members=4).forecast(past, 3, context)[0, 2, 0]
    assert made[0, 2, 0].nan_to_num().max() > smooth.nan_to_num().max()
