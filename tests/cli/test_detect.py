"""`echocast detect` from files to files, and its errors in one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echocast import archive, video
from echocast.cli.main import status


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips of 24 frames in which a square goes slowly right; in the first a frame has another square too."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        for number in range(24):
            frame = rng.integers(40, 44, (20, 30)).astype(np.uint8)
            frame[5:9, 2 + number // 3 : 6 + number // 3] = 90
            mask = np.zeros((20, 30), np.uint8)
            if (name, number) == ("a", 15):
                frame[12:18, 20:26], mask[12:18, 20:26] = 250, 255
            Image.fromarray(frame).save(folder / f"{number:02d}.png")
            place = tmp_path / "masks" / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place / f"{number:02d}.png")
    archive.add_videos([tmp_path / "clips"], str(tmp_path / "clips.zarr"), options=video.DEFAULT)
    labels = {"a": [int(number == 15) for number in range(24)], "b": [0] * 24}
    (tmp_path / "labels.json").write_text(json.dumps({"mine": labels}))
    return tmp_path


def run(*words: object) -> int:
    return status(["detect", *map(str, words)])


def test_from_an_archive_to_scores_plot_and_heat_maps(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, known = clips / "out", clips / "normal.zarr"
    archive.add_videos([clips / "clips" / "b"], str(known), options=video.DEFAULT)
    words = ("--model", "persistence", "--past", 1, "--block", 4, "--smooth", 1, "--video", "gif")
    truth = ("--labels", clips / "labels.json", "--masks", clips / "masks")
    assert run(clips / "clips.zarr", *words, "--normal", known, *truth, "--out", out) == 0
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["sequence"], row["frame"]) for row in rows if float(row["score"] or 0) > 10] == [
        ("a", "15"),
        ("a", "16"),
    ]
    assert rows[15]["abnormal"] == rows[15]["label"] == "1"
    assert rows[0]["score"] == ""
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frame"]["roc_area"] > 0.95
    assert summary["frames_without_score"] == 2
    assert {path.name for path in out.iterdir()} == {
        "scores.csv", "scores.png", "summary.json", "normal.npz", "a.gif", "b.gif"
    }  # fmt: skip
    with Image.open(out / "a.gif") as gif:
        gif.seek(15)
        red, _, blue = np.array(gif.convert("RGB"))[15 * 12, 23 * 12]
    assert int(red) > int(blue) + 60  # the square is orange
    assert "a: frame" in capsys.readouterr().out
    again = ("--normal", out / "normal.npz", "--video", "none", "--out", clips / "again")
    assert run(clips / "clips.zarr", *words[:4], *again) == 0
    assert json.loads((clips / "again" / "summary.json").read_text())["threshold"] == summary["threshold"]


def test_labels_never_change_what_is_detected(clips: Path) -> None:
    words = ("--model", "persistence", "--past", 1, "--video", "none")
    assert run(clips / "clips" / "a", *words, "--out", clips / "one") == 0
    (clips / "one.csv").write_text("frame,label\n" + "".join(f"{number},{int(number < 9)}\n" for number in range(24)))
    assert run(clips / "clips" / "a", *words, "--labels", clips / "one.csv", "--out", clips / "two") == 0
    one, two = ((clips / name / "scores.csv").read_text().splitlines() for name in ("one", "two"))
    assert [line.rpartition(",")[0] for line in two] == one
    assert one[1].startswith("a,0,2000-01-01T00:00:00.000,")


def test_an_odd_radar_frame_is_found_and_its_reason_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from echocast.anomaly import detection
    from echocast.anomaly.scores import Settings
    from echocast.synthetic import storms

    field = storms.generate(frames=30, size=48).load()
    values = field.values.copy()
    values[12, :, :20] = np.nan
    values[20].ravel()[:: 2304 // 25] = 90.0
    finder = detection.errors_of("persistence", past=1, both=True)
    (found,) = detection.detect(field.copy(data=values), finder, Settings(block=24, smooth=1)).sequences
    assert {12, 20} <= set(np.flatnonzero(found.abnormal).tolist())
    assert found.reason(12) == "observed"
    assert found.reason(20) in ("isolated", "error")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"a": [0, 1], "b": [0]}', "has 2 labels of 'a', which has 24 frames"),
        ('{"b": [0], "c": [1]}', "has no labels of the sequence 'a'"),
        ('{"a": [0, 2], "b": [0]}', "no list of 0 (normal) and 1 (abnormal)"),
        ("[0, 1]", "holds a list; labels are"),
        ("{", "cannot be read as labels"),
    ],
)
def test_labels_that_do_not_fit(clips: Path, capsys: pytest.CaptureFixture[str], labels: str, message: str) -> None:
    (clips / "bad.json").write_text(labels)
    words = ("--model", "persistence", "--labels", clips / "bad.json", "--out", clips / "out")
    assert run(clips / "clips.zarr", *words) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert message in said


def test_other_bad_input_is_one_line(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def says(message: str, *words: object) -> None:
        assert run(*words, "--out", clips / "out") == 1
        assert message in " ".join(capsys.readouterr().err.split())

    one = clips / "one"
    one.mkdir()
    (clips / "clips" / "a" / "00.png").rename(one / "00.png")
    says("has 1 frames in a row", one, "--model", "persistence")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(one / "01.png")
    says("01.png", one, "--model", "persistence")
    (clips / "empty").mkdir()
    says("holds no video, picture or array", clips / "empty", "--model", "persistence")
    says("hold image, but OpticalFlow", clips / "clips.zarr", "--model", "optical_flow")
    says("there is no model 'persistance'; did you mean 'persistence'?", clips / "clips.zarr", "--model", "persistance")
    says("ships without weights", clips / "clips.zarr", "--model", "spatiotemporal")
    (clips / "masks" / "b" / "03.png").unlink()
    says("b has masks of the shape", clips / "clips.zarr", "--model", "persistence", "--masks", clips / "masks")
