"""Forecasts of an archive's past: which are made, what is kept, what is refused, and what a kill leaves behind."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files
from tests.cli.test_cli import RUN, refused

from echocast import archive, nowcast, parallel
from echocast.cli.main import status
from echocast.errors import DataError, MissingFrames, ModelError
from echocast.io import forecast_file
from echocast.models import base
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nowcast import reforecasting
from echocast.nowcast.reforecast_notes import Settings
from echocast.nowcast.reforecasting import path_of, run

FIVE = np.timedelta64(5, "m")
FLOW = Settings("optical_flow", minutes=15, frames=3, every=15)


def made_store(folder: Path, frames: int = 14, *, without: tuple[int, ...] = (), size: int = 24) -> Path:
    """An archive of one shower from 14:45 on, every 5 minutes."""
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    rain = example_files.blob(frames, size, size)
    for number in set(range(frames)) - set(without):
        example_files.netcdf(files, time=example_files.TIME + number * FIVE, rain=rain[number : number + 1])
    archive.write([files], folder / "store.zarr", workers=parallel.Workers(processes=1))
    return folder / "store.zarr"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """14 frames from 14:45 to 15:50."""
    return made_store(tmp_path)


def names(folder: Path) -> list[str]:
    return [path.stem[9:13] for path in sorted(folder.rglob("*.nc"))]


def test_forecasts_are_issued_on_the_clock_and_are_those_of_nowcast(store: Path, tmp_path: Path) -> None:
    done = run(str(store), tmp_path / "out", FLOW)
    assert (done.made, done.there, done.left_out) == (4, 0, 1)  # 14:45 has no past
    assert names(tmp_path / "out") == ["1500", "1515", "1530", "1545"]
    rain = archive.open(store)
    for newest in (3, 12):
        past = rain[newest - 2 : newest + 1].load().drop_vars("observed")
        path = path_of(tmp_path / "out", past.time.values[-1])
        assert path.relative_to(tmp_path / "out").parent.as_posix() == "2016/09/28"
        expected = nowcast.forecast_from(past, "optical_flow", minutes=15)
        xr.testing.assert_equal(forecast_file.from_netcdf(path), expected.load())
    assert forecast_file.from_netcdf(path).attrs["model"] == "optical_flow"


def test_times_of_issue_are_the_first_frames_at_or_after_the_clock(store: Path) -> None:
    rain = archive.open(store)
    shifted = rain.assign_coords(time=("time", rain.time.values + np.timedelta64(150, "s"), rain.time.attrs))
    found, left_out = reforecasting.issues_of(shifted, FLOW, (None, None))
    assert [str(one)[11:16] for one in shifted.time.values[found]] == ["15:02", "15:17", "15:32", "15:47"]
    assert left_out == 0  # 14:47:30 may not be the first after 14:45
    span = (np.datetime64("2016-09-28T15:15"), np.datetime64("2016-09-28T15:30"))
    found, _ = reforecasting.issues_of(rain, FLOW, span)
    assert [str(one)[11:16] for one in rain.time.values[found]] == ["15:15", "15:30"]


def test_missing_frames_leave_forecasts_out(tmp_path: Path) -> None:
    store = made_store(tmp_path, without=(5,))  # 15:10
    done = run(str(store), tmp_path / "out", FLOW)
    assert (done.made, done.left_out) == (3, 2)
    assert names(tmp_path / "out") == ["1500", "1530", "1545"]


def test_what_is_there_and_whole_is_kept(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out"
    run(str(store), out, FLOW)
    first, second, third, fourth = sorted(out.rglob("*.nc"))
    content, kept = third.read_bytes(), fourth.stat().st_mtime_ns
    second.unlink()
    third.write_bytes(content[: len(content) // 2])
    leftover = out / "2016" / "09" / ".x.00aa.partial.nc"
    leftover.write_bytes(b"half")
    done = run(str(store), out, FLOW)
    assert (done.made, done.there) == (2, 2)
    assert f"{third}: is made again" in caplog.text
    assert fourth.stat().st_mtime_ns == kept
    assert not leftover.exists()
    assert forecast_file.about(third).leads == 3
    made_store(tmp_path, 17)  # the archive grows
    done = run(str(store), out, FLOW)
    assert (done.made, done.there) == (1, 4)
    assert names(out)[-1] == "1600"
    assert first.exists()


def test_verify_gives_the_forecasts_the_scores_of_their_model(store: Path, tmp_path: Path) -> None:
    run(str(store), tmp_path / "out", FLOW)
    (tmp_path / "out" / "2016" / ".y.00aa.partial.nc").write_bytes(b"of a killed run")
    line = ["verify", str(store), "--models", "optical_flow", "--forecasts", f"again={tmp_path / 'out'}"]
    line += ["--past", "3", "--minutes", "15", "--thresholds", "0.5,2", "--workers", "1", "--out"]
    assert status([*line, str(tmp_path / "report")]) == 0
    with (tmp_path / "report" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_model = {
        model: [
            {key: value for key, value in row.items() if key != "forecaster"}
            for row in rows
            if row["forecaster"] == model
        ]
        for model in ("optical_flow", "again")
    }
    assert len(by_model["again"]) > 10
    assert by_model["again"] == by_model["optical_flow"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "persistence"}, "its forecasts have model = optical_flow, and persistence is asked for"),
        ({"minutes": 20}, "its forecasts have minutes = 15, and 20 is asked for"),
        ({"frames": 4}, "frames = 3, and 4"),
        ({"every": 30}, "every = 15, and 30"),
    ],
)
def test_a_changed_setting_is_refused(store: Path, tmp_path: Path, change: dict[str, object], words: str) -> None:
    run(str(store), tmp_path / "out", FLOW)
    changed = Settings(**{"model": "optical_flow", "minutes": 15, "frames": 3, "every": 15} | change)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=words):
        run(str(store), tmp_path / "out", changed)


def test_changed_weights_are_refused(store: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    made = EncoderForecaster(hidden_channels=[4], patch=4, grid_km=4.0, time_step_minutes=5.0)
    base.save(made, weights)
    settings = Settings(str(weights), minutes=10, frames=3, every=15)
    assert run(str(store), tmp_path / "out", settings).made == 4
    for weight in made.parameters():
        weight.data += 0.125
    base.save(made, weights)
    with pytest.raises(DataError, match=r"its forecasts have weights = [0-9a-f]{16}, and [0-9a-f]{16} is asked for"):
        run(str(store), tmp_path / "out", settings)


def test_another_archive_is_refused(store: Path, tmp_path: Path) -> None:
    run(str(store), tmp_path / "out", FLOW)
    other = made_store(tmp_path / "other", size=32)
    with pytest.raises(DataError, match="its forecasts have grid = "):
        run(str(other), tmp_path / "out", FLOW)


def test_forecasts_of_others_are_left_alone(store: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.nc").write_bytes(b"not ours")
    with pytest.raises(DataError, match=r"holds forecasts, and no reforecast\.json that says of what"):
        run(str(store), tmp_path / "out", FLOW)
    assert (tmp_path / "out" / "mine.nc").read_bytes() == b"not ours"
    (tmp_path / "out" / "reforecast.json").write_text("{")
    with pytest.raises(DataError, match=r"reforecast\.json: cannot be read"):
        run(str(store), tmp_path / "out", FLOW)


def test_what_cannot_be_forecast_is_told_before_any_work(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for settings, kind, words in (
        (
            Settings("optical_flow", frames=20, every=15),
            MissingFrames,
            "can be issued every 15 min from 20",
        ),
        (Settings("persistence", members=3, frames=3), ModelError, "Persistence has no members; of these there are"),
        (Settings("prednet_none"), ModelError, "there is no model 'prednet_none'"),
    ):
        with pytest.raises(kind, match=words):
            run(str(store), out, settings)
    with pytest.raises(DataError, match="a day must hold a whole number of these"):
        Settings("persistence", every=7)
    with reforecasting._alone(out.parent), pytest.raises(DataError, match="another `echocast reforecast` writes to it"):
        run(str(store), out.parent, FLOW)
    assert not out.exists()
    with pytest.raises(DataError, match="is no echocast archive"):
        run(str(tmp_path / "files"), out, FLOW)


def test_members_are_drawn_from_the_time_of_issue(store: Path, tmp_path: Path) -> None:
    settings = Settings("lagrangian", minutes=10, frames=4, every=15, members=2)
    run(str(store), tmp_path / "one", settings, span=(np.datetime64("2016-09-28T15:30"), None))
    run(str(store), tmp_path / "all", settings)
    alone, among = (
        forecast_file.from_netcdf(path_of(tmp_path / name, np.datetime64("2016-09-28T15:30")))
        for name in ("one", "all")
    )
    assert among.dims == ("member", "lead", "y", "x")
    xr.testing.assert_equal(alone, among)
    assert not np.array_equal(among[0], among[1])


def test_the_command_says_what_it_did(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["reforecast", str(store), "--out", str(tmp_path / "f"), "--model", "persistence", "--frames", "3"]
    assert status([*line, "--every", "15", "--minutes", "10", "--start", "2016-09-28T15:20", "--workers", "1"]) == 0
    assert "2 forecasts made, 0 were there already" in capsys.readouterr().out
    assert names(tmp_path / "f") == ["1530", "1545"]
    assert json.loads((tmp_path / "f" / "reforecast.json").read_text())["model"] == "persistence"
    assert "minutes = 10.0, and 20.0 is asked for" in refused(capsys, *line, "--every", "15", "--minutes", "20")
    assert "is an input" in refused(capsys, "reforecast", store, "--out", store / "f")


@pytest.mark.slow  # processes start, and are killed
def test_killed_in_the_middle_it_goes_on_to_the_same_files(tmp_path: Path) -> None:
    store = made_store(tmp_path, 64)
    settings = Settings("persistence", minutes=30.0, frames=4, every=5.0)
    words = ["reforecast", str(store), "--model", "persistence", "--frames", "4", "--every", "5", "--minutes", "30"]
    run(str(store), tmp_path / "whole", settings)
    wanted = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.nc"))
    assert len(wanted) == 61
    for share in (0.2, 0.6):
        line = [sys.executable, "-c", RUN, *words, "--out", str(tmp_path / "cut"), "--workers", "2"]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list((tmp_path / "cut").rglob("*Z.nc"))) < share * len(wanted):
            time.sleep(0.01)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.5)  # workers end when they see that their parent did
    found = len(list((tmp_path / "cut").rglob("*Z.nc")))
    assert 0 < found < len(wanted)
    done = run(str(store), tmp_path / "cut", settings)
    assert (done.made, done.there) == (len(wanted) - found, found)
    assert sorted(path.relative_to(tmp_path / "cut") for path in (tmp_path / "cut").rglob("*.nc")) == wanted
    for path in wanted:
        one, two = (forecast_file.from_netcdf(tmp_path / name / path) for name in ("whole", "cut"))
        xr.testing.assert_identical(one, two)


@pytest.mark.slow  # a cluster starts
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_makes_the_same_files(store: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed (extra dask)")
    run(str(store), tmp_path / "here", FLOW)
    where = {"processes": True, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(n_workers=2, **where) as cluster:
        done = run(str(store), tmp_path / "there", FLOW, workers=parallel.Workers(dask=cluster.scheduler_address))
    assert done.made == 4
    for path in sorted((tmp_path / "here").rglob("*.nc")):
        other = tmp_path / "there" / path.relative_to(tmp_path / "here")
        xr.testing.assert_equal(forecast_file.from_netcdf(path), forecast_file.from_netcdf(other))
