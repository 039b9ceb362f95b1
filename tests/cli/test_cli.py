"""The command line: complete help, one line of error, exit statuses."""

import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import xarray as xr
from tests import example_files

import echocast.training
from echocast import archive, plugins
from echocast.cli.main import heard_again, status
from echocast.models import base
from echocast.models.encoder_forecaster import EncoderForecaster

FIVE = np.timedelta64(5, "m")
ALL_VERBS = [
    "nowcast",
    "archive",
    "show",
    "download",
    "train",
    "reforecast",
    "verify",
    "demo",
    "models",
    "formats",
    "scores",
    "convert",
]
RUN_ALL = "import json, sys; from echocast.cli.main import status; print(*map(status, json.loads(sys.argv[1])))"
RUN = "import sys; from echocast.cli.main import status; sys.exit(status(sys.argv[1:]))"


def frames(folder: Path, count: int = 10, *, step: int = 1, height: int = 20, width: int = 24) -> Path:
    """A folder of files of one shower, every `step` times 5 minutes."""
    folder.mkdir()
    rain = example_files.blob(count, height, width)
    for number in range(count):
        example_files.netcdf(folder, time=example_files.TIME + number * step * FIVE, rain=rain[number : number + 1])
    return folder


def refused(capsys: pytest.CaptureFixture[str], *line: object) -> str:
    """The one line that a command ends with when the world is at fault."""
    assert status([str(word) for word in line]) == 1
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert message.startswith("echocast: ")
    return message


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_verb_explains_itself_and_every_option(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status([verb, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Usage: echocast" in text
    assert len(text) > 150
    module = plugins.load("echocast.cli", verb)
    promised = module.app.info.help if hasattr(module, "app") else module.command.__doc__
    for word in (promised or "").split()[:6]:
        assert word.strip(".,;") in text


@pytest.mark.parametrize("verb", ["add", "info", "check", "clutter"])
def test_every_sub_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["archive", verb, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Usage: echocast archive {verb}" in text
    assert f"Example: echocast archive {verb} radar.zarr" in text


def test_the_verbs_are_those_of_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["--help"]) == 0
    text = capsys.readouterr().out
    listed = re.findall(r"^\W*(\w+)  ", text, flags=re.MULTILINE)
    assert [verb for verb in listed if verb in ALL_VERBS] == ALL_VERBS  # in this order
    assert status(["--version"]) == 0
    assert "echocast 0." in capsys.readouterr().out


def test_a_wrong_command_line_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["nowcats"]) == 2
    assert "nowcats" in capsys.readouterr().err
    assert status(["nowcast", "in", "--out", "f.nc", "--minutes", "soon"]) == 2


@pytest.mark.parametrize(
    ("verb", "known"),
    [
        (
            "models",
            [
                "encoder_forecaster",
                "shipped",
                "persistence",
                "none needed",
                "unet segmenter",
                "spatiotemporal autoencoder",
            ],
        ),
        ("formats", ["fmi_pgm", "knmi", "mch_gif", "netcdf", ".pgm.gz"]),
        ("scores", ["contingency", "csi", "Critical success index", "continuous", "mm/h"]),
    ],
)
def test_lists(verb: str, known: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status([verb]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(word in text for word in known)


@pytest.mark.slow  # the demonstration, which CI runs, goes the same way
def test_from_files_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = frames(tmp_path / "in", 40, height=40, width=40)
    assert status(["archive", "add", str(tmp_path / "store.zarr"), str(source)]) == 0
    assert "40 frames added" in capsys.readouterr().out
    out = [str(tmp_path / name) for name in ("f.nc", "f.gif", "f.png")]
    assert status(["nowcast", str(source), "--minutes", "32", "--out", out[0], "--gif", out[1], "--png", out[2]]) == 0
    said = capsys.readouterr().out
    assert "used 10 frames from 2016-09-28 17:15 to 2016-09-28 18:00 UTC, every 5 min" in said
    assert all(Path(path).stat().st_size > 1000 for path in out)
    with xr.open_dataset(out[0], decode_timedelta=False) as data:
        assert data["forecast_period"].values.tolist() == [5, 10, 15, 20, 25, 30, 35]
        assert len(data.attrs["input_files"].split()) == 10
    line = ["verify", str(tmp_path / "store.zarr"), "--minutes", "30", "--out", str(tmp_path / "report")]
    assert status([*line, "--models", "persistence,optical_flow,lagrangian"]) == 0
    assert "CSI at 0.5 mm/h" in capsys.readouterr().out
    assert (tmp_path / "report/report.md").exists()


@pytest.mark.parametrize(("height", "width"), [(5, 7), (41, 29), (2, 2)])
def test_any_grid_is_forecast(height: int, width: int, tmp_path: Path) -> None:
    source = frames(tmp_path / "in", 4, height=height, width=width)
    assert status(["nowcast", str(source), "--minutes", "10", "--out", str(tmp_path / "f.nc")]) == 0


@pytest.mark.parametrize("model", ["lagrangian", pytest.param("optical_flow", marks=pytest.mark.slow)])
def test_dry_frames_give_a_dry_forecast(model: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(10):
        rain = np.zeros((1, 16, 16), np.float32)
        example_files.netcdf(tmp_path / "in", time=example_files.TIME + number * FIVE, rain=rain)
    line = ["nowcast", str(tmp_path / "in"), "--model", model, "--out", str(tmp_path / "f.nc")]
    assert status([*line, "--gif", str(tmp_path / "f.gif"), "--png", str(tmp_path / "f.png")]) == 0
    with xr.open_dataset(tmp_path / "f.nc") as data:
        assert data["rainfall_rate"].values.max() == 0.0


def test_frames_without_any_observed_cell_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        rain = np.full((1, 16, 16), np.nan, np.float32)
        example_files.netcdf(tmp_path / "in", time=example_files.TIME + number * FIVE, rain=rain)
    message = "no cell is observed in any of the 3"
    assert message in refused(capsys, "nowcast", tmp_path / "in", "--out", tmp_path / "f.nc")
    assert message in refused(capsys, "archive", "add", tmp_path / "s.zarr", tmp_path / "in")


def test_a_gap_among_the_newest_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = frames(tmp_path / "in"), tmp_path / "f.nc"
    sorted(source.iterdir())[6].unlink()
    message = refused(capsys, "nowcast", source, "--out", out, "--strict")
    assert "no frame between 2016-09-28 15:10 and 2016-09-28 15:20" in message
    assert "--frames 3" in message
    assert not out.exists()
    assert status(["nowcast", str(source), "--frames", "3", "--strict", "--out", str(out)]) == 0
    assert (
        status(["nowcast", str(source), "--model", "persistence", "--minutes", "5", "--json", "--out", str(out)]) == 0
    )
    said = capsys.readouterr()
    assert "no frame at 2016-09-28 15:15 UTC; the forecast is made without" in said.err
    told = json.loads(said.out[said.out.index("{") :])
    assert told["missing_frames"] == ["2016-09-28T15:15:00Z"]
    assert len(told["frames"]) == len(told["input_files"]) == 9
    assert "--max-age is 60 min" in refused(capsys, "nowcast", source, "--max-age", "60", "--out", out)


def test_a_time_step_that_the_weights_do_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = frames(tmp_path / "in", step=4)
    message = refused(capsys, "nowcast", source, "--out", tmp_path / "f.nc")
    assert "every 20 min" in message
    assert "--model optical_flow" in message
    assert status(["nowcast", str(source), "--model", "optical_flow", "--out", str(tmp_path / "f.nc")]) == 0


def test_broken_files_are_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = frames(tmp_path / "in")
    for name, content in (("empty.nc", b""), ("text.h5", b"hello\n" * 99), ("odd.pgm.gz", b"\x1f\x8b\x08broken")):
        bad = source / name
        bad.write_bytes(content)
        for line in (["nowcast", source, "--out", tmp_path / "f.nc"], ["archive", "add", tmp_path / "s.zarr", source]):
            assert name in refused(capsys, *line, "--strict")
        bad.unlink()
    assert not (tmp_path / "f.nc").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["nowcast", "{in}", "--out", "f.nc", "--model", "optical_flaw"], ["optical_flaw", "optical_flow"]),
        (["nowcast", "{in}", "--out", "f.nc", "--model", "no/such.safetensors"], ["no/such.safetensors", "no such"]),
        (["nowcast", "{in}", "--out", "no/such/f.nc"], ["no/such", "folder"]),
        (["nowcast", "nowhere/", "--out", "f.nc"], ["nowhere", "no such"]),
        (["nowcast", "{in}", "--out", "f.nc", "--format", "netcd"], ["netcd", "netcdf"]),
        (["archive", "add", "{in}", "{in}/*"], ["is no echocast archive"]),
        (["verify", "{in}", "--out", "r"], ["is no echocast archive"]),
        (["verify", "{store}", "--split", "tests", "--out", "r"], ["tests", "train, validation, test"]),
        (["verify", "{store}", "--split", "test", "--out", "r"], ["segments", "--split all"]),
        (["verify", "{store}", "--minutes", "900", "--out", "r"], ["no segment (unbroken"]),
        (["train", "no.toml"], ["no.toml", "cannot be read"]),
        (["train", "{toml}"], ["[training] has no key 'max_stepz'; did you mean 'max_steps'"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    line: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = frames(tmp_path / "in")
    archive.write([source], tmp_path / "store.zarr")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text("[model]\nname='encoder_forecaster'\n[data]\ntrain='a'\n[training]\nmax_stepz=3\n")
    places = {"in": source, "store": tmp_path / "store.zarr", "toml": tmp_path / "e.toml"}
    message = refused(capsys, *[word.format(**places) for word in line])
    assert all(word in message for word in words)


def test_a_missing_package_is_answered_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.toml").touch()
    monkeypatch.delitem(sys.modules, "echocast.training.fit", raising=False)
    monkeypatch.delattr(echocast.training, "fit", raising=False)
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    assert "pip install 'echocast[train]'" in refused(capsys, "train", tmp_path / "e.toml")


def test_a_checkpoint_of_another_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.safetensors"
    base.save(EncoderForecaster(hidden_channels=[4]), path)
    state = safetensors.torch.load_file(path)
    safetensors.torch.save_file(state | {"more": torch.zeros(1)}, path, {"format": "echocast checkpoint 0"})
    message = refused(capsys, "nowcast", frames(tmp_path / "in"), "--model", path, "--out", tmp_path / "f.nc")
    assert "weights.safetensors" in message
    assert "checkpoint 0" in message


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """A real process that may write no file beyond 2 kB, as on a disk that is full."""
    source = frames(tmp_path / "in")
    archive.write([source], tmp_path / "store.zarr")
    before = archive.open(tmp_path / "store.zarr").load()
    (tmp_path / "f.nc").write_text("the old forecast")
    rain = np.random.default_rng(0).uniform(0.1, 9, (1, 20, 24)).astype(np.float32)
    later = [example_files.netcdf(source, time=example_files.TIME + n * FIVE, rain=rain + n) for n in range(10, 40)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    lines = (
        ["nowcast", str(source), "--model", "persistence", "--out", str(tmp_path / "f.nc")],
        ["archive", "add", str(tmp_path / "store.zarr"), *map(str, later)],
        ["archive", "add", str(tmp_path / "new.zarr"), *map(str, later)],
    )
    command = [sys.executable, "-B", "-c", RUN_ALL, json.dumps(lines)]  # -B: compiled modules of 2 kB would be kept
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "1 1 1", done.stderr
    assert done.stderr.count("is the disk full") == 3
    assert "Traceback" not in done.stderr
    assert (tmp_path / "f.nc").read_text() == "the old forecast"
    xr.testing.assert_identical(archive.open(tmp_path / "store.zarr").load(), before)
    archive.write(later, tmp_path / "store.zarr")
    assert archive.open(tmp_path / "store.zarr").sizes["time"] == 40


@pytest.mark.slow  # CI runs the demonstration itself
def test_demo_makes_all_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["demo", "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert "lagrangian" in said
    assert "not real" in said
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"forecast.nc", "forecast.gif", "forecast.png", "report.md", "scores.csv"} <= names


@pytest.mark.data
@pytest.mark.parametrize(
    "event", ["mch/20150515", *(pytest.param(one, marks=pytest.mark.slow) for one in ("fmi/20160928", "knmi/20100826"))]
)
def test_real_radar_is_nowcast(event: str, data_kit: Path, tmp_path: Path) -> None:
    assert status(["nowcast", str(data_kit / event), "--minutes", "90", "--out", str(tmp_path / "f.nc")]) == 0
    with xr.open_dataset(tmp_path / "f.nc") as data:
        rain = data["rainfall_rate"].values
    assert rain.shape[0] == 18
    assert (rain[0] > 0.5).sum() > 1000
    assert np.nanmax(rain) < 300


@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_ctrl_c_while_an_object_goes_is_not_lost(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Thing:
        pass

    class Timer(threading.Timer):
        """On a busy machine the signal comes before `start` is done."""

        def start(self) -> None:
            nonlocal late
            late -= 1
            if late >= 0:
                signal.raise_signal(signal.SIGINT)
            super().start()

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(sys, "unraisablehook", heard_again)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background lacks
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    assert kept() is thing
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes in any of these lines
            del thing
            for _ in range(500):
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
