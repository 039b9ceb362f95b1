"""Sources and stores at URLs, against a real S3 server and a real HTTP server on loopback."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import archive
from echocast.errors import DataError, UnreadableFile
from echocast.io import location as locations
from echocast.io import model_runs, reading
from echocast.synthetic import model_pair

FIVE = np.timedelta64(5, "m")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an empty bucket of a real server."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    import boto3

    boto3.client("s3", region_name="us-east-1", endpoint_url=environment["AWS_ENDPOINT_URL"]).create_bucket(
        Bucket="rain"
    )
    yield "s3://rain"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    server.stop()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL and folder of a real HTTP server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def frames(folder: Path, numbers: list[int]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    rain = example_files.blob(max(numbers) + 1)
    return [example_files.netcdf(folder, time=example_files.TIME + n * FIVE, rain=rain[n : n + 1]) for n in numbers]


def put(url: str, paths: list[Path]) -> None:
    import s3fs

    system = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    for path in paths:
        system.put(str(path), f"{url}/{path.name}")


def test_sources_in_a_bucket_are_files_folders_and_globs(s3: str, tmp_path: Path) -> None:
    paths = frames(tmp_path / "in", [0, 1, 2])
    put(f"{s3}/day", paths)
    assert reading.find([f"{s3}/day"]) == [f"{s3}/day/{path.name}" for path in paths]
    assert reading.find([f"{s3}/day/*1450*"]) == [f"{s3}/day/{paths[1].name}"]
    xr.testing.assert_identical(reading.read(f"{s3}/day/{paths[2].name}"), reading.read(paths[2]))
    report = archive.write([f"{s3}/day/"], tmp_path / "store.zarr")
    assert (report.added, report.gaps) == (3, 0)
    with pytest.raises(UnreadableFile, match="no such file or folder"):
        reading.find([f"{s3}/nothing"])
    with pytest.raises(UnreadableFile, match="there is no such file"):
        reading.read(f"{s3}/day/nothing.nc")


def test_a_store_in_a_bucket_is_one_like_any_other(s3: str, tmp_path: Path) -> None:
    store = f"{s3}/stores/a.zarr"
    with pytest.raises(DataError, match="is no echocast archive; make one"):
        archive.open(store)
    archive.write(frames(tmp_path / "a", [1, 2]), store)
    archive.write(frames(tmp_path / "b", [0, 5]), store)
    report = archive.write(frames(tmp_path / "b", [0, 5]), store)
    assert (report.added, report.duplicates, report.frames, report.gaps) == (0, 2, 4, 2)
    np.testing.assert_array_equal(archive.open(store).values[[0, 1, 2, 5]], example_files.blob(6)[[0, 1, 2, 5]])
    assert reading.find([store]) == [f"{store}/"]
    np.testing.assert_array_equal(reading.read(f"{store}/").values, example_files.blob(6)[[0, 1, 2, 5]])
    archive.write([store], tmp_path / "copy.zarr")
    xr.testing.assert_equal(archive.open(tmp_path / "copy.zarr").load(), archive.open(store).load())


WRITER = """
import sys
from echocast import archive
archive.write(sys.argv[2:], sys.argv[1])
"""


@pytest.mark.slow  # two processes write
def test_two_writers_to_one_bucket_lose_nothing(s3: str, tmp_path: Path) -> None:
    store = f"{s3}/stores/shared.zarr"
    archive.write(frames(tmp_path / "first", [0, 1]), store)
    halves = [frames(tmp_path / f"part{n}", list(range(2 + n, 18, 2))) for n in range(2)]
    running = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", WRITER, store, *map(str, half)], stderr=subprocess.PIPE)
        for half in halves
    ]
    for process in running:
        _, said = process.communicate(timeout=1200)  # longer than a busy machine needs
        assert process.returncode == 0, said.decode()[-600:]
    np.testing.assert_array_equal(archive.open(store).values, example_files.blob(18))


def test_a_plain_zarr_store_in_a_bucket_is_a_source(s3: str, tmp_path: Path) -> None:
    import s3fs

    path = example_files.zarr(tmp_path)
    system = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    system.put(str(path), "s3://rain/plain.zarr", recursive=True)
    xr.testing.assert_equal(reading.read("s3://rain/plain.zarr/"), reading.read(path))


def test_files_on_a_web_server_are_sources(web: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = web
    paths = frames(folder / "day", [0, 1, 3])
    xr.testing.assert_identical(reading.read(f"{url}/day/{paths[0].name}"), reading.read(paths[0]))
    report = archive.write([f"{url}/day/{path.name}" for path in paths], tmp_path / "store.zarr")
    assert (report.added, report.gaps) == (3, 1)
    (folder / "broken.nc").write_bytes(b"CDF\x01broken")
    with pytest.raises(UnreadableFile, match=f"^{url}/broken.nc: cannot be read as netcdf"):
        reading.read(f"{url}/broken.nc")
    with pytest.raises(UnreadableFile, match="there is no such file"):
        reading.read(f"{url}/nothing.nc")


def test_a_folder_on_a_web_server_is_listed_with_what_lies_below(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "radar").mkdir()
    first, second = frames(folder / "radar/day", [0, 1])
    assert reading.find([f"{url}/radar/"]) == [f"{url}/radar/day/{path.name}" for path in (first, second)]
    assert reading.find([f"{url}/radar"]) == reading.find([f"{url}/radar/"])
    second.unlink()
    assert reading.find([f"{url}/radar/"]) == [f"{url}/radar/day/{first.name}"]
    with pytest.raises(UnreadableFile, match="no such file"):
        reading.find([f"{url}/nowhere/"])


def test_new_and_replaced_objects_are_seen_by_a_running_process(s3: str, tmp_path: Path) -> None:
    first, second = frames(tmp_path / "in", [0, 1])
    put(f"{s3}/live", [first])
    pattern = f"{s3}/live/*.nc"
    assert reading.find([pattern]) == [f"{s3}/live/{first.name}"]
    put(f"{s3}/live", [second])
    assert reading.find([pattern]) == [f"{s3}/live/{path.name}" for path in (first, second)]
    assert reading.read(f"{s3}/live/{second.name}").time.values[0] == example_files.TIME + FIVE
    second.replace(tmp_path / "in" / first.name)
    put(f"{s3}/live", [first])
    assert reading.read(f"{s3}/live/{first.name}").time.values[0] == example_files.TIME + FIVE


def test_what_is_not_spoken_or_not_there_is_told() -> None:
    with pytest.raises(DataError, match=r"ftp:// is not supported"):
        reading.find(["ftp://somewhere/file.nc"])
    with pytest.raises(UnreadableFile, match="cannot be reached"):
        reading.read("http://127.0.0.1:9/file.nc")
    with pytest.raises(DataError, match=r"over https; give its s3:// or gs://"):
        archive.open("https://somewhere/store.zarr")


def test_a_name_is_the_last_part() -> None:
    assert locations.name("https://x/y/z.nc?version=1") == "z.nc"
    assert locations.normalise("file:///data/x") == Path("/data/x")


def run_of_a_model(path: Path, factor: float = 1.0) -> Path:
    pair = model_pair.generate(past=4, leads=6, size=16, grid_km=4.0, time_step_minutes=10.0, seed=3)
    model_pair.to_netcdf(pair.run * factor if factor != 1.0 else pair.run, path)
    return path


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The locations that are copied from now on."""
    copied, copy = [], locations.local_copy

    def counting(location: locations.Location, most_bytes: int = 2**33) -> AbstractContextManager[Path]:
        copied.append(str(location))
        return copy(location, most_bytes)

    monkeypatch.setattr(locations, "local_copy", counting)
    return copied


