"""Covariates at the times of a window, as they were known when the forecast was issued."""

from typing import Any

import numpy as np
import pytest
import torch

from echocast import fields
from echocast.errors import ExperimentError
from echocast.samples.augmentation import flipped_alike
from echocast.samples.covariates import Angle, Covariates, FieldFiles, Moments, Runs, StationFiles, Stations, hidden
from echocast.samples.data import Data
from echocast.synthetic import storms

DAY = np.datetime64("2024-03-20", "ns")
HOUR = np.timedelta64(3600 * 10**9, "ns")


def times(*hours: float) -> np.ndarray:
    return DAY + np.array([round(one * 3600e9) for one in hours], "timedelta64[ns]")


def moments(*hours: float, ahead: float = 0.0) -> Moments:
    """The value of each hour is its number."""
    values = np.broadcast_to(np.array(hours, np.float32)[:, None, None], (len(hours), 2, 3))
    grid = fields.make(
        values, time=times(*hours), y=[1.0, 0.0], x=[0.0, 1.0, 2.0], crs="EPSG:4326", quantity="air_temperature"
    )
    return Moments(grid, np.timedelta64(round(ahead * 3600e9), "ns"))


def at(source: Any, hours: list[float], issued: float) -> list[float]:
    return [round(float(one[0, 0, 0]), 4) for one in source(times(*hours), times(issued)[0])]


def test_moments_are_interpolated_between_those_that_are_known_at_the_time_of_issue() -> None:
    source = moments(0, 1, 2, 3, ahead=0)
    found = at(source, [0.5, 1, 1.5, 1.75, 2, 2.5], issued=1.75)
    # 1.5 lies between 1 and 2, but 2 is not known yet at 1.75: the value of 1 goes on; 2 and 2.5 are the future.
    assert found[:4] == [0.5, 1.0, 1.0, 1.0]
    assert np.isnan(found[4:]).all()
    assert at(moments(0, 1, 2, 3, ahead=1), [1.5, 2, 2.5], issued=2)[:3] == [1.5, 2.0, 2.5]


def test_moments_that_come_late_and_holes_are_unknown() -> None:
    late = at(moments(0, 1, 2, 3, ahead=-2), [0, 1, 2, 3], issued=3)
    assert late[:2] == [0.0, 1.0]
    assert np.isnan(late[2:]).all()
    holed = at(moments(0, 1, 2, 9, 10), [2.5, 5, 9], issued=12)
    assert (holed[0], holed[2]) == (2.0, 9.0)
    assert np.isnan(holed[1])


def test_only_runs_that_had_begun_count() -> None:
    grid = storms.generate(frames=2, size=16)
    runs = [run(grid, began, value) for began, value in ((0.0, 10.0), (6.0, 20.0))]
    source = Runs(runs, grid)
    assert at(source, [1, 5, 7], issued=5) == [10.0, 10.0, 10.0]
    # The past before 6 h is of the older run, also for a forecast that is issued later.
    assert at(source, [5, 6.5, 8], issued=6.5) == [10.0, 20.0, 20.0]
    assert np.isnan(at(source, [40], issued=6.5)).all()


def run(grid: Any, began: float, value: float) -> Any:
    leads = np.arange(1, 13) * HOUR
    made = grid.isel(time=0, drop=True).expand_dims(lead=leads).copy()
    made = made.assign_coords(
        time=("lead", times(began)[0] + leads),
        forecast_reference_time=times(began)[0],
        lead_start=("lead", leads - HOUR),
    )
    return made.copy(data=np.full(made.shape, value, np.float32))


