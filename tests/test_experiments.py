"""The experiments run from end to end, in little."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import fields
from echocast.io import forecast_file
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


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_file_names_what_exists(path: Path) -> None:
    experiment = experiments.load(path)
    with torch.device("meta"):
        model = experiment.make_model(grid_km=3.75, time_step_minutes=5.0)
    names = [name for name, _ in model.named_parameters()]
    for part in experiment.training.trainable:
        assert any(name.startswith(part) for name in names), part
    experiment.make_loss()
