"""A store on a regular clock that loses nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import archive, fields, parallel
from echocast.archive import transforms
from echocast.errors import DataError, GridMismatch, MissingFrames, UnreadableFile
from echocast.io import reading
from echocast.io import store as store_module

FIVE = np.timedelta64(5, "m")


def frames(folder: Path, numbers: list[int], *, factor: float = 1.0, name: str = "rain") -> list[Path]:
    """Files of the frames of one shower with these numbers."""
    folder.mkdir(exist_ok=True)
    rain = example_files.blob(max(numbers) + 1) * np.float32(factor)
    return [
        example_files.netcdf(folder, time=example_files.TIME + n * FIVE, rain=rain[n : n + 1], name=name)
        for n in numbers
    ]


def test_frames_lie_on_a_clock_and_gaps_are_missing(tmp_path: Path) -> None:
    report = archive.write(frames(tmp_path / "in", [0, 1, 2, 5]), tmp_path / "store.zarr")
    assert (report.added, report.frames, report.gaps, report.duplicates) == (4, 4, 2, 0)
    field = archive.open(tmp_path / "store.zarr")
    assert field.observed.values.tolist() == [True, True, True, False, False, True]
    np.testing.assert_array_equal(field.values[[0, 1, 2, 5]], example_files.blob(6)[[0, 1, 2, 5]])
    assert np.isnan(field.values[3:5]).all()
    assert fields.check(field).attrs["source"] == "a sample"
    fields.check_same_grid(field, example_files.field(example_files.blob(1)))


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
    field, expected = archive.open(store), example_files.blob(7)
    expected[4] = example_files.blob(5)[4] * 2
    assert field.observed.values.tolist() == [True, True, False, True, True, True, True]
    assert field.time.values[0] == example_files.TIME
    np.testing.assert_array_equal(field.values[field.observed.values], expected[[0, 1, 3, 4, 5, 6]])


def test_many_frames_before_the_start_move_whole_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LONGEST_CHUNK", 3)
    store = tmp_path / "store.zarr"
    archive.write(frames(tmp_path / "a", list(range(7, 15))), store)
    archive.write(frames(tmp_path / "b", list(range(7))), store)
    np.testing.assert_array_equal(archive.open(store).values, example_files.blob(15))


def test_memory_is_bounded_by_batches_and_each_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_BATCH_BYTES", 3 * example_files.blob(1).nbytes)
    paths = frames(tmp_path / "in", list(range(10)))
    paths[9].write_bytes(b"broken")
    with pytest.raises(UnreadableFile, match=paths[9].name):
        archive.write(paths, tmp_path / "store.zarr")
    assert 4 <= archive.open(tmp_path / "store.zarr").sizes["time"] < 10
    frames(tmp_path / "in", [9])
    archive.write([tmp_path / "in"], tmp_path / "store.zarr")
    np.testing.assert_array_equal(archive.open(tmp_path / "store.zarr").values, example_files.blob(10))


def test_a_frame_off_the_clock_is_named(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    odd = example_files.netcdf(tmp_path / "in", time=example_files.TIME + np.timedelta64(12, "m"), name="odd")
    with pytest.raises(MissingFrames, match=r"odd_.*off the store's clock of 5 min"):
        archive.write([*paths, odd], tmp_path / "store.zarr")


def test_another_grid_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1])
    archive.write(paths, tmp_path / "store.zarr")
    other = example_files.netcdf(
        tmp_path, time=example_files.TIME + 2 * FIVE, rain=example_files.blob(1, 10, 10), name="other"
    )
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


KILLED = """
import os, random, signal, sys, time
import echocast.archive.transforms, echocast.io.readers.netcdf, h5netcdf
from echocast import archive
archive._BATCH_BYTES = 6000
source, store, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
moments, killed, longest = random.Random(5), 0, 0.9
for number in range(rounds):
    child = os.fork()
    if child == 0:
        archive.write([source], store, workers=archive.parallel.Workers(processes=1))
        os._exit(0)
    begun = time.monotonic()
    time.sleep(moments.uniform(0.02, longest))
    os.kill(child, signal.SIGKILL)
    _, how = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(how)
    checker = os.fork()
    if checker == 0:
        import numpy as np
        wanted = np.load(sys.argv[4])
        if archive.stores.there(store):
            field = archive.open(store)
            there = field.observed.values
            same = np.array_equal(field.values[there], wanted[: len(there)][there])
            os._exit(0 if same and np.isnan(field.values[~there]).all() else 3)
        os._exit(0)
    _, how = os.waitpid(checker, 0)
    if not os.WIFEXITED(how) or os.WEXITSTATUS(how):
        sys.exit(f"round {number}: the store is damaged")
    if number % 10 == 9 and os.path.exists(store):  # begin again, so that young stores are killed too
        os.rename(store, f"{store}.{number}")
print(killed)
"""


@pytest.mark.parametrize("rounds", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments_no_committed_frame_is_lost(rounds: int, tmp_path: Path) -> None:
    """A real process, killed; after each kill every frame that is there is the source's, and the last run finishes."""
    source, store = tmp_path / "in", tmp_path / "store.zarr"
    frames(source, list(range(120)))
    np.save(tmp_path / "wanted.npy", example_files.blob(120))
    command = [sys.executable, "-W", "ignore", "-c", KILLED, source, store, rounds, tmp_path / "wanted.npy"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-800:]
    assert int(done.stdout) >= 0.7 * rounds, "most were killed while they worked"
    for old in [*tmp_path.glob("store.zarr.*"), store]:
        archive.write([source], old)
        np.testing.assert_array_equal(archive.open(old).values, example_files.blob(120))


