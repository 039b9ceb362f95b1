"""Real training of a tiny segmentation network on tiny archives, and what is refused before it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from echocast import archive, video
from echocast.cli.main import status
from echocast.errors import DataError, EchocastError, ExperimentError
from echocast.models import base as forecasters
from echocast.models.keras_next_frame import KerasNextFrame
from echocast.samples.tensors import IGNORED
from echocast.segmentation import KerasSegmenter, base
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.tasks import segmentation

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)
LENGTHS = {"one": 5, "two": 4, "three": 4, "four": 3}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four sequences of a bright square on a dark ground, and its masks; of "one" only the last frame has one."""
    for number, (name, length) in enumerate(LENGTHS.items()):
        for kind in ("frames", "masks"):
            (tmp_path / kind / name).mkdir(parents=True)
        for t in range(length):
            square = np.zeros((8, 12), np.uint8)
            square[2:6, t + 1 : t + 5] = 255
            Image.fromarray(square // 2 + 60 + 5 * number).save(tmp_path / f"frames/{name}/{t}.png")
            if name != "one" or t == length - 1:
                Image.fromarray(square).save(tmp_path / f"masks/{name}/{t}.png")
    return tmp_path


def archives(folder: Path, **options: Any) -> None:
    archive.add_videos([folder / "frames"], str(folder / "images.zarr"))
    labels = video.Options(quantity="label", classes=(0, 255), beside=folder / "frames")
    archive.add_videos([folder / "masks"], str(folder / "labels.zarr"), options=labels)


def plan(folder: Path, *settings: str) -> experiments.Experiment:
    tables: dict[str, Any] = {
        "task": "segmentation",
        "model": {"name": "unet", "width": 3, "classes": 2, "upscale": 1},
        "data": {
            "train": str(folder / "images.zarr"),
            "labels": str(folder / "labels.zarr"),
            "validation_sequences": ["three"],
            "held_out": ["four"],
            "frames": 3,
            "stride": 2,
        },
        "training": {"max_steps": 2, "validation_interval": 1, "batch_size": 2, "accelerator": "cpu"},
    }
    for setting in settings:
        experiments._put(tables, setting)
    return experiments.parse(tables)


def test_windows_have_the_labels_of_their_frames(pictures: Path) -> None:
    archives(pictures)
    training, validation = segmentation.open_sources(plan(pictures).data)
    # "one" gives its last window (frames 2 to 4), the only one with a label; "two" two windows, "three" two.
    assert (len(training), len(validation)) == (3, 2)
    batch = training.batch(range(3))
    assert batch.windows.shape == batch.labels.shape == (3, 3, 1, 8, 12)
    for window, labels in zip(batch.windows, batch.labels, strict=True):
        bright = (window > 0.4).long()
        for frame, label in zip(bright, labels, strict=True):
            assert torch.equal(frame, label) or (label == IGNORED).all()
    assert sum(bool((label == IGNORED).all()) for labels in batch.labels for label in labels) == 2


def test_trained_it_segments_a_folder_and_scores_it(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archives(pictures)
    run = tmp_path / "run"
    assert fit.fit(plan(pictures), run)
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["validation/iou"]) <= 1 for row in rows)
    again = tmp_path / "again"
    assert fit.fit(plan(pictures), again)
    weights = [base.load(one / "weights.safetensors").state_dict() for one in (run, again)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    out = tmp_path / "out"
    line = ["segment", str(pictures / "frames"), "--model", str(run / "weights.safetensors"), "--out", str(out)]
    assert status([*line, "--labels", str(pictures / "masks"), "--classes", "0,255"]) == 0
    assert "boundary" in capsys.readouterr().out.lower()
    assert len(list((out / "masks").rglob("*.png"))) == sum(LENGTHS.values())
    assert len(list((out / "overlay").iterdir())) == 4
    assert (out / "report.html").is_file()
    mask = Image.open(out / "masks/one/00004.png")
    network = base.load(run / "weights.safetensors")
    levels = video.one(pictures / "frames/one").field().values[None, :, None]
    expected = network.segment(torch.from_numpy(levels)).classes[0, 4, 0].numpy()
    assert (np.asarray(mask) == expected).all()
    scored = {(row["sequence"], row["score"], row["class"]): float(row["value"])
              for row in csv.DictReader((out / "scores.csv").open())}  # fmt: skip
    truth = np.asarray(Image.open(pictures / "masks/one/4.png")) > 0
    both, either = (truth & (expected == 1)).sum(), (truth | (expected == 1)).sum()
    assert scored["one", "iou", "1"] == pytest.approx(both / either, abs=1e-5)
    assert {key[0] for key in scored} == {*LENGTHS, "all"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model.classes=3"], "no training label has the class 2 of model.classes = 3"),
        (["model.upscale=4"], r"the labels have 12 x 8 cells, .* 48 x 32 \(model.upscale = 4\): set model.upscale = 1"),
        (["model.channels=3"], "set model.channels = 1"),
        (["model.scaling={kind='rain'}"], "set model.scaling.kind"),
        (["model.classes=1"], "at least 2"),
        (["data.held_out=['five']"], "has no sequence 'five'; it has four, one, three, two"),
        (["data.held_out=['one','two','four']"], "all of its 4 sequences are held out"),
        (["data.frames=9"], r"no window of data.frames = 9 frames has a label; the longest sequence has 5"),
        (["training.keep_best='csi'"], "is for rain"),
        (["loss.name='mse'"], "for segmentation there is"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(pictures: Path, settings: list[str], said: str) -> None:
    archives(pictures)
    whole = plan(pictures, *settings)

    def opened() -> None:
        segmentation.module(whole, segmentation.open_sources(whole.data))

    with pytest.raises(EchocastError, match=said):
        opened()


def test_a_backbone_that_learned_without_labels_is_taken_over(tmp_path: Path) -> None:
    forecaster = KerasNextFrame(hidden_channels=[3, 4])
    forecasters.save(forecaster, tmp_path / "next.safetensors")
    whole = plan(tmp_path, f"training.init_from={tmp_path / 'next.safetensors'}")
    made = KerasSegmenter(hidden_channels=[3, 4])
    fit._prepare(made, whole)
    for name, weight in forecaster.backbone.state_dict().items():
        assert torch.equal(made.backbone.state_dict()[name], weight)
    with pytest.raises(ExperimentError, match=r"only a part of backbone \(not backbone.recurrent.1"):
        fit._prepare(KerasSegmenter(hidden_channels=[3, 5]), whole)
    with pytest.raises(ExperimentError, match="has no part"):
        fit._prepare(base.construct("unet", {"width": 3}), whole)


def test_archives_taken_for_each_other_are_refused(pictures: Path) -> None:
    archives(pictures)
    with pytest.raises(DataError, match="holds 'label'; make the archive with `echocast archive add-video`"):
        segmentation.open_sources(plan(pictures, f"data.train={str(pictures / 'labels.zarr')!r}").data)
    with pytest.raises(DataError, match=r"holds .image.; make the archive with .* --quantity label"):
        segmentation.open_sources(plan(pictures, f"data.labels={str(pictures / 'images.zarr')!r}").data)


def test_a_class_out_of_range_is_refused(pictures: Path) -> None:
    archives(pictures)
    store = pictures / "more.zarr"
    labels = video.Options(quantity="label", classes=(0, 9, 255), beside=pictures / "frames")
    archive.add_videos([pictures / "masks"], str(store), options=labels)
    whole = plan(pictures, f"data.labels={str(store)!r}")
    with pytest.raises(ExperimentError, match=r"a training label has the class 2, .* set model.classes = 3"):
        segmentation.module(whole, segmentation.open_sources(whole.data))


def test_the_command_refuses_what_it_cannot_do(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "w.safetensors"
    base.save(base.construct("unet", {"width": 2, "classes": 2, "upscale": 1, "channels": 3}), weights)
    line = ["--model", str(weights), "--out", str(tmp_path / "out")]
    assert status(["segment", str(tmp_path / "none"), *line]) == 1
    assert status(["segment", str(pictures / "frames"), *line]) == 1  # grey frames, a network of colours
    assert status(["segment", str(pictures / "frames"), *line, "--classes", "0,1"]) == 2
