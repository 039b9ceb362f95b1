"""Forecasts and the radar against gauges: values by a plain loop, and what does not fit."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import fields, stations
from echocast.errors import DataError, GridMismatch, MissingFrames
from echocast.evaluation import VerificationConfig, evaluate_at_stations
from echocast.models.persistence import Persistence
from echocast.report import write_station_report

START = np.datetime64("2024-06-01T00:00", "ns")
MINUTE = np.timedelta64(1, "m")
CONFIG = VerificationConfig(past=2, leads=6, stride=3)


def radar(frames: int = 60) -> xr.DataArray:
    rain = np.random.default_rng(2).gamma(1.0, 2.0, (frames, 5, 5)).astype(np.float32)
    times = START + np.arange(1, frames + 1) * 5 * MINUTE
    return fields.make(rain, time=times, y=[50.4, 50.3, 50.2, 50.1, 50.0], x=np.arange(5) * 0.1 + 10, crs="EPSG:4326")


def gauges(values: np.ndarray, shift: int = 0, **changed: object) -> xr.DataArray:
    settings: dict[str, object] = {
        "time": START + (np.arange(1, values.shape[1] + 1) * 15 + shift) * MINUTE,
        "station": ["a", "b"],
        "longitude": [10.1, 10.3],
        "latitude": [50.3, 50.1],
        "interval": 15.0,
    }
    return stations.make(values, **(settings | changed))  # type: ignore[arg-type]


def of_radar(field: xr.DataArray) -> np.ndarray:
    """What gauges in the cells (1, 1) and (3, 3) would measure in 15 min, in mm."""
    return np.stack([field.values[:, 1, 1], field.values[:, 3, 3]]).reshape(2, -1, 3).mean(-1) / 4


def test_scores_are_those_of_a_plain_loop() -> None:
    field = radar()
    amounts = of_radar(field) * 1.2
    result = evaluate_at_stations(field, {"persistence": Persistence()}, gauges(amounts), CONFIG)
    scores = result.by_way["nearest"]
    assert (result.minutes, scores.lead_minutes) == (15.0, (15.0, 30.0))
    assert scores.forecasters == ("radar", "persistence")
    errors: dict[str, list[float]] = {"radar": [], "persistence": []}
    for block in scores.blocks:
        for start in block.starts:
            newest = start + 1  # of two past frames
            assert (field.time.values[newest] - START) / MINUTE % 15 == 0  # a gauge's interval can end at a lead
            for number, (row, column) in enumerate([(1, 1), (3, 3)]):
                end = (newest + 1 + 3) // 3 - 1  # the interval that ends 15 min later
                truth = amounts[number, end] * 4
                seen = field.values[newest + 1 : newest + 4, row, column].mean()
                errors["radar"].append((seen - truth) ** 2)
                errors["persistence"].append((field.values[newest, row, column] - truth) ** 2)
    for name, squared in errors.items():
        assert scores.values[name]["rmse"][0] == pytest.approx(np.sqrt(np.mean(squared)), rel=1e-5)
    perfect = evaluate_at_stations(field, {}, gauges(of_radar(field)), CONFIG).by_way["nearest"]
    assert perfect.mean("rmse", "radar") == pytest.approx(0, abs=1e-6)


def test_the_best_of_the_neighbourhood_is_never_worse_and_each_station_is_a_region() -> None:
    field = radar()
    result = evaluate_at_stations(field, {}, gauges(of_radar(field) * 2), CONFIG)
    rmse = {way: scores.mean("rmse", "radar") for way, scores in result.by_way.items()}
    assert rmse["best"] < rmse["nearest"]
    scores = result.by_way["nearest"]
    assert scores.regions == ("all", "a", "b")
    pooled = scores.pooled("radar", "continuous")["n"]
    parts = [scores.pooled("radar", "continuous", one)["n"] for one in "ab"]
    np.testing.assert_array_equal(pooled, parts[0] + parts[1])


def test_flagged_values_are_left_out_and_counted_unless_asked_for() -> None:
    field = radar()
    series = gauges(of_radar(field))
    series.values[0, 3] = 500.0
    series = stations.flagged(series)
    assert evaluate_at_stations(field, {}, series, CONFIG).left_out == 1
    used = evaluate_at_stations(field, {}, series, CONFIG, use_flagged=True)
    assert (used.left_out, bool(np.nanmax(used.gauge) > 1000)) == (0, True)


def test_a_clock_in_local_time_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    field = radar(300)
    result = evaluate_at_stations(field, {}, gauges(of_radar(field), shift=120), CONFIG)
    assert "if the gauges' times are moved by -120 min: is their clock UTC" in caplog.text
    assert max(result.shifts, key=lambda shift: np.nan_to_num(result.shifts[shift], nan=-1)) == 120.0


@pytest.mark.parametrize(
    ("changed", "settings", "error", "why"),
    [
        ({"station": ["all", "b"]}, {}, DataError, "called 'all'"),
        ({"longitude": [80.0, 81.0]}, {}, GridMismatch, "no place lies in the grid"),
        ({"time": START + (np.arange(1, 21) * 15 + 10**6) * MINUTE}, {}, MissingFrames, "of the same days, in UTC"),
        ({"time": START + (np.arange(1, 21) * 15 + 1) * MINUTE}, {}, MissingFrames, "on the clock of the frames"),
        ({}, {"minutes": 20.0}, DataError, "do not add up to 20 min"),
        ({}, {"minutes": 45.0}, DataError, "shorter than an interval of 45 min"),
        ({}, {"minutes": 7.0}, DataError, "no whole number of frames"),
    ],
)
def test_what_does_not_fit_is_named(
    changed: dict[str, object], settings: dict[str, float], error: type[Exception], why: str
) -> None:
    field = radar()
    with pytest.raises(error, match=why):
        evaluate_at_stations(field, {}, gauges(of_radar(field), **changed), CONFIG, **settings)  # type: ignore[arg-type]


def test_scores_of_whole_frames_are_refused() -> None:
    field = radar()
    with pytest.raises(DataError, match="fractions look at whole frames"):
        evaluate_at_stations(field, {}, gauges(of_radar(field)), replace(CONFIG, scores=("fractions", "continuous")))


def test_the_report_has_a_map_and_a_row_for_each_station(tmp_path: Path) -> None:
    field = radar()
    result = evaluate_at_stations(field, {"persistence": Persistence()}, gauges(of_radar(field) * 1.25), CONFIG)
    write_station_report(result, field, tmp_path, command="echocast verify")
    assert {"map.png", "scatter.png", "double_mass.png", "report.html", "scores.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    with (tmp_path / "stations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["radar_over_gauge"]) for row in rows] == pytest.approx([0.8, 0.8], rel=1e-4)
    assert float(rows[0]["gauge_mm"]) == pytest.approx(1.25 * of_radar(field)[0].sum(), rel=1e-4)
    text = (tmp_path / "report.md").read_text()
    assert "2 stations; amounts over 15 min" in text
    assert "the mean of 3 x 3 cells" in text
