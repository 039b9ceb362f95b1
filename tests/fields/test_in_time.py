"""The values of a run between its steps."""

import numpy as np
import pytest
import xarray as xr

from echocast.fields import InTime

BEGAN, HOUR = np.datetime64("2018-05-01", "ns"), np.timedelta64(3600 * 10**9, "ns")


def run(hours: list[float], values: list[float], *, means: bool) -> xr.DataArray:
    leads = np.array([round(h * 3600) * 10**9 for h in hours], "timedelta64[ns]")
    starts = np.concatenate([[np.timedelta64(0, "ns")], leads[:-1]]) if means else leads
    coords = {"lead": leads, "lead_start": ("lead", starts), "time": ("lead", BEGAN + leads)}
    return xr.DataArray(np.array(values, np.float32)[:, None, None], dims=("lead", "y", "x"), coords=coords)


def asked(one: xr.DataArray, minutes: np.ndarray) -> np.ndarray:
    at = InTime(one)
    return np.array([at(BEGAN + np.timedelta64(round(60e9 * m), "ns"))[0, 0] for m in minutes])


def test_moments_and_means_are_interpolated_as_numpy_does() -> None:
    minutes, values = np.arange(60.0, 241.0, 5.0), [1.0, 3.0, 2.0, 6.0]
    moments = asked(run([1, 2, 3, 4], values, means=False), minutes)
    np.testing.assert_allclose(moments, np.interp(minutes, [60, 120, 180, 240], values), rtol=1e-6)
    means = asked(run([1, 2, 4], values[:3], means=True), np.arange(0.0, 241.0, 5.0))  # the step at 3 h is missing
    np.testing.assert_allclose(means, np.interp(np.arange(0.0, 241.0, 5.0), [30, 90, 180], values[:3]), rtol=1e-6)
    assert np.abs(np.diff(means)).max() < 0.2


def test_beyond_a_run_and_in_a_long_hole_nothing_is_known() -> None:
    one = run([1, 2, 9, 10], [1.0, 1.0, 1.0, 1.0], means=False)
    assert np.isnan(asked(one, np.array([30.0, 60.0, 121.0, 300.0, 540.0, 601.0]))).tolist() == [
        True, False, True, True, False, True,
    ]  # fmt: skip


def test_the_total_of_a_run_stays_but_for_its_ends() -> None:
    values = np.random.default_rng(0).gamma(1.0, 2.0, 24).tolist()
    minutes = np.arange(2.5, 24 * 60, 5.0)
    total = asked(run(list(range(1, 25)), values, means=True), minutes).sum() / 12
    assert total == pytest.approx(sum(values), rel=0.03)


def test_a_wind_that_turns_over_north_does_so() -> None:
    times = np.array(["2018-05-01T01", "2018-05-01T02"], "datetime64[ns]")
    one = xr.DataArray(
        np.array([[[350.0]], [[20.0]]], np.float32), dims=("lead", "y", "x"), name="wind_from_direction",
        coords={"time": ("lead", times), "lead": np.array([1, 2], "timedelta64[h]").astype("timedelta64[ns]")},
        attrs={"units": "degree"},
    )  # fmt: skip
    assert InTime(one)(np.datetime64("2018-05-01T01:40", "ns"))[0, 0] == pytest.approx(10.0, abs=1e-4)
