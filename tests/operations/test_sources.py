"""Sources at URLs: a real S3 server, and a web server that misbehaves, both on loopback."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.operations import fake_radar, service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast.io import location as locations
from echocast.operations import sources
from echocast.operations.clocks import ManualClock
from echocast.operations.stamps import seconds_of

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@contextmanager
def web(folder: Path, *, misbehaves: bool) -> Iterator[str]:
    """The URL of a folder; if it misbehaves some answers are 429 or 503, half a body, or a time that is off."""
    asked = [0]

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(None if timestamp is None else int(timestamp) + 50 * (asked[0] % 2))

        def do_GET(self) -> None:
            asked[0] += 1
            fault = asked[0] % 5 if misbehaves else 0
            if fault in (1, 2):
                self.send_response(429 if fault == 1 else 503)
                self.send_header("Retry-After", "7")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = Path(self.translate_path(self.path))
            if fault == 3 and path.is_file():
                content = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ids(source: str, live: Path, radar: FakeRadar) -> set[str]:
    watch = service.watch(source, live, ManualClock(START_S))
    service.drive(watch, radar)
    watch.close()
    return set(service.read_all(live))


def local(tmp_path: Path) -> set[str]:
    radar = FakeRadar(tmp_path / "local", 4, faulty=False)
    return ids(str(radar.folder), tmp_path / "live_local", radar)


def check_faulty(source: str, live: Path, radar: FakeRadar) -> None:
    """What a plain loop over the arrivals says is published, and nothing else, whatever radar and server do."""
    wanted = fake_radar.expected(radar, frames=service.FRAMES, catch_up=12)
    watch = service.watch(source, live, ManualClock(START_S), keep="30d")
    service.drive(watch, radar, lambda now: None)
    watch.close()
    metas = service.read_all(live).values()
    found = {(round((seconds_of(m["time"]) - START_S) / 300), m["revision"]): len(m["frames"]) for m in metas}
    assert found == {key: len(paths) for key, paths in wanted.items()}


def test_a_web_server_that_misbehaves_gives_the_same_issues(tmp_path: Path) -> None:
    radar = FakeRadar(tmp_path / "web", 4, faulty=False)
    with web(tmp_path / "web", misbehaves=True) as url:
        assert ids(url, tmp_path / "live", radar) == local(tmp_path)


@pytest.mark.slow  # thirty frames with every fault: a minute
def test_a_radar_with_every_fault_on_a_web_server_that_misbehaves(tmp_path: Path) -> None:
    radar = FakeRadar(tmp_path / "web", 30)
    with web(tmp_path / "web", misbehaves=True) as url:
        check_faulty(url, tmp_path / "live", radar)


def test_a_server_that_asks_to_wait_is_not_asked_before(tmp_path: Path) -> None:
    with web(tmp_path, misbehaves=True) as url:
        polled = sources.Polled(sources.source_of(url), poll=1.0, depth=5)
        assert polled.list(100.0) is None
        assert polled.next_poll >= 101.0


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a real S3 server on loopback with an empty bucket ``feed``."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="feed")
    yield client
    server.stop()


class Uploading(FakeRadar):
    """A radar whose files go to a bucket."""

    client: Any = None

    def advance(self, now: float) -> None:
        due = self.events[: sum(event[0] <= now for event in self.events)]
        super().advance(now)
        for _, name, content in due:
            self.client.put_object(Bucket="feed", Key=f"radar/{name}", Body=content)


def test_a_bucket_gives_the_same_issues(tmp_path: Path, bucket: Any) -> None:
    radar = Uploading(tmp_path / "bucket", 4, faulty=False)
    radar.client = bucket
    assert ids("s3://feed/radar", tmp_path / "live", radar) == local(tmp_path)
    for number in range(3):
        bucket.put_object(Bucket="feed", Key=f"other/{number}.h5", Body=b"12")
    listed = locations.list_marks("s3://feed/other", after="s3://feed/other/0.h5")
    assert {url: mark.size for url, mark in listed.items()} == {f"s3://feed/other/{n}.h5": 2 for n in (1, 2)}
    assert list(locations.list_marks("s3://feed/*/*.h5")) == [f"s3://feed/other/{n}.h5" for n in range(3)]
    assert locations.list_marks("s3://feed/none") == {}


@pytest.mark.slow  # thirty frames with every fault: a minute
def test_a_radar_with_every_fault_on_a_bucket(tmp_path: Path, bucket: Any) -> None:
    radar = Uploading(tmp_path / "bucket", 30)
    radar.client = bucket
    check_faulty("s3://feed/radar", tmp_path / "live", radar)


def test_unfinished_files_are_not_looked_at(tmp_path: Path) -> None:
    for name in ("a.nc", ".a.nc", "~a.nc", "a.nc.part", "a.nc.crdownload", "a.nc~", "b.tmp"):
        (tmp_path / name).write_bytes(b"x")
    assert sources.Polled(sources.Folder(tmp_path), 1.0, 5).list(0.0) == {
        str(tmp_path / "a.nc"): sources.Folder(tmp_path).files({})[str(tmp_path / "a.nc")]
    }
    assert sources.Folder(tmp_path / "none").files({}) == {}