def test_stations_lie_on_their_cells_until_their_values_are_old() -> None:
    values = np.array([[1.0, np.nan, 4.0], [np.nan, 2.0, 6.0]], np.float32)  # two hours, three stations
    where = (np.array([0, 0, 1]), np.array([0, 0, 2]))
    source = Stations(values, times(1, 2), where, (2, 3), np.timedelta64(0, "ns"))
    made = source(times(1, 2, 2.5, 3.5), times(2.5)[0])[:, 0]
    assert made[0, 0, 0] == 1.0
    assert made[0, 1, 2] == 4.0
    assert made[1, 0, 0] == 2.0  # the first station's own value is an hour old
    assert made[2, 1, 2] == 6.0
    assert np.isnan(made[3]).all()
    assert np.isnan(made[:3, 1, 1]).all()


def test_two_stations_in_a_cell_give_their_mean() -> None:
    source = Stations(
        np.array([[1.0, 3.0]], np.float32),
        times(1),
        (np.array([0, 0]), np.array([1, 1])),
        (1, 2),
        np.timedelta64(0, "ns"),
    )
    assert source(times(1), times(1)[0])[0, 0, 0, 1] == 2.0


def test_angles_of_hour_and_season() -> None:
    hour = Angle("hour", longitude=90.0)(times(0, 12), DAY)[:, :, 0, 0]  # six hours ahead of Greenwich
    np.testing.assert_allclose(hour, [[1.0, 0.0], [-1.0, 0.0]], atol=1e-6)
    season = Angle("season")(np.array(["2023-01-01", "2023-07-02T15:00"], "datetime64[ns]"), DAY)[:, :, 0, 0]
    np.testing.assert_allclose(season, [[0.0, 1.0], [0.0, -1.0]], atol=0.01)


def test_covariates_are_hidden_by_case_and_stations_by_cell() -> None:
    given = {"a": torch.ones(400, 3, 1, 1, 1), "b": torch.ones(400, 3, 1, 8, 8)}
    made = hidden(given, np.random.default_rng(0), share=0.25, stations=["b"], station_share=0.5)
    assert made["a"].isnan().float().mean() == pytest.approx(0.25, abs=0.06)
    lost = made["b"].isnan()
    assert lost.float().mean() == pytest.approx(1 - 0.75 * 0.5, abs=0.03)
    assert (lost.all(dim=1) | ~lost.any(dim=1)).all()  # a station is silent in all frames
    assert given["b"].isfinite().all()
    kept = hidden(given, np.random.default_rng(0), share=0.0)
    assert all(torch.equal(kept[name], given[name]) for name in given)


def test_covariates_are_mirrored_as_their_windows_are() -> None:
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    windows = (4 * rows + columns).expand(2, 3, 1, 4, 4)
    for seed in range(12):
        made, given = flipped_alike(
            windows, {"same": windows[:, :1], "cell": windows[..., :1, :1]}, np.random.default_rng(seed)
        )
        assert torch.equal(made[:, :1], given["same"])
        assert torch.equal(given["cell"], windows[..., :1, :1])


HEIGHT = FieldFiles(path="dem.nc", quantity="surface_altitude", kind="fixed")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "data.covariates names none"),
        ({"hour": True, "hide": 1.0}, "data.covariates.hide = 1 is no share"),
        ({"fields": {"hour": HEIGHT}}, "'hour' is the name of two covariates"),
        ({"fields": {"a": HEIGHT}, "stations": {"a": StationFiles(path="s.nc")}}, "'a' is the name of two covariates"),
    ],
)
def test_tables_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Covariates(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": True}, "data.covariates does not go with data.augment"),
        ({"auxiliary": ("other.zarr",)}, "does not go with data.auxiliary"),
        ({"train": None, "synthetic": {"name": "storms"}}, "does not go with data.synthetic"),
    ],
)
def test_settings_that_move_frames_away_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Data(**{"train": "a.zarr", "covariates": Covariates(hour=True), **settings})


def test_winds_are_not_mirrored() -> None:
    wind = Covariates(fields={"u": FieldFiles(path="u.grib", quantity="eastward_wind")})
    with pytest.raises(ExperimentError, match=r"data.flip = true mirrors windows, but not the wind 'u'"):
        Data(train="a.zarr", covariates=wind)
    Data(train="a.zarr", covariates=wind, flip=False)
