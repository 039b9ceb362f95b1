"""Archives larger than memory: windows are read when they are needed, and what is learned is the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.archive import made_store
from safetensors.torch import load_file
from tests import example_files
from tests.training.test_fit import plan, store

from echocast import archive
from echocast.samples import wet
from echocast.training import fit, wet_cells
from echocast.training.data import open_sources

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)


def test_losses_are_those_of_frames_in_memory(tmp_path: Path) -> None:
    train = store(tmp_path, "one.zarr", gaps=(13, 26))
    losses = []
    for number, memory in enumerate((4.0, 0.0)):
        settings = (f"data.memory_gb={memory}", "data.crop=true", "data.crop_size=8", "data.augment=true")
        experiment = plan(train, None, *settings, "training.max_steps=4")
        assert open_sources(experiment.data).training[0].in_memory == (memory > 0)
        fit.fit(experiment, tmp_path / f"run{number}")
        rows = np.genfromtxt(tmp_path / f"run{number}/metrics.csv", delimiter=",", names=True)
        losses.append([rows[name] for name in ("trainloss", "validationloss", "validationcsi")])
    np.testing.assert_array_equal(losses[0], losses[1])


def test_one_event_is_split_by_time_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sources = open_sources(plan(store(tmp_path, "one.zarr"), None).data)
    assert sources.training[0].starts.max() + 6 + 6 <= sources.validation.starts.min()
    assert "one or two events: train from 2016-09-28 14:45 to" in caplog.text


def test_squares_are_drawn_where_it_rains(tmp_path: Path) -> None:
    rain = np.zeros((12, 96, 128), np.float32)
    rain[:, 64:96, 96:128] = 3.0
    source = tmp_path / "in"
    source.mkdir()
    for number, frame in enumerate(rain):
        time = example_files.TIME + number * np.timedelta64(5, "m")
        example_files.netcdf(source, time=time, rain=frame[None])
    archive.write([source], tmp_path / "s.zarr")
    settings = ("data.crop=true", "data.crop_size=32", "data.wet_fraction_range=[0.001, 1.0]", "data.past=2")
    made = open_sources(plan(tmp_path / "s.zarr", None, *settings, "data.future=2").data)
    batch = made.training[0].batch(np.random.default_rng(0), 20, slice(None))
    assert batch.windows.shape == (20, 4, 1, 32, 32)
    assert float((batch.windows >= 0.5).float().mean()) > 0.4  # a twelfth of the grid is wet


def test_wet_cells_are_counted_once_for_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = store(tmp_path, "one.zarr")
    counted = wet_cells.of_archive(place, archive.open(place))
    monkeypatch.setattr(wet, "counted", lambda _: pytest.fail("counted again"))
    np.testing.assert_array_equal(wet_cells.of_archive(place, archive.open(place)).counts, counted.counts)
    monkeypatch.undo()
    (place / wet_cells.FILE).write_bytes(b"broken")
    np.testing.assert_array_equal(wet_cells.of_archive(place, archive.open(place)).counts, counted.counts)
    store(tmp_path, "two.zarr", start=example_files.TIME + np.timedelta64(200, "m"))
    archive.write([tmp_path / "two.zarr-files"], place)
    assert len(wet_cells.of_archive(place, archive.open(place)).counts) == 80


TRAIN = """
import json, re, sys
from pathlib import Path
from echocast.training import experiment, fit
peak = lambda: int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
fit.fit(experiment.parse(json.loads(sys.argv[1])), Path(sys.argv[2]))
print(peak())
"""


@pytest.mark.slow  # it makes an archive of 600 MB, and learns from it in two processes
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    place = made_store(tmp_path, 600, scale=8)
    peaks, weights = [], []
    for number, memory in enumerate((4.0, 0.1)):
        tables = {
            "model": {"name": "encoder_forecaster", "hidden_channels": [4], "patch": 4},
            "data": {"train": str(place), "past": 4, "future": 4, "memory_gb": memory, "validation_windows": 4}
            | {"crop": True, "crop_size": 64},
            "training": {"max_steps": 6, "validation_interval": 3, "batch_size": 4, "accelerator": "cpu"},
        }
        run = tmp_path / f"run{number}"
        command = [sys.executable, "-W", "ignore", "-c", TRAIN, json.dumps(tables), str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.splitlines()[-1]))
        weights.append(load_file(run / "weights.safetensors"))
    assert peaks[1] < peaks[0] - 0.6 * 600 * 512**2 * 4 / 2**20, peaks
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=0)