def test_a_run_at_a_url_is_fetched_once_and_again_when_it_has_changed(
    web: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = web
    run_of_a_model(folder / "run.nc")
    kept, copied = model_runs.Kept(), counted(monkeypatch)
    first, again = (model_runs.read(f"{url}/run.nc", kept=kept)[0] for _ in range(2))
    assert copied == [f"{url}/run.nc"]
    xr.testing.assert_identical(first, again)
    changed = run_of_a_model(tmp_path / "other.nc", factor=2.0)
    os.utime(changed, (2e9, 2e9))  # the server tells whole seconds
    changed.replace(folder / "run.nc")
    new = model_runs.read(f"{url}/run.nc", kept=kept)[0]
    assert len(copied) == 2
    assert float(new.max()) > 1.5 * float(first.max())


def test_a_run_in_a_bucket_is_fetched_once(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"{s3}/runs", [run_of_a_model(tmp_path / "a.nc")])
    kept, copied = model_runs.Kept(), counted(monkeypatch)
    for _ in range(3):
        model_runs.read(f"{s3}/runs", kept=kept)
    assert copied == [f"{s3}/runs/a.nc"]
    with pytest.raises(UnreadableFile, match="no such file"):
        locations.mark(f"{s3}/runs/b.nc")


def test_a_file_whose_server_tells_nothing_of_it_is_fetched_each_time(
    web: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = web
    run_of_a_model(folder / "run.nc")
    monkeypatch.setattr(locations, "_mark", lambda _: locations.Mark(7))
    kept, copied = model_runs.Kept(), counted(monkeypatch)
    for _ in range(2):
        model_runs.read(f"{url}/run.nc", kept=kept)
    assert len(copied) == 2