def _hears_ctrl_c() -> None:
    """A shell's background job ignores the signal, and hands that on to its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_says_so_and_goes_on(workers: str, tmp_path: Path) -> None:
    source, store = tmp_path / "in", tmp_path / "store.zarr"
    frames(source, list(range(120)))
    script = (
        "from echocast.data import archive; archive._BATCH_BYTES = 6000\n"
        "from echocast.cli.main import run\n"
        "if __name__ == '__main__': print('go', flush=True); run()"
    )
    (tmp_path / "run.py").write_text(script)
    line = [sys.executable, str(tmp_path / "run.py"), "archive", str(source), "--to", str(store), "--workers", workers]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hears_ctrl_c
    )
    assert process.stdout is not None
    process.stdout.readline()
    while not (store.exists() and store_module.there(store)):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted: what was finished is kept" in said
    field = archive.open(store)
    there = field.observed.values
    np.testing.assert_array_equal(field.values[there], example_files.blob(120)[: len(there)][there])
    archive.write([source], store)
    np.testing.assert_array_equal(archive.open(store).values, example_files.blob(120))


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    source = tmp_path / "in"
    frames(source, list(range(60)))
    script = "import sys; from echocast.cli.main import status\nif __name__ == '__main__': status(sys.argv[1:])"
    (tmp_path / "run.py").write_text(script)
    line = [sys.executable, str(tmp_path / "run.py"), "archive", str(source), "--to", str(tmp_path / "s.zarr")]
    process = subprocess.Popen([*line, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(_children(process.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    workers = _children(process.pid)
    assert workers
    process.kill()
    process.wait()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.parametrize("workers", [1, 2])
def test_however_many_read_the_store_is_the_same(workers: int, tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", list(range(12)))
    report = archive.write(paths, tmp_path / "s.zarr", workers=parallel.Workers(processes=workers))
    assert (report.added, report.gaps) == (12, 0)
    np.testing.assert_array_equal(archive.open(tmp_path / "s.zarr").values, example_files.blob(12))
    paths[5].write_bytes(b"CDF\x01broken")
    with pytest.raises(UnreadableFile, match=paths[5].name):
        archive.write(paths, tmp_path / "t.zarr", workers=parallel.Workers(processes=workers))


def test_a_reader_that_dies_is_told_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = frames(tmp_path / "in", list(range(6)))
    monkeypatch.setattr(parallel.prepare, "prepared", _die)
    with pytest.raises(UnreadableFile, match=rf"{paths[0].name}: a process died while reading it or one of the next"):
        archive.write(paths, tmp_path / "t.zarr", workers=parallel.Workers(processes=2))


def _die(*_: object, **__: object) -> None:
    os._exit(9)


@pytest.mark.filterwarnings("ignore")  # distributed's threads die of a warning that is an error, and the test with them
def test_a_dask_cluster_of_two_processes_reads(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed (extra dask)")
    paths = frames(tmp_path / "in", list(range(12)))
    options = {
        "n_workers": 2,
        "processes": True,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "host": "127.0.0.1",
    }
    with distributed.LocalCluster(**options) as cluster:
        hands = parallel.Workers(dask=cluster.scheduler_address)
        archive.write(paths, tmp_path / "s.zarr", workers=hands, transforms=transforms.parse(["coarsen factor=2"]))
        broken = tmp_path / "broken.nc"
        broken.write_bytes(b"CDF\x01broken")
        with pytest.raises(UnreadableFile, match=r"broken\.nc"):
            archive.write([broken], tmp_path / "t.zarr", workers=hands)
    assert archive.open(tmp_path / "s.zarr").shape == (12, 10, 12)
    with pytest.raises(DataError, match="no scheduler answers"):
        archive.write(paths, tmp_path / "t.zarr", workers=parallel.Workers(dask="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(("attribute", "other"), [("product", "SF"), ("zr", "Z = 300 R^1.4 (other)")])
def test_mixed_products_and_relations_are_refused_by_name(attribute: str, other: str, tmp_path: Path) -> None:
    if attribute == "product":
        first, second = (
            example_files.radolan(tmp_path),
            example_files.radolan(tmp_path, product="SF", time=example_files.TIME + FIVE),
        )
    else:
        first, second = (
            example_files.odim(tmp_path),
            example_files.odim(tmp_path, time=example_files.TIME + FIVE, how={"zr_a": 3e2, "zr_b": 1.4}),
        )
    with pytest.raises(GridMismatch, match=rf"{second.name}: is of {attribute}.*give each a store of its own"):
        archive.write([first, second], tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.data
def test_real_frames_come_back_as_they_were(data_kit: Path, tmp_path: Path) -> None:
    folder = data_kit / "taasrad19/validation"
    report = archive.write([folder], tmp_path / "store.zarr")
    assert report.frames == 4708
    field = archive.open(tmp_path / "store.zarr")
    for path in reading.find([folder]):
        run = reading.read(path)
        np.testing.assert_array_equal(field.sel(time=run.time).values, run.values)
