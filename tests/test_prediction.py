"""The next frames of a video, and what they are worth."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echocast import archive, prediction, video
from echocast.cli import main
from echocast.errors import MissingFrames, ModelError, WrongUnits
from echocast.evaluation.pictures import evaluate_pictures
from echocast.models import EncoderForecaster, Persistence, base
from echocast.models.scaling import ImageScaling


def clip(folder: Path, *, frames: int = 12, channels: int = 1, seed: int = 0) -> Path:
    drawn = np.random.default_rng(seed).integers(0, 256, (frames, 9, 14, channels), dtype=np.uint8)
    folder.mkdir(parents=True)
    for number, frame in enumerate(drawn):
        Image.fromarray(frame[..., 0] if channels == 1 else frame).save(folder / f"{number}.png")
    return folder


def test_what_follows_the_last_frame_is_the_truth(tmp_path: Path) -> None:
    frames = video.one(clip(tmp_path / "a")).frames / np.float32(255)
    made = prediction.predict(tmp_path / "a", "persistence", frames=4, past=3, last=8)
    np.testing.assert_array_equal(made.past, frames[6:9])
    np.testing.assert_array_equal(made.truth, frames[9:])
    np.testing.assert_array_equal(made.predicted, np.repeat(frames[8:9], 4, axis=0))
    wanted = ((frames[8] - frames[9:]) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(made.mse()["prediction"], wanted, rtol=1e-6)
    assert made.mse()["prediction"] == made.mse()["last frame"]
    end = prediction.predict(tmp_path / "a", "persistence", frames=2)
    assert len(end.truth) == 0
    assert len(end.past) == 10


def test_a_learned_model_keeps_the_size_of_the_frames(tmp_path: Path) -> None:
    model = EncoderForecaster(hidden_channels=[2], patch=1, channels=3, scaling=ImageScaling())
    base.save(model, tmp_path / "w.safetensors")
    made = prediction.predict(clip(tmp_path / "a", channels=3), tmp_path / "w.safetensors", frames=2)
    assert made.predicted.shape == (2, 3, 9, 14)
    with pytest.raises(ModelError, match="1 channels, and EncoderForecaster was made for 3"):
        prediction.predict(clip(tmp_path / "b"), tmp_path / "w.safetensors")


def test_what_cannot_be_predicted_is_refused(tmp_path: Path) -> None:
    clip(tmp_path / "a")
    with pytest.raises(WrongUnits, match="hold image, but Lagrangian forecasts rainfall_rate"):
        prediction.predict(tmp_path / "a", "lagrangian")
    with pytest.raises(MissingFrames, match="frames 0 to 11, and no frame 12"):
        prediction.predict(tmp_path / "a", "persistence", last=12)
    with pytest.raises(MissingFrames, match="needs at least 2 frames and got 1"):
        prediction.predict(clip(tmp_path / "one", frames=1), "persistence")


@pytest.mark.parametrize("ending", ["gif", "mp4", "npz"])
def test_the_command_writes_what_its_ending_says(tmp_path: Path, ending: str, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / f"next.{ending}"
    given = [str(clip(tmp_path / "a")), "--model", "persistence", "--last", "9", "--frames", "3", "--out", str(out)]
    assert main.status(["predict", *given]) == 0
    assert "mean of 2: prediction 0." in capsys.readouterr().out
    if ending == "npz":
        with np.load(out) as file:
            assert {name: file[name].shape for name in ("past", "predicted", "truth")} == {
                "past": (10, 1, 9, 14), "predicted": (3, 1, 9, 14), "truth": (2, 1, 9, 14),
            }  # fmt: skip
    else:
        assert len(video.one(out).frames) == 13
    assert main.status(["predict", *given[:-1], str(tmp_path / "next.txt")]) != 0


def test_pictures_are_verified_like_a_plain_loop(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        clip(tmp_path / "in" / name, frames=11, channels=3, seed=number)
    archive.add_videos([tmp_path / "in"], tmp_path / "s.zarr")
    stored = archive.open(tmp_path / "s.zarr")
    result = evaluate_pictures(stored, {"persistence": Persistence()}, past=2, frames=3)
    squared, absolute = [], []
    for name in ("a", "b"):
        frames = video.one(tmp_path / "in" / name).frames / 255.0
        for first in (0, 5):
            off = frames[first + 1] - frames[first + 2 : first + 5]
            squared.append((off**2).mean(axis=(1, 2, 3)))
            absolute.append(np.abs(off).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(result.by_lead("mse", "persistence"), np.mean(squared, axis=0), rtol=1e-5)
    np.testing.assert_allclose(result.by_lead("mae_frame", "persistence"), np.mean(absolute, axis=0), rtol=1e-5)
    assert result.sequences == ("a", "b")
    assert result.windows.tolist() == [2, 2]
    with pytest.raises(MissingFrames, match="the longest has 11"):
        evaluate_pictures(stored, {"persistence": Persistence()}, past=9, frames=3)


def test_the_report_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    clip(tmp_path / "in/a")
    archive.add_videos([tmp_path / "in"], tmp_path / "s.zarr")
    given = ["--models", "persistence", "--past", "2", "--frames", "3", "--out", str(tmp_path / "r")]
    assert main.status(["verify", str(tmp_path / "s.zarr"), *given]) == 0
    assert "Structural similarity" in capsys.readouterr().out
    assert main.status(["verify", str(tmp_path / "s.zarr"), *given, "--thresholds", "1,2"]) == 2
    assert "leave it out" in capsys.readouterr().err
    page = (tmp_path / "r/report.html").read_text()
    assert "2 windows of 1 sequences" in page
    assert "too few for a bootstrap" in page
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "report.html", "report.md", "scores.csv", "scores.json", "curves.png",
        "case_best.png", "case_median.png", "case_worst.png",
    }  # fmt: skip
