"""The experiments run from end to end, in little."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments import blending, correction, opponents
from tests import example_files

from echocast import archive, fields
from echocast.io import forecast_file
from echocast.models._amounts import RATES_MM_H
from echocast.synthetic import storms
from echocast.training import experiment as experiments

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def run(name: str, *words: str) -> str:
    line = [sys.executable, str(EXPERIMENTS / name), "--quick", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.data
@pytest.mark.slow
def test_moving_mnist(tmp_path: Path, data_kit: Path) -> None:
    said = run("moving_mnist.py", "--networks", "fc,three", "--out", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())["results"]
    assert set(found) == {"fc", "three", "three on three digits"}
    for scores in found.values():
        assert scores["cross_entropy"] > scores["floor"] > 100  # nats a sequence
    assert "ConvLSTM(5x5)-5x5-128-5x5-64-5x5-64, three unseen digits" in said
    assert {path.name for path in tmp_path.glob("*.png")} == {"curves.png", "examples.png"}


@pytest.mark.slow
def test_radar_echo(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for part, day in (("train", 1), ("validation", 5)):
        (runs / part).mkdir(parents=True)
        for number in range(2):
            rain = np.repeat(example_files.blob(40, 64, 64, dx=1.0), 6, axis=0)[:240]
            start = np.datetime64(f"2016-07-0{day + number}T00:00", "ns")
            field = example_files.field(rain, start=start, minutes=5)
            forecast_file.series_to_netcdf(field, runs / part / f"{part}{number}.nc")
    run("radar_echo.py", "--runs", str(runs), "--out", str(tmp_path / "out"))
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert set(found["results"]) == {"convlstm", "fc_lstm", "rover1", "rover2", "rover3", "persistence"}
    assert all(len(scores["csi"]) == 15 for scores in found["results"].values())
    assert found["days"] == 4
    assert fields.ZR_RELATIONS["hko-2015"].a == pytest.approx(118.239)
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"cases.png", "leads.png"}


@pytest.mark.data
@pytest.mark.slow
def test_metar_and_reanalysis(tmp_path: Path, data_kit: Path) -> None:
    run("metar_reanalysis.py", "--kit", str(data_kit), "--out", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == {
        f"{where}, {when} 6 h" for where in ("held-out places", "whole grid") for when in ("next", "last")
    }
    for scores in found.values():
        # Untrained networks begin as persistence.
        assert scores["alone"][0] == pytest.approx(scores["persistence"][0], rel=0.1)
        assert 0.5 < scores["corrected"][0] < scores["persistence"][0] + 0.3
        assert scores["stations - alone"][1] < scores["stations - alone"][2]
    assert (tmp_path / "errors.png").is_file()


@pytest.mark.data
@pytest.mark.slow
def test_orography(tmp_path: Path, data_kit: Path) -> None:
    run("orography.py", "--kit", str(data_kit), "--out", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["csi"]) == {"cells with a known height", "all cells"}
    assert 0.3 < found["known_height"] < 0.7
    assert found["csi"]["all cells"]["0.5 mm/h"]["persistence"][0] > 0.3
    assert (tmp_path / "csi.png").is_file()


def test_brier_scores_of_members() -> None:
    members = np.array([[0.0, 2.0, np.nan, np.nan], [1.0, 3.0, 0.5, np.nan]])[:, None, None]  # (member, lead, y, x)
    shares = blending.probability(members)
    np.testing.assert_array_equal(shares[0, 0], [0.5, 1.0, 0.0, np.nan])
    truth = np.array([4.0, 0.0, 0.0])
    assert blending.brier(shares[0, 0, :3], truth) == pytest.approx((0.25 + 1.0 + 0.0) / 3)


@pytest.fixture
def storm(tmp_path: Path) -> Path:
    """An archive of two hours of a simulated storm."""
    forecast_file.series_to_netcdf(storms.generate(frames=32, size=64, seed=5), tmp_path / "storm.nc")
    archive.write([tmp_path / "storm.nc"], tmp_path / "storm.zarr")
    return tmp_path / "storm.zarr"


def test_what_a_correction_knows_beforehand(storm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        str(storm),
        "--model",
        "persistence",
        "--minutes",
        "15",
        "--most",
        "2",
        "--out",
        str(tmp_path / "prior.npz"),
    ]
    monkeypatch.setattr(sys, "argv", ["correction", *words])
    correction.main()
    with np.load(tmp_path / "prior.npz") as made:
        np.testing.assert_array_equal(made["minutes"], [5, 10, 15])
        assert made["km2"].shape[:2] == (3, 1 + len(RATES_MM_H))
        assert made["km2"][:, 1, 0].mean() == pytest.approx(1.0)  # km² of rain of 2 mm/h or more
        assert (np.diff(made["km2"], axis=2) <= 1e-6).all()
        hits, forecast = made["km2"][:, 1], made["km2"][:, 0]
        assert (hits[:, 1:] <= forecast[:, 1:] + 1e-6).all()


@pytest.mark.slow
def test_settings_of_opponents(
    storm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    monkeypatch.setattr(sys, "argv", ["opponents", "sprog", str(storm), "--windows", "1", "--settings", "square root"])
    opponents.main()
    said = capsys.readouterr().out
    assert "sprog, 1 windows on 1 days, 64 x 64" in said
    assert [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")] == [
        "setting",
        "before",
        "square root",
    ]


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_file_names_what_exists(path: Path) -> None:
    experiment = experiments.load(path)
    with torch.device("meta"):
        model = experiment.make_model(grid_km=3.75, time_step_minutes=5.0)
    names = [name for name, _ in model.named_parameters()]
    for part in experiment.training.trainable:
        assert any(name.startswith(part) for name in names), part
    experiment.make_loss()
