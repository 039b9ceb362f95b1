"""Products of an ensemble, by hand and in a file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast.cli.main import status
from echocast.errors import ModelError
from echocast.io import forecast_file
from echocast.models import base
from echocast.nowcast import forecast_from, to_netcdf
from echocast.products import ensemble
from echocast.samples import tensors


def forecast() -> xr.DataArray:
    """Two members, 18 leads of 5 minutes: 6 mm/h everywhere in one, nothing in the other; one pixel unknown."""
    import torch

    future = torch.zeros(1, 2, 18, 1, 4, 5)
    future[:, 0] = 6.0
    future[:, 1, :, :, 0, 0] = torch.nan
    return tensors.to_forecast(future, example_files.field(example_files.blob(3, 4, 5)))


def test_probabilities_quantiles_and_amounts_by_hand() -> None:
    made = ensemble.products(
        forecast(), rates=(0.1, 10.0), amounts=(2.9, 3.1), quantiles=(0.5,), spans=(30, 60, 90, 120)
    )
    probability = made["rainfall_rate_probability"]
    assert probability.sel(rate_threshold=0.1).values[0, 1, 1] == 0.5
    assert probability.sel(rate_threshold=10.0).values[0, 1, 1] == 0.0
    assert np.isnan(probability.values[:, :, 0, 0]).all()
    assert made["rainfall_rate_mean"].values[0, 1, 1] == 3.0
    assert made["rainfall_rate_quantile"].values[0, 0, 1, 1] == 3.0
    over = made["rainfall_amount_probability"]
    assert over.span.values.tolist() == [30, 60, 90]  # 120 minutes are not forecast
    assert over.sel(span=30, amount_threshold=2.9).values[1, 1] == 0.5  # 6 mm/h for half an hour are 3 mm
    assert over.sel(span=30, amount_threshold=3.1).values[1, 1] == 0.0
    assert over.sel(span=60, amount_threshold=3.1).values[1, 1] == 0.5
    assert np.isnan(over.values[..., 0, 0]).all()


def test_means_quantiles_and_probabilities_are_those_of_numpy() -> None:
    import torch

    future = torch.from_numpy(np.random.default_rng(1).gamma(0.5, 3.0, size=(1, 7, 4, 1, 30, 700)).astype(np.float32))
    future[0, 3, 2, 0, 11, 5] = torch.nan
    given = tensors.to_forecast(future, example_files.field(example_files.blob(3, 30, 700)))
    made = ensemble.products(given)
    values = given.values
    np.testing.assert_allclose(made["rainfall_rate_mean"], values.mean(axis=0), rtol=1e-6)
    for name, wanted in (
        ("quantile", np.quantile(values, ensemble.QUANTILES, axis=0)),
        ("probability", [np.where(np.isnan(values[3]), np.nan, (values >= r).mean(0)) for r in ensemble.RATES_MM_H]),
    ):
        np.testing.assert_allclose(made[f"rainfall_rate_{name}"], wanted, rtol=1e-5, atol=1e-6)


def test_the_file_holds_members_and_their_products(tmp_path: Path) -> None:
    made = forecast()
    to_netcdf(made, tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", engine="h5netcdf", decode_timedelta=False) as data:
        assert data["rainfall_rate"].dims == ("member", "lead", "y", "x")
        assert data["member"].attrs["standard_name"] == "realization"
        assert data["rate_threshold"].values.tolist() == [0.1, 0.5, 1, 2, 5, 10, 30]
        assert data["rainfall_rate_probability"].attrs["grid_mapping"] == "crs"
        assert data["rainfall_amount_probability"].dims == ("span", "amount_threshold", "y", "x")
        assert data["rainfall_rate_quantile"].sizes["quantile"] == 5
    again = forecast_file.from_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(again.values, made.values)
    np.testing.assert_array_equal(ensemble.mean(again).values, made.values.mean(axis=0))


def test_an_independent_checker_finds_no_error(tmp_path: Path) -> None:
    to_netcdf(forecast(), tmp_path / "f.nc")
    line = [str(Path(sys.executable).with_name("compliance-checker")), "--test=cf:1.11", "--format=json"]
    subprocess.run([*line, f"--output={tmp_path / 'r.json'}", str(tmp_path / "f.nc")], capture_output=True, check=False)
    report = json.loads((tmp_path / "r.json").read_text())["cf:1.11"]
    assert report["possible_points"] > 10
    assert [item for item in report["all_priorities"] if item["value"][0] != item["value"][1]] == []


@pytest.mark.filterwarnings("ignore")
def test_the_command_makes_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    rain = example_files.blob(4, 64, 64, dx=2.0)
    (tmp_path / "in").mkdir()
    for number in range(4):
        example_files.netcdf(
            tmp_path / "in", time=example_files.TIME + number * np.timedelta64(5, "m"), rain=rain[number : number + 1]
        )
    line = ["nowcast", str(tmp_path / "in"), "--model", "steps", "--members", "3", "--minutes", "30"]
    assert status([*line, "--out", str(tmp_path / "f.nc"), "--png", str(tmp_path / "f.png")]) == 0
    assert forecast_file.from_netcdf(tmp_path / "f.nc").sizes["member"] == 3
    line[3] = "optical_flow"
    assert status([*line, "--out", str(tmp_path / "g.nc")]) == 1
    assert "OpticalFlow has no members; of these there are: lagrangian, steps" in capsys.readouterr().err


def test_members_are_asked_of_ensembles_only() -> None:
    with pytest.raises(ModelError, match="no members"):
        forecast_from(example_files.field(example_files.blob(3)), base.resolve("persistence"), members=2)
