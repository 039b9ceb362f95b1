"""A forecast at places and over areas, and the commands that write it."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import fields
from echocast.cli.main import status
from echocast.errors import DataError
from echocast.io import forecast_file, series_file
from echocast.products import series

ISSUED = np.datetime64("2024-06-01T12:00", "ns")
RNG = np.random.default_rng(5)
RAIN = RNG.gamma(0.5, 4.0, (4, 3, 5, 6)).astype(np.float32)
"""Member, lead, y, x."""


def forecast(values: np.ndarray = RAIN) -> xr.DataArray:
    leads = np.arange(1, 4) * np.timedelta64(10, "m")
    frames = fields.make(
        values[0], time=ISSUED + leads, y=[50.4, 50.3, 50.2, 50.1, 50.0], x=np.arange(6) * 0.1 + 10, crs="EPSG:4326"
    )
    field = frames.rename(time="lead").assign_coords(
        lead=leads.astype("timedelta64[ns]"), forecast_reference_time=ISSUED, time=("lead", ISSUED + leads)
    )
    return field.expand_dims(member=len(values)).copy(data=values)


CELLS = {"a": (np.array([0, 1, 1]), np.array([0, 0, 1]), 0.0), "b": (np.array([4]), np.array([5]), 0.25)}


def test_an_area_is_taken_of_each_member_first() -> None:
    made = series.over_areas(forecast(), CELLS)
    for member in range(4):
        for lead in range(3):
            cells = [RAIN[member, lead, y, x] for y, x in ((0, 0), (1, 0), (1, 1))]
            assert made.rain_rate.values[member, 0, lead] == pytest.approx(sum(cells) / 3, rel=1e-6)
            assert made.maximum.values[member, 0, lead] == max(cells)
        total = sum(made.rain_rate.values[member, 0, lead] * 10 / 60 for lead in range(3))
        assert made.amount.values[member, 0, 2] == pytest.approx(total, rel=1e-6)
    np.testing.assert_allclose(made.known.values, [[1.0] * 3, [0.75] * 3])


def test_probabilities_and_quantiles_are_those_of_the_area_not_of_its_cells() -> None:
    made = series.over_areas(forecast(), CELLS)
    told = series.summary(made, quantiles=[0.5], rates=[2.0], amounts=[1.0])
    highest = np.array([max(RAIN[m, 1, 0, 0], RAIN[m, 1, 1, 0], RAIN[m, 1, 1, 1]) for m in range(4)])
    assert told.maximum_probability.values[0, 0, 1] == (highest >= 2.0).mean()
    assert told.maximum_quantile.values[0, 0, 1] == pytest.approx(np.median(highest))
    assert told.maximum.values[0, 1] == pytest.approx(highest.mean())
    np.testing.assert_array_equal(told.amount_probability.values[0], (made.amount.values >= 1.0).mean(axis=0))


def test_an_area_of_which_less_than_half_is_known_is_not_known() -> None:
    values = RAIN.copy()
    values[2, 1, 1] = np.nan  # two of the three cells, in one member at one lead time
    made = series.over_areas(forecast(values), CELLS)
    assert np.isnan(made.rain_rate.values[:, 0, 1]).all()
    assert np.isfinite(made.rain_rate.values[:, 0, 0]).all()
    assert np.isnan(made.amount.values[:, 0, 1:]).all()  # nor is a sum over that time
    rows = series_file.rows_of(series.summary(made, quantiles=[0.5], rates=[1.0], amounts=[1.0]))
    assert [row["probability_maximum_ge_1_mm_h"] is None for row in rows[:3]] == [False, True, False]


def test_a_single_forecast_has_no_probabilities() -> None:
    made = series.at_cells(forecast()[0], ["p"], np.array([2]), np.array([3]))
    told = series.summary(made, quantiles=[0.5], rates=[1.0], amounts=[1.0])
    assert set(told.data_vars) == {"rain_rate", "amount"}
    np.testing.assert_array_equal(told.rain_rate.values[0], RAIN[0, :, 2, 3])
    times = ISSUED + np.arange(3) * np.timedelta64(1, "m")
    observed = fields.make(RAIN[0], time=times, y=range(5), x=range(6), crs="EPSG:3857")
    with pytest.raises(DataError, match="observed, not forecast"):
        series.at_cells(observed, ["p"], np.array([2]), np.array([3]))


def polygon(west: float, south: float, east: float, north: float) -> dict[str, object]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def collection(**areas: dict[str, object]) -> str:
    made = [{"type": "Feature", "properties": {"id": key}, "geometry": area} for key, area in areas.items()]
    return json.dumps({"type": "FeatureCollection", "features": made})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    forecast_file.to_netcdf(forecast(), tmp_path / "forecast.nc")
    west = polygon(9.95, 50.15, 10.15, 50.45)  # rows 0 to 2, columns 0 and 1
    (tmp_path / "basins.geojson").write_text(collection(west=west, far=polygon(20, 20, 21, 21)))
    return tmp_path


def test_basins_as_csv_geojson_and_netcdf(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["basins", str(folder / "forecast.nc"), "--areas", str(folder / "basins.geojson")]
    assert status(given) == 0
    printed = capsys.readouterr()
    assert "areas outside the grid are left out: far" in printed.err
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert list(rows[0])[:6] == [
        "place", "issued", "lead_minutes", "valid", "rain_rate_mm_h", "rain_rate_q0.1_mm_h",
    ]  # fmt: skip
    assert {"amount_mm", "maximum_q0.9_mm_h", "probability_amount_ge_20_mm", "known"} <= set(rows[0])
    assert [(row["place"], row["lead_minutes"], row["valid"]) for row in rows[:1]] == [
        ("west", "10", "2024-06-01T12:10:00Z")
    ]
    read = forecast_file.from_netcdf(folder / "forecast.nc").values[:, 0, :3, :2].reshape(4, -1)
    assert float(rows[0]["rain_rate_mm_h"]) == pytest.approx(read.mean(), rel=1e-3)
    assert float(rows[0]["probability_maximum_ge_10_mm_h"]) == pytest.approx((read.max(axis=1) >= 10).mean())
    for suffix in ("geojson", "nc"):
        assert status([*given, "--out", str(folder / f"told.{suffix}")]) == 0
    feature = json.loads((folder / "told.geojson").read_text())["features"][0]
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"]["rain_rate_mm_h"][0] == pytest.approx(read.mean(), rel=1e-3)
    with xr.open_dataset(folder / "told.nc", decode_timedelta=False) as told:
        np.testing.assert_allclose(told.member_maximum.values[:, 0, 0], read.max(axis=1))
    checker = Path(sys.executable).parent / "compliance-checker"
    checked = subprocess.run([checker, "--test=cf:1.11", folder / "told.nc"], capture_output=True, text=True)
    assert "All tests passed!" in checked.stdout, checked.stdout
    assert status([*given, "--out", str(folder / "basins.geojson")]) == 1  # never written over its own input


def test_a_file_of_areas_that_is_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, why in (
        ("{}", "is no GeoJSON FeatureCollection"),
        ("hello", "Expecting value"),
        (collection(a=polygon(20, 20, 21, 21)), "no area lies in the grid"),
        (collection(a={"type": "LineString", "coordinates": [[1, 2], [3, 4]]}), "geometry is 'LineString'"),
    ):
        (folder / "bad.geojson").write_text(text)
        assert status(["basins", str(folder / "forecast.nc"), "--areas", str(folder / "bad.geojson")]) == 1
        assert why in capsys.readouterr().err


def test_points_by_place_and_by_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "places.csv").write_text("station,longitude,latitude\nX,10.3,50.2\nfar,30,50\n")
    given = ["point", str(folder / "forecast.nc"), "--at", "Home=10.51,50.01", "--stations", str(folder / "places.csv")]
    assert status([*given, "--out", str(folder / "points.json"), "--quantiles", "0.5"]) == 0
    told = json.loads((folder / "points.json").read_text())
    read = forecast_file.from_netcdf(folder / "forecast.nc").values
    assert told["places"]["Home"]["rain_rate_q0.5_mm_h"] == pytest.approx(np.median(read[:, :, 4, 5], axis=0), rel=1e-3)
    assert told["places"]["X"]["valid"] == [f"2024-06-01T12:{m}0:00Z" for m in (1, 2, 3)]
    assert (told["issued"], told["units"]["probability_amount_ge_5_mm"]) == ("2024-06-01T12:00:00Z", "1")
    assert "left out: far" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--at", "50.0,10.0"], "lies outside the grid|no place lies in the grid"),
        (["--at", "here"], "is not LON,LAT"),
        ([], "give at least one place"),
        (["--at", "10,50", "--quantiles", "50"], "quantiles lie between 0 and 1"),
        (["--at", "10,50", "--thresholds", "-1"], "give one number above 0"),
        (["--at", "10,50", "--at", "10,50"], "two places have one name"),
    ],
)
def test_what_is_no_place_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], why: str
) -> None:
    assert status(["point", str(folder / "forecast.nc"), *more]) in (1, 2)
    assert re.search(why, " ".join(capsys.readouterr().err.replace("│", " ").split()))
