"""From a table of covariates to a forecast with them, and without."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import safetensors
import xarray as xr
from tests.archive.test_covariates import airports, heights

from echocast import archive, nowcast
from echocast.cli.main import status
from echocast.errors import ModelError
from echocast.models import base
from echocast.synthetic import storms
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import open_sources

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.DataArray]:
    """A folder with an archive, its files, a height, stations, and a trained network."""
    folder = tmp_path_factory.mktemp("covariates")
    rain = storms.generate(frames=60, size=24, grid_km=4.0, time_step_minutes=10.0, seed=3)
    rain.to_dataset().reset_coords("crs").to_netcdf(folder / "r.nc", engine="h5netcdf")
    archive.write([folder / "r.nc"], folder / "r.zarr")
    heights(folder / "h.nc", rain)
    airports(folder / "s.nc", rain)
    fit.fit(experiments.parse(tables(folder)), folder / "run")
    return folder, rain


def tables(folder: Path, **data: object) -> dict[str, dict[str, object]]:
    return {
        "model": {"name": "encoder_forecaster", "hidden_channels": [4], "patch": 4, "scaling": {"dry_mm_h": 0.0}},
        "data": {
            "train": str(folder / "r.zarr"), "past": 3, "future": 3, "min_wet_fraction": 0.0,
            "covariates": {
                "hour": True,
                "fields": {"height": {"path": str(folder / "h.nc"), "kind": "fixed", "quantity": "surface_altitude"}},
                "stations": {"airports": {"path": str(folder / "s.nc")}},
            },
        } | data,
        "training": {"max_steps": 6, "validation_interval": 3, "batch_size": 4, "accelerator": "cpu"},
    }  # fmt: skip


def test_the_checkpoint_names_covariates_units_and_normalisation(made: tuple[Path, xr.DataArray]) -> None:
    with safetensors.safe_open(made[0] / "run" / "weights.safetensors", "pt") as file:
        arguments = json.loads(file.metadata()["arguments"])
    assert arguments["model"] == "encoder_forecaster"
    named = {one["name"]: one for one in arguments["covariates"]["tuple"]}
    assert list(named) == ["hour", "height", "airports"]
    assert (named["height"]["units"], named["airports"]["quantity"]) == ("m", "air_temperature")
    assert named["height"]["scale"] > 10.0


def test_a_batch_has_the_covariates_of_its_windows_also_of_squares(made: tuple[Path, xr.DataArray]) -> None:
    folder, rain = made
    data = experiments.parse(tables(folder, crop=True, crop_size=8)).data
    sources = open_sources(data)
    batch = sources.training[0].batch(np.random.default_rng(0), 3, slice(None))
    shapes = {name: tuple(values.shape) for name, values in batch.context.covariates.items()}
    assert shapes == {"hour": (3, 6, 2, 1, 1), "height": (3, 1, 1, 8, 8), "airports": (3, 6, 1, 8, 8)}
    # Where the rain of a square comes from, its height does too.
    whole = sources.training[0].given.sources["height"](rain.time.values, rain.time.values[0])[0, 0]
    stored = archive.open(folder / "r.zarr").values
    for window, height in zip(batch.windows.numpy(), batch.context.covariates["height"].numpy(), strict=True):
        found = [
            (y, x)
            for t, y, x in np.ndindex(stored.shape[0], 17, 17)
            if np.array_equal(stored[t, y : y + 8, x : x + 8], window[0, 0], equal_nan=True)
        ]
        assert any(np.array_equal(whole[y : y + 8, x : x + 8], height[0, 0]) for y, x in found)


def test_a_run_is_the_same_again_and_goes_on_where_it_stopped(made: tuple[Path, xr.DataArray], tmp_path: Path) -> None:
    folder, _ = made
    short = tables(folder)
    fit.fit(experiments.parse({**short, "training": {**short["training"], "max_steps": 3}}), tmp_path / "run")
    fit.fit(experiments.parse(short), tmp_path / "run", resume=True)
    again, first = (base.load(one / "run" / "weights.safetensors").state_dict() for one in (tmp_path, folder))
    assert all((again[name] == first[name]).all() for name in first)


def test_nowcast_with_and_without_the_files(
    made: tuple[Path, xr.DataArray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = made
    weights, files = (
        folder / "run" / "weights.safetensors",
        {"height": [folder / "h.nc"], "airports": [folder / "s.nc"]},
    )
    select = nowcast.Selection(frames=3)
    given = nowcast.nowcast([folder / "r.nc"], weights, minutes=30, select=select, covariates=files)
    with caplog.at_level(logging.WARNING):
        without = nowcast.nowcast([folder / "r.nc"], weights, minutes=30, select=select)
    assert "covariates that are not known: height, airports; the forecast is made without them" in caplog.text
    assert not np.array_equal(given.forecast.values, without.forecast.values)
    out = tmp_path / "f.nc"
    command = ["nowcast", str(folder / "r.nc"), "--model", str(weights), "--minutes", "30", "--frames", "3"]
    command += ["--covariate", f"height={folder / 'h.nc'}", "--covariate", f"airports={folder / 's.nc'}"]
    assert status([*command, "--out", str(out)]) == 0
    np.testing.assert_array_equal(xr.open_dataset(out).rainfall_rate.values, given.forecast.values)
    with pytest.raises(ModelError, match="takes no covariate 'wind'"):
        nowcast.nowcast([folder / "r.nc"], weights, minutes=30, select=select, covariates={"wind": [folder / "h.nc"]})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("height", "'height' is not NAME=FILE"),
        ("height=nowhere.nc", "nowhere.nc: no such file"),
        ("wind={folder}/h.nc", "takes no covariate 'wind'; it takes: height, airports"),
    ],
)
def test_a_wrong_option_is_one_line(
    made: tuple[Path, xr.DataArray], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, says: str
) -> None:
    folder, _ = made
    command = ["nowcast", str(folder / "r.nc"), "--model", str(folder / "run" / "weights.safetensors"), "--frames", "3"]
    assert status([*command, "--covariate", option.format(folder=folder), "--out", str(tmp_path / "f.nc")]) != 0
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_verify_gives_each_case_its_own_covariates(made: tuple[Path, xr.DataArray], tmp_path: Path) -> None:
    folder, _ = made
    weights = str(folder / "run" / "weights.safetensors")
    command = ["verify", str(folder / "r.zarr"), "--models", f"persistence,{weights}", "--past", "3", "--minutes", "30"]
    command += ["--workers", "1", "--scores", "continuous"]
    files = ["--covariate", f"height={folder / 'h.nc'}", "--covariate", f"airports={folder / 's.nc'}"]
    assert status([*command, *files, "--out", str(tmp_path / "with")]) == 0
    assert status([*command, "--out", str(tmp_path / "without")]) == 0
    scores = [(tmp_path / one / "scores.csv").read_text(encoding="utf-8") for one in ("with", "without")]
    assert "run/weights" in scores[0]
    assert scores[0] != scores[1]
    assert status([*command, "--covariate", f"wind={folder / 'h.nc'}", "--out", str(tmp_path / "x")]) == 1


def test_what_evaluation_forecasts_is_what_a_nowcast_forecasts(made: tuple[Path, xr.DataArray]) -> None:
    from echocast.evaluation import Job, VerificationConfig, forecasts_of
    from echocast.samples import windows

    folder, _ = made
    weights = folder / "run" / "weights.safetensors"
    files = {"height": (str(folder / "h.nc"),), "airports": (str(folder / "s.nc"),)}
    config = VerificationConfig(past=3, leads=3)
    job = Job(str(folder / "r.zarr"), {"net": str(weights)}, {}, config, "all", files)
    cases = windows.Windows(job.rain, np.array([2, 6]), past=3, future=3)
    _, found = forecasts_of(job.sources, cases, rain=job.rain, config=config)
    for number, start in enumerate((2, 6)):
        past = job.rain[start : start + 3].drop_vars("observed").load()
        alone = nowcast.forecast_from(past, weights, minutes=30, covariates=files)
        np.testing.assert_allclose(found["net"][number, 0], alone.values, rtol=1e-5, atol=1e-6)


def test_rain_of_the_stations_hour_matters_to_no_other_time(made: tuple[Path, xr.DataArray]) -> None:
    """What is known only after the time of issue changes nothing."""
    folder, _ = made
    source = open_sources(experiments.parse(tables(folder)).data).training[0].given.sources["airports"]
    times = archive.open(folder / "r.zarr").time.values
    early, late = source(times[:9], times[4]), source(times[:9], times[8])
    assert np.isnan(early[5:]).all()
    assert np.isfinite(late[6]).any()
