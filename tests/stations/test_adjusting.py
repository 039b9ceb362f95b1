"""Radar adjusted by gauges: against other libraries, by hand, and as a transform of an archive."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import archive, fields, stations
from echocast.archive import transforms
from echocast.errors import DataError
from echocast.evaluation.left_out_gauges import leave_one_out
from echocast.io import forecast_file
from echocast.stations.adjusting import Layout, Method, adjusted, factors
from echocast.stations.intervals import Intervals
from echocast.stations.kriging import Covariance, kriged

RNG = np.random.default_rng(3)
GAUGES, CELLS = RNG.uniform(0, 40, (7, 2)), RNG.uniform(0, 40, (30, 2))
RADAR_AT, RADAR = RNG.gamma(1.0, 3.0, 7), RNG.gamma(1.0, 3.0, 30)
GAUGE = RADAR_AT * 1.3 + RNG.normal(0, 0.5, 7) ** 2
LAYOUT = Layout(GAUGES, CELLS)


def test_kriging_is_that_of_wradlib() -> None:
    ipol = pytest.importorskip("wradlib.ipol")
    cov = "1.0 Exp(15.0)"
    ordinary = ipol.OrdinaryKriging(GAUGES, CELLS, cov=cov, nnearest=7)
    np.testing.assert_allclose(kriged(GAUGE, GAUGES, CELLS, Covariance(15.0)), ordinary(GAUGE), rtol=1e-8)
    external = ipol.ExternalDriftKriging(GAUGES, CELLS, cov=cov, nnearest=7, src_drift=RADAR_AT, trg_drift=RADAR)
    found = kriged(GAUGE, GAUGES, CELLS, Covariance(15.0), drift=(RADAR_AT, RADAR))
    np.testing.assert_allclose(found, external(GAUGE), rtol=1e-7)
    # conditional merging: the radar, and the gauges' field in place of the field of the radar at the gauges
    merged = RADAR + ordinary(GAUGE) - ordinary(RADAR_AT)
    made = adjusted(GAUGE, RADAR_AT, RADAR, GAUGES, CELLS, Method(covariance=Covariance(15.0)))
    np.testing.assert_allclose(made, np.maximum(merged, 0), rtol=1e-7, atol=1e-9)


def test_the_mean_field_bias_is_that_of_wradlib_where_both_mean_the_same() -> None:
    adjust = pytest.importorskip("wradlib.adjust")
    same = np.full(7, 2.0)  # a mean of ratios is a ratio of sums where the radar is the same at all gauges
    theirs = adjust.AdjustMFB(GAUGES, CELLS, stat="mean", nnear_raws=1, mingages=3, mfb_args={"method": "mean"})
    corrected = theirs(GAUGE, np.full(30, 2.0), rawatobs=same, ix=np.arange(7))
    np.testing.assert_allclose(factors(GAUGE, same, RADAR, LAYOUT, Method(name="bias")) * 2.0, corrected)


def test_a_drift_that_gauges_follow_exactly_is_followed_everywhere() -> None:
    found = kriged(2 * RADAR_AT + 1, GAUGES, CELLS, Covariance(10.0, 0.2), drift=(RADAR_AT, RADAR))
    np.testing.assert_allclose(found, 2 * RADAR + 1, rtol=1e-8)
    flat = np.ones(7)  # a drift that says nothing is left out
    plain = kriged(GAUGE, GAUGES, CELLS, Covariance(10.0))
    np.testing.assert_allclose(kriged(GAUGE, GAUGES, CELLS, Covariance(10.0), drift=(flat, RADAR)), plain)


def test_the_bias_by_range_is_a_line_in_the_logarithm_as_far_as_the_gauges_reach() -> None:
    away, cells = np.array([10.0, 20, 30, 40]), np.array([0.0, 25.0, 90.0])
    gauge = 10 ** (0.1 + 0.01 * away)
    layout = Layout(GAUGES[:4], CELLS[:3], away, cells)
    found = factors(gauge, np.ones(4), np.ones(3), layout, Method(name="range"))
    np.testing.assert_allclose(np.log10(found), [0.2, 0.35, 0.5], rtol=1e-9)
    with pytest.raises(DataError, match="site=LONGITUDE,LATITUDE"):
        factors(gauge, np.ones(4), np.ones(3), Layout(GAUGES[:4], CELLS[:3]), Method(name="range"))


def test_nothing_is_learned_from_too_little() -> None:
    method = Method(name="bias")
    two = np.where(np.arange(7) < 2, GAUGE, np.nan)
    assert (factors(two, RADAR_AT, RADAR, LAYOUT, method) == 1).all()
    assert (factors(GAUGE * 0.01, RADAR_AT, RADAR, LAYOUT, method) == 1).all()  # less than 0.1 mm
    assert (factors(GAUGE * 1e3, RADAR_AT, RADAR, LAYOUT, method) == 10).all()  # and no factor above 10
    dry = np.where(np.arange(30) < 5, 0.0, RADAR)
    assert (factors(GAUGE, RADAR_AT, dry, LAYOUT, Method(name="drift"))[:5] == 1).all()


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"name": "mean"}, "no adjustment 'mean'"), ({"covariance": Covariance(0.0)}, "range must be above 0")],
)
def test_a_method_that_does_not_exist_is_refused(settings: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        Method(**settings)  # type: ignore[arg-type]


START = np.datetime64("2024-06-01T00:00", "ns")
STEP = np.timedelta64(5, "m")


def radar(frames: int = 48) -> xr.DataArray:
    """Rain that differs from cell to cell and from frame to frame, from 00:05 on."""
    rain = np.random.default_rng(1).gamma(2.0, 2.0, (frames, 6, 6)).astype(np.float32)
    times = START + np.arange(1, frames + 1) * STEP
    return fields.make(rain, time=times, y=np.arange(5, -1, -1) * 2e3, x=np.arange(6) * 2e3, crs="EPSG:32632")


def gauges(field: xr.DataArray, factor: float) -> xr.DataArray:
    """Gauges that measure the mean of the 3 x 3 cells around them, times a factor, every 15 min."""
    rows, columns = np.array([1, 1, 4, 4, 2]), np.array([1, 4, 1, 4, 2])
    import pyproj

    to_degrees = pyproj.Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(field.x.values[columns], field.y.values[rows])
    boxes = np.stack(
        [field.values[:, r - 1 : r + 2, c - 1 : c + 2].mean((1, 2)) for r, c in zip(rows, columns, strict=True)]
    )
    amounts = boxes.reshape(5, -1, 3).mean(-1) / 4 * factor
    ends = field.time.values[2::3]
    return stations.make(amounts, time=ends, station=list("abcde"), longitude=lon, latitude=lat, interval=15.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    field = radar()
    forecast_file.series_to_netcdf(field, tmp_path / "radar.nc")
    archive.write([tmp_path / "radar.nc"], tmp_path / "radar.zarr")
    stations.to_netcdf(gauges(field, 1.5), tmp_path / "gauges.nc")
    return tmp_path


@pytest.mark.parametrize("method", ["bias", "merging", "drift"])
def test_the_transform_makes_the_radar_agree_with_gauges(folder: Path, method: str) -> None:
    text = f"adjust gauges={folder / 'gauges.nc'} radar={folder / 'radar.zarr'} method={method} nugget=0"
    made = transforms.apply(radar(), transforms.parse([text]))
    hour = made.values[:12].mean(axis=0), radar().values[:12].mean(axis=0)
    if method == "bias":
        np.testing.assert_allclose(made.values, 1.5 * radar().values, rtol=1e-5)
    elif method == "drift":  # the gauges follow the radar exactly, so the field does
        np.testing.assert_allclose(hour[0], 1.5 * hour[1], rtol=1e-4)
    else:  # at a gauge the difference of the hour is added whole
        box = radar().values[:12, 0:3, 0:3].mean()
        assert hour[0][1, 1] == pytest.approx(hour[1][1, 1] + 0.5 * box, rel=1e-3)
    again = transforms.apply(radar()[20:21], transforms.parse([text]))  # a file of one frame: the archive has the rest
    np.testing.assert_array_equal(again.values[0], made.values[20])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("method=mean", "no adjustment 'mean'"),
        ("window=next", "there are: past, same"),
        ("minutes=20", "gauges measure every 15 min"),
        ("method=range site=here", "give LONGITUDE,LATITUDE"),
    ],
)
def test_the_transform_refuses_wrong_settings(folder: Path, settings: str, why: str) -> None:
    text = f"adjust gauges={folder / 'gauges.nc'} radar={folder / 'radar.zarr'} {settings}"
    with pytest.raises(DataError, match=why):
        transforms.apply(radar(), transforms.parse([text]))


def test_the_transform_without_its_gauges_says_how_to_make_them(folder: Path) -> None:
    with pytest.raises(DataError, match="echocast stations FILE"):
        transforms.apply(radar(), transforms.parse([f"adjust gauges=none.nc radar={folder / 'radar.zarr'}"]))


def test_past_intervals_never_reach_into_the_future() -> None:
    field = radar()
    past, same = (Intervals(field, gauges(field, 1.0), 60.0, window) for window in ("past", "same"))
    time = START + 74 * np.timedelta64(1, "m")  # 01:14
    assert (past.end(time), same.end(time)) == (
        START + 60 * np.timedelta64(1, "m"),
        START + 120 * np.timedelta64(1, "m"),
    )
    assert past.frames(past.end(time)) == slice(0, 12)
    assert past.frames(START + 45 * np.timedelta64(1, "m")) is None  # the archive begins within it


def test_a_gauge_that_is_left_out_judges(folder: Path) -> None:
    field = radar(24 * 12)
    series = gauges(field, 1.5)
    result = leave_one_out(field, series, {"bias": Method(name="bias")})
    assert result.forecasters == ("radar", "bias")
    assert (result.cases, result.regions) == (24, ("all", *"abcde"))
    hours = field.values.reshape(24, 12, 6, 6).mean(1)[:, [1, 1, 4, 4, 2], [1, 4, 1, 4, 2]]
    truth = series.values.reshape(5, 24, 4).sum(-1).T
    expected = np.sqrt(np.mean((1.5 * hours - truth) ** 2))  # the others know the factor exactly
    assert result.mean("rmse", "bias") == pytest.approx(expected, rel=1e-4)
    assert result.mean("rmse", "radar") == pytest.approx(np.sqrt(np.mean((hours - truth) ** 2)), rel=1e-4)
