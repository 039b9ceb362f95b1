"""Files into a store on a regular time axis that loses nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import archive, fields, parallel
from echocast.archive import encoding, ingest, transaction, transforms
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


def test_frames_lie_on_a_time_axis_and_gaps_are_missing(tmp_path: Path) -> None:
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
    monkeypatch.setattr(store_module, "MAX_CHUNK_FRAMES", 3)
    store = tmp_path / "store.zarr"
    archive.write(frames(tmp_path / "a", list(range(7, 15))), store)
    archive.write(frames(tmp_path / "b", list(range(7))), store)
    np.testing.assert_array_equal(archive.open(store).values, example_files.blob(15))


def test_memory_is_bounded_by_batches_and_each_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_BATCH_BYTES", 3 * example_files.blob(1).nbytes)
    paths = frames(tmp_path / "in", list(range(10)))
    paths[9].write_bytes(b"broken")
    with pytest.raises(UnreadableFile, match=paths[9].name):
        archive.write(paths, tmp_path / "store.zarr", strict=True)
    assert 4 <= archive.open(tmp_path / "store.zarr").sizes["time"] < 10
    frames(tmp_path / "in", [9])
    archive.write([tmp_path / "in"], tmp_path / "store.zarr")
    np.testing.assert_array_equal(archive.open(tmp_path / "store.zarr").values, example_files.blob(10))


def test_a_time_off_the_axis_is_named(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    odd = example_files.netcdf(tmp_path / "in", time=example_files.TIME + np.timedelta64(12, "m"), name="odd")
    with pytest.raises(MissingFrames, match=r"odd_.*not on the store's time axis, which has a frame every 5 min"):
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


def test_one_frame_needs_a_time_step(tmp_path: Path) -> None:
    path = frames(tmp_path / "in", [0])
    with pytest.raises(MissingFrames, match="--time-step"):
        archive.write(path, tmp_path / "store.zarr")
    archive.write(path, tmp_path / "store.zarr", time_step=FIVE.astype("timedelta64[ns]"))
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
import echocast.archive.transforms, echocast.readers.netcdf, h5netcdf
from echocast import archive, parallel
from echocast.archive import ingest
from echocast.io import store as stores
ingest._BATCH_BYTES = 6000
source, store, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
moments, killed, longest = random.Random(5), 0, 0.9
for number in range(rounds):
    child = os.fork()
    if child == 0:
        archive.write([source], store, workers=parallel.Workers(processes=1))
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
        if stores.there(store):
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


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments_no_committed_frame_is_lost(rounds: int, tmp_path: Path) -> None:
    """A real process, killed; after each kill every frame that is there is the source's, and the last run finishes."""
    source, store = tmp_path / "in", tmp_path / "store.zarr"
    count = 40 if rounds < 10 else 120  # more than are written before the first kill
    frames(source, list(range(count)))
    np.save(tmp_path / "wanted.npy", example_files.blob(count))
    command = [sys.executable, "-W", "ignore", "-c", KILLED, source, store, rounds, tmp_path / "wanted.npy"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
    assert int(done.stdout) > 0, "none was killed while it worked"
    for old in [*tmp_path.glob("store.zarr.*"), store]:
        archive.write([source], old, workers=parallel.Workers(processes=1))
        np.testing.assert_array_equal(archive.open(old).values, example_files.blob(count))


def _hears_ctrl_c() -> None:
    """A shell's background job ignores the signal, and hands that on to its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


INTERRUPTED = """
import time
from echocast.archive import ingest
from echocast.cli.main import run
def write_frames(*arguments):
    global written
    counts = original(*arguments)
    written += 1
    if written == 3:
        print("three batches are written", flush=True)
        time.sleep(600)
    return counts
original, written, ingest._BATCH_BYTES = ingest.write_frames, 0, 6000
if __name__ == "__main__":
    ingest.write_frames = write_frames
    run()
"""


@pytest.mark.slow  # processes start
@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_says_so_and_goes_on(workers: str, tmp_path: Path) -> None:
    source, store = tmp_path / "in", tmp_path / "store.zarr"
    frames(source, list(range(40)))
    (tmp_path / "run.py").write_text(INTERRUPTED)
    line = [sys.executable, str(tmp_path / "run.py"), "archive", "add", str(store), str(source), "--workers", workers]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hears_ctrl_c
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "three batches are written\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "interrupted: what was finished is kept" in said
    field = archive.open(store)
    there = field.observed.values
    assert 0 < there.sum() < 40
    np.testing.assert_array_equal(field.values[there], example_files.blob(40)[: len(there)][there])
    archive.write([source], store)
    np.testing.assert_array_equal(archive.open(store).values, example_files.blob(40))


@pytest.mark.parametrize("workers", [1, 2])
def test_however_many_read_the_store_is_the_same(workers: int, tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", list(range(12)))
    report = archive.write(paths, tmp_path / "s.zarr", workers=parallel.Workers(processes=workers))
    assert (report.added, report.gaps) == (12, 0)
    np.testing.assert_array_equal(archive.open(tmp_path / "s.zarr").values, example_files.blob(12))


def test_workers_know_the_palette_of_the_files_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [example_files.odim(tmp_path, time=example_files.TIME + n * FIVE) for n in range(16)]
    sent: list[np.ndarray] = []

    def one_by_one(work: Callable[[Any], Any], tasks: Iterable[Any], *_: object, **__: object) -> Iterator[Any]:
        for task in tasks:
            sent.append(task.palette)
            yield task, work(task)

    monkeypatch.setattr(encoding, "parallel_map", one_by_one)
    encoded = list(encoding.encoded_files(paths, reading.ReadOptions(), (), parallel.Workers(processes=2)))
    assert [number for number, _, _ in encoded] == list(range(16))
    assert np.isnan(sent[0]).all()
    assert len(sent[0]) == 1
    for known, (_, _, before) in zip(sent[1:], encoded, strict=False):
        np.testing.assert_array_equal(known, before.palette)
    assert len(sent[-1]) > 2


def test_a_store_among_files_is_read_here_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = frames(tmp_path / "in", [0, 1, 4, 5])
    archive.write(frames(tmp_path / "b", [2, 3]), tmp_path / "in" / "rain_2016-09-28T1459.zarr")
    by_workers: list[str] = []

    def here(work: Callable[[Any], Any], tasks: Iterable[Any], *_: object, **__: object) -> Iterator[Any]:
        for task in tasks:
            by_workers.append(Path(task.location).name)
            yield task, work(task)

    monkeypatch.setattr(encoding, "parallel_map", here)
    archive.write([tmp_path / "in"], tmp_path / "s.zarr", workers=parallel.Workers(processes=2))
    assert by_workers == [path.name for path in paths]
    np.testing.assert_array_equal(archive.open(tmp_path / "s.zarr").values, example_files.blob(6))


def test_workers_are_used_where_the_rest_takes_long() -> None:
    many, two, one = parallel.Workers(), parallel.Workers(processes=2), parallel.Workers(processes=1)
    assert encoding._use_workers(two, seconds=0.0)
    assert encoding._use_workers(parallel.Workers(dask="tcp://somewhere"), seconds=0.0)
    assert not encoding._use_workers(one, seconds=10**6)
    assert not encoding._use_workers(many, seconds=4.0)
    assert encoding._use_workers(many, seconds=6.0) == (many.count > 1)


def test_the_pace_of_files_leaves_out_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = iter([103.0, 103.5, 104.5]), encoding._Pace()  # the first took three seconds, then .5 and 1
    monkeypatch.setattr(encoding.time, "monotonic", lambda: next(clock))
    pace.file_is_done()
    assert pace.seconds_for(100) == 0.0  # nobody knows how long
    pace.file_is_done()
    assert pace.seconds_for(100) == 50.0
    pace.file_is_done()
    assert pace.seconds_for(100) == 75.0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_more_values_than_a_palette_holds_are_kept_as_they_are(workers: int, tmp_path: Path) -> None:
    rain = np.random.default_rng(0).uniform(0.1, 50.0, (4, 300, 300)).astype(np.float32)  # 90,000 values in a frame
    rain[:2] = np.round(rain[:2])  # which first fit
    paths = [example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, rain=rain[n : n + 1]) for n in range(4)]
    archive.write(paths[:2], tmp_path / "s.zarr", workers=parallel.Workers(processes=workers))
    archive.write(paths[2:], tmp_path / "s.zarr", workers=parallel.Workers(processes=workers))
    np.testing.assert_array_equal(archive.open(tmp_path / "s.zarr").values, rain)


def test_another_writer_in_between_makes_it_begin_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, attempts = frames(tmp_path / "in", [0, 1, 2]), []
    original = transaction._commit

    def meets_another(*arguments: Any) -> Any:
        attempts.append(1)
        if len(attempts) < 3:
            meets_always()
        return original(*arguments)

    monkeypatch.setattr(transaction, "_commit", meets_another)
    monkeypatch.setattr(transaction.time, "sleep", lambda _: None)
    assert archive.write(paths, tmp_path / "s.zarr").added == 3
    assert len(attempts) == 3
    monkeypatch.setattr(transaction, "_commit", lambda *_: meets_always())
    with pytest.raises(DataError, match="another process wrote to it at the same time"):
        archive.write(paths, tmp_path / "t.zarr")


def meets_always() -> None:
    raise icechunk.ConflictError("another's", "ours")


def test_a_reader_that_dies_is_told_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = frames(tmp_path / "in", list(range(6)))
    monkeypatch.setattr(encoding, "_encode_task", _die)
    with pytest.raises(UnreadableFile, match=rf"{paths[0].name}: a process died while working on it or on one of the"):
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
        cluster_workers = parallel.Workers(dask=cluster.scheduler_address)
        archive.write(
            paths, tmp_path / "s.zarr", workers=cluster_workers, transforms=transforms.parse(["coarsen factor=2"])
        )
        broken = tmp_path / "broken.nc"
        broken.write_bytes(b"CDF\x01broken")
        with pytest.raises(UnreadableFile, match=r"broken\.nc"):
            archive.write([broken], tmp_path / "t.zarr", workers=cluster_workers)
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
    with pytest.raises(
        GridMismatch, match=rf"{second.name}: is of {attribute}.*give each by itself, in a folder or a store"
    ):
        archive.write([first, second], tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.data
def test_real_frames_come_back_as_they_were(data_kit: Path, tmp_path: Path) -> None:
    folder = data_kit / "taasrad19/validation"
    report = archive.write([folder], tmp_path / "store.zarr")
    assert report.frames == 4708
    field = archive.open(tmp_path / "store.zarr")
    for path in reading.find([folder]):
        segment = reading.read(path)
        np.testing.assert_array_equal(field.sel(time=segment.time).values, segment.values)


def test_scan_times_off_by_a_second_are_on_one_clock_and_none_moves_far(tmp_path: Path) -> None:
    after = np.array([0, 301, 599, 900, 1201, 1500, 1799, 2101, 2400, 2701, 3000, 3300])
    times = np.datetime64("2016-09-28T12:00:28", "ns") + after * np.timedelta64(1, "s")
    paths = [example_files.netcdf(tmp_path, time=time, name=f"{n:02d}") for n, time in enumerate(times)]
    for path, time in zip(paths, times, strict=True):
        with xr.open_dataset(path, engine="h5netcdf") as data:
            assert data.time.values[0] == time
    report = archive.write(paths, tmp_path / "s.zarr")
    assert (report.time_step / np.timedelta64(1, "m"), report.gaps) == (5.0, 0)
    stored = archive.open(tmp_path / "s.zarr").time.values
    assert np.abs(stored - times).max() <= np.timedelta64(1, "s")
    assert str(stored[-1])[11:19] == "12:55:28"


def test_two_frames_of_one_place_on_the_clock_are_counted_as_corrected(tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    again = example_files.netcdf(tmp_path, time=example_files.TIME + FIVE + np.timedelta64(1, "s"), name="z")
    assert archive.write([*paths, again], tmp_path / "s.zarr").corrected == 1


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])  # other processes are tried above
def test_a_bad_file_is_passed_over_and_named(workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2, 3])
    paths[1].write_bytes(b"CDF\x01broken")
    report = archive.write(paths, tmp_path / "s.zarr", workers=parallel.Workers(processes=workers))
    assert (report.added, report.gaps, list(report.passed_over)) == (3, 1, [paths[1]])
    assert f"passed over: {paths[1]}" in caplog.text
    with pytest.raises(UnreadableFile, match=paths[1].name):
        archive.write(paths, tmp_path / "t.zarr", workers=parallel.Workers(processes=workers), strict=True)


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_one_file_on_another_grid_is_passed_over_wherever_it_stands(odd: int, tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2, 3, 4])
    example_files.netcdf(tmp_path / "in", time=example_files.TIME + odd * FIVE, rain=example_files.blob(1, 9, 9))
    report = archive.write(paths, tmp_path / "s.zarr")
    assert (report.added, list(report.passed_over)) == (4, [paths[odd]])
    assert archive.open(tmp_path / "s.zarr").shape[1:] == (20, 24)
    with pytest.raises(GridMismatch):
        archive.write(paths, tmp_path / "t.zarr", strict=True)
