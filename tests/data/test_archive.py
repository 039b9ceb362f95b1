"""A store on a regular clock that loses nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import samples

from echocast import field as fields
from echocast.data import archive, files
from echocast.data import store as store_module
from echocast.errors import DataError, GridMismatch, MissingFrames, UnreadableFile

FIVE = np.timedelta64(5, "m")


def frames(folder: Path, numbers: list[int], *, factor: float = 1.0, name: str = "rain") -> list[Path]:
    """Files of the frames of one shower with these numbers."""
    folder.mkdir(exist_ok=True)
    rain = samples.blob(max(numbers) + 1) * np.float32(factor)
    return [samples.netcdf(folder, time=samples.TIME + n * FIVE, rain=rain[n : n + 1], name=name) for n in numbers]


def test_frames_lie_on_a_clock_and_gaps_are_missing(tmp_path: Path) -> None:
    report = archive.write(frames(tmp_path / "in", [0, 1, 2, 5]), tmp_path / "store.zarr")
    assert (report.added, report.frames, report.gaps, report.duplicates) == (4, 4, 2, 0)
    field = archive.open(tmp_path / "store.zarr")
    assert field.observed.values.tolist() == [True, True, True, False, False, True]
    np.testing.assert_array_equal(field.values[[0, 1, 2, 5]], samples.blob(6)[[0, 1, 2, 5]])
    assert np.isnan(field.values[3:5]).all()
    assert fields.check(field).attrs["source"] == "a sample"
    fields.check_same_grid(field, samples.field(samples.blob(1)))


def test_the_same_files_again_change_nothing(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    archive.write(paths, tmp_path / "store.zarr")
    before = archive.open(tmp_path / "store.zarr").load()
    report = archive.write(paths, tmp_path / "store.zarr")
    assert (report.added, report.duplicates, report.corrected) == (0, 3, 0)
    xr.testing.assert_identical(archive.open(tmp_path / "store.zarr").load(), before)


def test_late_early_and_corrected_frames_find_their_place(tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    archive.write(frames(tmp_path / "a", [3, 4, 6]), store)
    archive.write(frames(tmp_path / "b", [5]), store)
    archive.write(frames(tmp_path / "c", [0, 1]), store)
    report = archive.write(frames(tmp_path / "d", [4], factor=2.0), store)
    assert (report.added, report.corrected, report.gaps) == (0, 1, 1)
    field, expected = archive.open(store), samples.blob(7)
    expected[4] = samples.blob(5)[4] * 2
    assert field.observed.values.tolist() == [True, True, False, True, True, True, True]
    assert field.time.values[0] == samples.TIME
    np.testing.assert_array_equal(field.values[field.observed.values], expected[[0, 1, 3, 4, 5, 6]])


def test_many_frames_before_the_start_move_whole_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LONGEST_CHUNK", 3)
    store = tmp_path / "store.zarr"
    archive.write(frames(tmp_path / "a", list(range(7, 15))), store)
    archive.write(frames(tmp_path / "b", list(range(7))), store)
    np.testing.assert_array_equal(archive.open(store).values, samples.blob(15))


def test_memory_is_bounded_by_batches_and_each_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_BATCH_BYTES", 3 * samples.blob(1).nbytes)
    paths = frames(tmp_path / "in", list(range(10)))
    paths[9].write_bytes(b"broken")
    with pytest.raises(UnreadableFile, match=paths[9].name):
        archive.write(paths, tmp_path / "store.zarr")
    assert 4 <= archive.open(tmp_path / "store.zarr").sizes["time"] < 10
    frames(tmp_path / "in", [9])
    archive.write([tmp_path / "in"], tmp_path / "store.zarr")
    np.testing.assert_array_equal(archive.open(tmp_path / "store.zarr").values, samples.blob(10))


def test_a_frame_off_the_clock_is_named(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    odd = samples.netcdf(tmp_path / "in", time=samples.TIME + np.timedelta64(12, "m"), name="odd")
    with pytest.raises(MissingFrames, match=r"odd_.*off the store's clock of 5 min"):
        archive.write([*paths, odd], tmp_path / "store.zarr")


def test_another_grid_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1])
    archive.write(paths, tmp_path / "store.zarr")
    other = samples.netcdf(tmp_path, time=samples.TIME + 2 * FIVE, rain=samples.blob(1, 10, 10), name="other")
    with pytest.raises(GridMismatch, match="other_"):
        archive.write([other], tmp_path / "store.zarr")
    assert archive.open(tmp_path / "store.zarr").sizes["time"] == 2


def test_one_frame_needs_a_step(tmp_path: Path) -> None:
    path = frames(tmp_path / "in", [0])
    with pytest.raises(MissingFrames, match="--step"):
        archive.write(path, tmp_path / "store.zarr")
    archive.write(path, tmp_path / "store.zarr", step=FIVE.astype("timedelta64[ns]"))
    assert archive.open(tmp_path / "store.zarr").sizes["time"] == 1


@pytest.mark.parametrize("kind", ["missing", "folder", "file"])
def test_what_is_no_store_is_refused_with_the_remedy(kind: str, tmp_path: Path) -> None:
    store = tmp_path / "thing"
    if kind == "folder":
        store.mkdir()
        (store / "notes.txt").write_text("hello")
    if kind == "file":
        store.write_text("hello")
    with pytest.raises(DataError, match="echocast archive"):
        archive.open(store)
    if kind != "missing":
        with pytest.raises(DataError, match=r"is (no|a file)"):
            archive.write(frames(tmp_path / "in", [0, 1]), store)


def test_a_store_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="store"):
        archive.write(frames(tmp_path / "in", [0, 1]), tmp_path / "blocked" / "store.zarr")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_at_any_moment_it_stays_usable_and_goes_on(how: signal.Signals, tmp_path: Path) -> None:
    """A real process, stopped at random moments; the same command run again finishes the work."""
    source = tmp_path / "in"
    frames(source, list(range(40)))
    store = tmp_path / "store.zarr"
    script = (
        "import sys; from echocast.data import archive; archive._BATCH_BYTES = 6000\n"
        "from echocast.cli.main import status; print('go', flush=True); sys.exit(status(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", script, "archive", str(source), "--to", str(store)]
    clock = random.Random(int(how))
    stopped = 0
    for _ in range(6):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(clock.uniform(0.2, 1.5))
        process.send_signal(how)
        process.stdout.close()
        stopped += process.wait(timeout=60) != 0
        if store.exists() and archive._holds_frames(store):
            field = archive.open(store)
            there = field.observed.values
            np.testing.assert_array_equal(field.values[there], samples.blob(40)[: len(there)][there])
    assert stopped
    archive.write([source], store)
    np.testing.assert_array_equal(archive.open(store).values, samples.blob(40))


@pytest.mark.data
def test_real_frames_come_back_as_they_were(data_kit: Path, tmp_path: Path) -> None:
    folder = data_kit / "taasrad19/validation"
    report = archive.write([folder], tmp_path / "store.zarr")
    assert report.frames == 4708
    field = archive.open(tmp_path / "store.zarr")
    for path in files.find([folder]):
        run = files.read(path)
        np.testing.assert_array_equal(field.sel(time=run.time).values, run.values)
