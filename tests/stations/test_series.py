"""Station series: what one is, sums, quality control, and the CF file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import stations
from echocast.errors import DataError, GridMismatch, WrongUnits
from echocast.stations import sampling
from echocast.stations.quality import names_of

START = np.datetime64("2024-06-01T00:00", "ns")
MINUTE = np.timedelta64(1, "m")


TIMES = START + np.array([10, 20, 30]) * MINUTE


def made(values: np.ndarray, interval: float | None = 10.0, **changed: object) -> xr.DataArray:
    count = len(values)
    settings: dict[str, object] = {
        "time": START + np.arange(1, values.shape[1] + 1) * np.timedelta64(round((interval or 0) * 60), "s"),
        "station": [f"s{n}" for n in range(count)],
        "longitude": np.linspace(10.0, 10.1, count),
        "latitude": np.full(count, 50.0),
        "interval": interval,
    }
    return stations.make(values, **(settings | changed))  # type: ignore[arg-type]


ONE = np.ones((2, 3))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"station": ["a", "a"]}, "'a' is there twice"),
        ({"longitude": [np.nan, 1.0]}, "'s0' has no coordinates"),
        ({"latitude": [5e6, 50.0]}, "metres of a projection"),
        ({"interval": None, "time": TIMES}, "--interval"),
        ({"interval": 30.0, "time": TIMES}, "overlap"),
        ({"time": START + np.array([2, 1, 3]) * MINUTE}, "must increase"),
        ({"quantity": "snow"}, "no quantity 'snow'"),
    ],
)
def test_what_is_no_series_is_refused_by_name(changed: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        made(ONE, **changed)


def test_one_quantity_is_not_taken_for_another() -> None:
    warm = made(ONE * 280, quantity="air_temperature", interval=10.0)
    with pytest.raises(WrongUnits, match="rain amount is needed"):
        stations.amounts(warm, warm.time.values, 10.0)


def test_a_sum_is_known_only_where_its_parts_fill_it_exactly() -> None:
    rain = made(np.array([[1, 2, np.nan, 4, 5, 6.0]]))
    ends = START + np.array([10, 20, 25, 30, 50, 60]) * MINUTE
    found = stations.amounts(rain, ends, 20.0)
    np.testing.assert_array_equal(found, [[np.nan, 3, np.nan, np.nan, 9, 11]])
    with pytest.raises(DataError, match="multiple of 10 min"):
        stations.amounts(rain, ends, 15.0)


def test_longer_intervals_end_on_the_hour_and_keep_flags() -> None:
    rain = made(np.ones((1, 12)), time=START + (np.arange(1, 13) * 10 + 20) * MINUTE)  # from 00:20 on
    flags = np.zeros(rain.shape, np.uint8)
    flags[0, 5] = stations.FLAGS["spike"]  # 01:20
    hourly = stations.every(rain.assign_coords(quality=(("station", "time"), flags)), 60.0)
    assert hourly.time.values.tolist() == [(START + 120 * MINUTE).astype(int)]
    assert hourly.values.tolist() == [[6.0]]
    assert names_of(int(hourly.quality.values[0, 0])) == ["spike"]


def test_stations_of_two_files_are_one_series_on_all_their_times() -> None:
    one, two = made(ONE), made(ONE * 2, station=["a", "b"], time=START + np.array([2, 3, 4]) * 10 * MINUTE)
    both = stations.joined([one, two])
    np.testing.assert_array_equal(both.sel(station="a").values, [np.nan, 2, 2, 2])
    with pytest.raises(DataError, match="--every"):
        stations.joined([one, made(ONE, interval=5.0, station=["a", "b"])])


def day(values: float = 0.1) -> np.ndarray:
    """Five gauges with a shower of 10 mm that begins alike at all of them, in 10-min amounts of a day."""
    rain = np.zeros((5, 144))
    rain[:, 60:80] = np.array([0.2, 0.4, 0.6, 0.8] * 5)
    return rain


def flags_of(rain: np.ndarray) -> list[list[str]]:
    flagged = stations.flagged(made(rain))
    np.testing.assert_array_equal(flagged.values, rain.astype(np.float32))  # nothing is removed
    return [names_of(int(np.bitwise_or.reduce(row))) for row in flagged.quality.values]


def test_a_day_without_faults_has_no_flag() -> None:
    assert flags_of(day()) == [[]] * 5


def test_each_fault_has_its_flag() -> None:
    rain = day()
    rain[0, 3] = -0.1
    rain[1, 10:30] = 0.2  # without a change for more than an hour
    rain[2, 100] = 20.0  # alone
    rain[3] *= 5
    rain[4] = 0.0  # dry all day
    found = flags_of(rain)
    assert found == [["range"], ["stuck"], ["spike"], ["neighbours"], ["stuck", "neighbours"]]


def test_trusted_values_are_those_without_a_flag() -> None:
    rain = day()
    rain[0, 3] = -0.1
    trusted, count = stations.trusted(stations.flagged(made(rain)))
    assert count == 1
    assert np.isnan(trusted.values[0, 3])
    assert np.isfinite(trusted.values).sum() == rain.size - 1


def test_the_file_is_cf_and_comes_back_the_same(tmp_path: Path) -> None:
    series = made(np.array([[0.1, np.nan, 0.3], [0.0, 5.0, 1.0]]), height=[3.0, np.nan])
    series = stations.flagged(series)
    path = tmp_path / "gauges.nc"
    stations.to_netcdf(series, path)
    back = stations.read(path)
    xr.testing.assert_identical(back.drop_attrs(), series.drop_attrs())
    checked = subprocess.run(
        [Path(sys.executable).parent / "compliance-checker", "--test=cf:1.11", path], capture_output=True, text=True
    )
    assert "All tests passed!" in checked.stdout, checked.stdout


def grid() -> xr.DataArray:
    from echocast import fields

    values = np.arange(20, dtype=np.float64).reshape(1, 4, 5)
    return fields.make(values, time=[START], y=[53.0, 52, 51, 50], x=[10.0, 11, 12, 13, 14], crs="EPSG:4326")


def test_stations_find_their_cells_and_those_outside_are_named(caplog: pytest.LogCaptureFixture) -> None:
    series = made(np.ones((4, 1)), longitude=[11.4, 10.0, 12.0, 14.6], latitude=[51.6, 50.4, 52.0, 51.0])
    where = sampling.cells(grid(), series)
    assert (where.rows.tolist(), where.columns.tolist()) == ([1, 3, 1], [1, 0, 2])
    assert where.outside == ("s3",)
    assert where.on_edge == ("s1",)
    assert "outside the grid are left out: s3" in caplog.text
    with pytest.raises(GridMismatch, match=r"s0 is at 80.00 E 50.00 N, and the corners"):
        sampling.cells(grid(), made(np.ones((1, 1)), longitude=[80.0], latitude=[50.0]))


def test_the_three_ways_to_take_the_grid_at_a_station() -> None:
    field = grid()
    field.values[0, 0, 0] = np.nan
    where = sampling.cells(field, made(np.ones((2, 1)), longitude=[11.0, 10.0], latitude=[52.0, 50.0]))
    gauge = np.array([[9.0, 9.0]], np.float32)
    assert sampling.at(field.values, where, "nearest").tolist() == [[6.0, 15.0]]
    # around 6: 1 2 5 6 7 10 11 12, without 0; around 15, in a corner: only four cells are in the grid
    np.testing.assert_array_equal(sampling.at(field.values, where, "mean"), np.array([[54 / 8, np.nan]], np.float32))
    assert sampling.at(field.values, where, "best", gauge).tolist() == [[10.0, 10.0]]
