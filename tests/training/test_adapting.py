"""Weights learn from an archive of one's own, and are kept only where they are better on a part that nothing saw."""

import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomli_w
import torch

from echocast import archive, checkpoint, fields
from echocast.cli.main import status
from echocast.errors import DataError, ExperimentError, MissingFrames, ModelError
from echocast.evaluation import used_archives
from echocast.io.forecast_file import series_to_netcdf
from echocast.models import base
from echocast.models.lagrangian import Lagrangian
from echocast.samples.segments import window_starts
from echocast.training import adapting
from echocast.training.adapting import Adaptation, Learned

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)
SIDE, STEP = 40, np.timedelta64(5, "m")


def moving(frames: int) -> np.ndarray:
    """Showers that move and do not change."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(SIDE, 4 * SIDE)).astype(np.float32), (0, 0), 3.0)
    showers = 8.0 * np.maximum(noise / noise.std() - 0.3, 0.0)
    return np.stack([np.roll(showers, number, axis=1)[:, :SIDE] for number in range(frames)])


def archived(rain: np.ndarray, folder: Path, step: np.timedelta64 = STEP) -> Path:
    """An archive of these frames, on cells of 2 km."""
    times = np.datetime64("2026-06-01", "ns") + np.arange(len(rain)) * step
    metres = np.arange(SIDE) * 2000.0 + 4e6
    field = fields.make(rain, time=times, y=metres[::-1] - 1e6, x=metres, crs="EPSG:3035")
    folder.mkdir(exist_ok=True)
    series_to_netcdf(field, folder / "rain.nc")
    archive.write([folder / "rain.nc"], folder / "radar.zarr")
    return folder / "radar.zarr"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A network that knows cells of 4 km and lets all rain grow."""
    torch.manual_seed(0)
    model = Lagrangian(hidden_channels=(4, 4), grid_km=4.0, time_step_minutes=5.0)
    with torch.no_grad():
        model.output.bias[: model.network_settings.patch**2] = 0.8  # of the growth
    base.save(model, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.mark.slow
def test_growth_that_does_not_come_is_unlearned(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapting, "_STEPS_RANGE", (8, 8))
    monkeypatch.setattr(adapting, "_BATCH_SIZE", 4)
    monkeypatch.setattr(adapting, "_VALIDATION_WINDOWS", 4)
    monkeypatch.setattr(adapting, "_LEARNING_RATES", {"firm": 0.1, "ensemble_crps": 1e-5})  # for so few steps
    store, out = archived(moving(400), tmp_path / "data"), tmp_path / "mine.safetensors"
    words = ["adapt", str(store), "--model", str(small), "--minutes", "30", "--cases", "2"]
    assert status([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "test: 2026-06-02" in said
    assert "Change of CSI: +0." in said
    assert "use it as --model" in said
    assert not (tmp_path / "mine.run").exists()
    adapted = base.load(out)
    assert float(adapted.output.bias[:16].mean()) < 0.75
    # On a finer grid it is carried along a refined motion, and that is how it learned.
    assert checkpoint.read(out, task=base.TASK).arguments["motion_settings"]["refine_own_grid"] is True
    card = out.with_suffix(".md").read_text()
    assert "| train | 2026-06-01 00:00 |" in card
    assert "| after | 0." in card
    uses = {use.archive: use.purposes for use in used_archives.uses_of(str(out))}
    assert uses["radar.zarr, train part"] == ("training",)
    assert uses["radar.zarr, test part"] == ("seen",)
    assert tomllib.loads(out.with_suffix(".archives.toml").read_text())["archive"][0]["place"][0] > 0


def test_weights_that_are_not_better_are_not_kept(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = archived(moving(400), tmp_path / "data"), tmp_path / "mine.safetensors"
    words = ["adapt", str(store), "--model", str(small), "--cases", "1", "--out", str(out)]
    monkeypatch.setattr(Adaptation, "learn", lambda *_, **__: Learned(small, 0.5, 0.51, 7))  # in truth the same weights
    assert status(words) == 1
    assert "not better on the test (mean CSI +0.0%, CRPS of members +0.0%)" in capsys.readouterr().err
    monkeypatch.setattr(Adaptation, "learn", lambda *_, **__: Learned(small, 0.5, 0.5, 7))
    assert status(words) == 1
    assert "gained nothing on the validation windows" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mine.run", "small.safetensors"]


def test_files_of_others_are_left_alone(tmp_path: Path, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = archived(moving(30), tmp_path / "data")
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "photos.run").mkdir()
    (tmp_path / "photos.run" / "a.jpg").touch()
    for name, kept in (("notes", "notes.md"), ("photos", "photos.run")):
        assert status(["adapt", str(store), "--model", str(small), "--out", str(tmp_path / f"{name}.safetensors")]) == 1
        assert f"{kept} is there and would be written over" in capsys.readouterr().err
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert (tmp_path / "photos.run" / "a.jpg").exists()


def test_the_parts_share_no_window(small: Path, tmp_path: Path) -> None:
    job = Adaptation.of(archived(moving(400), tmp_path / "data"), str(small), tmp_path / "run")
    train, validation, test = (job.parts[name] for name in adapting.PARTS)
    window = job.data.past + job.data.future
    assert window == 6 + 18
    assert validation[0].start - train[-1].stop >= window
    assert test[0].start - validation[-1].stop >= window
    assert all(len(window_starts(part, 6, 18, 1)) for part in (train, validation, test))
    assert job.factor == 2
    np.testing.assert_allclose(job.cells[0], job.field[0].values.reshape(20, 2, 20, 2).mean((1, 3)), rtol=1e-5)


def test_the_run_of_another_archive_is_not_gone_on_with(small: Path, tmp_path: Path) -> None:
    stopped, run = tmp_path / "run" / "forecast", tmp_path / "run"
    first = Adaptation.of(archived(moving(400), tmp_path / "first"), str(small), run)
    stopped.mkdir()
    (stopped / "last.ckpt").touch()
    plan = first._experiment(small, "firm", steps=40)
    (stopped / "experiment.toml").write_text(tomli_w.dumps(plan.table()))
    assert first._plan(stopped, 1.0, small, loss="firm").training == plan.training
    other = Adaptation.of(archived(moving(400), tmp_path / "other"), str(small), run)
    with pytest.raises(ExperimentError, match=r"first/radar\.zarr; remove"):
        other._plan(stopped, 1.0, small, loss="firm")


def test_what_cannot_be_adapted_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="give lagrangian, or a checkpoint of it"):
        adapting.checkpoint_of("optical_flow")
    short, dry = archived(moving(80), tmp_path / "short"), archived(0.0 * moving(400), tmp_path / "dry")
    hourly = archived(moving(60), tmp_path / "slow", np.timedelta64(60, "m"))
    with pytest.raises(DataError, match="archive more"):
        Adaptation.of(short, str(small), tmp_path / "run1")
    without_rain = Adaptation.of(dry, str(small), tmp_path / "run2")
    with pytest.raises(MissingFrames, match="add rainy days"):
        without_rain.learn(minutes=1.0)
    with pytest.raises(MissingFrames, match="every 60 min"):
        Adaptation.of(hourly, str(small), tmp_path / "run3")
