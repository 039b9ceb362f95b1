"""Probability of exceedance, quantiles and accumulations, each by hand."""

import numpy as np
import pytest
import xarray as xr

from echocast.products.accumulations import accumulation, covers
from echocast.products.probabilities import probability_of_exceedance
from echocast.products.quantiles import quantiles_of_sorted


def test_a_probability_is_the_share_of_the_members_at_or_above_the_threshold() -> None:
    members = np.array([[0.0, 1.0, 2.0], [1.0, 3.0, np.nan], [0.1, 1.0, 5.0]], np.float32)
    found = probability_of_exceedance(members, [0.1, 1.0])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[2 / 3, 1.0, np.nan], [1 / 3, 1.0, np.nan]])


def test_a_threshold_is_compared_in_single_precision() -> None:
    assert probability_of_exceedance(np.full((2, 1), 0.1, np.float32), [0.1]).tolist() == [[1.0]]


def test_more_members_than_eight_bits_count() -> None:
    members = np.ones((300, 1), np.float32)
    members[:30] = 0.0
    assert probability_of_exceedance(members, [0.5])[0, 0] == pytest.approx(0.9)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_quantiles_are_those_of_numpy(count: int) -> None:
    members = np.sort(np.random.default_rng(count).gamma(0.5, 3.0, (count, 4, 5)).astype(np.float32), axis=0)
    wanted = [0.0, 0.1, 0.5, 0.9, 1.0]
    np.testing.assert_allclose(quantiles_of_sorted(members, wanted), np.quantile(members, wanted, axis=0), rtol=1e-5)


def test_the_rate_of_each_lead_holds_for_the_step_before_it() -> None:
    leads = np.array([10, 15, 30], "timedelta64[m]").astype("timedelta64[ns]")
    rates = np.array([6.0, 12.0, 4.0], np.float32)[:, None, None] * np.ones((3, 1, 2), np.float32)
    forecast = xr.DataArray(rates, dims=("lead", "y", "x"), coords={"lead": leads})
    assert accumulation(forecast, 15).tolist() == [[2.0, 2.0]]  # 10 minutes of 6 mm/h and 5 of 12 mm/h
    assert accumulation(forecast, 30).tolist() == [[3.0, 3.0]]
    assert [covers(forecast, minutes) for minutes in (5, 10, 30, 45)] == [False, True, True, False]
    members = xr.concat([forecast, forecast * 2], "member")
    assert accumulation(members, 15).tolist() == [[[2.0, 2.0]], [[4.0, 4.0]]]
    members[0, 1, 0, 0] = np.nan
    assert np.isnan(accumulation(members, 15)[0, 0, 0])
    assert not np.isnan(accumulation(members, 10)).any()
