"""Files of open archives from a server that misbehaves."""

import gzip
import hashlib
import http.server
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests import example_files

from echocast import plugins
from echocast.errors import DataError
from echocast.fetch import download
from echocast.fetch.sources import regular_times
from echocast.fetch.transfer import DownloadOptions
from echocast.io import reading

DATA = Path(os.environ.get("ECHOCAST_DATA", "nowhere"))
QUICK = DownloadOptions(
    parallel=3, attempts=4, first_pause_s=0.02, idle_timeout_s=1.0, slow_after_s=0.4, min_bytes_per_s=5000
)

Trick = Callable[[http.server.BaseHTTPRequestHandler, bytes, int], bool]
"""Answers in a bad way and says whether it did; gets the handler, the content and the number of this request."""


class Server:
    """A real server on loopback: contents by path, a trick for some paths, and what was asked of it."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.tricks: dict[str, Trick] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.most_in_parallel = 0
        self._now = 0
        lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                with lock:
                    outer.asked[path] += 1
                    outer._now += 1
                    outer.most_in_parallel = max(outer.most_in_parallel, outer._now)
                try:
                    self.answer(path, outer.asked[path])
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with lock:
                        outer._now -= 1

            def answer(self, path: str, number: int) -> None:
                content = outer.contents.get(path)
                if content is None:
                    self.send_error(404)
                    return
                if path in outer.tricks and outer.tricks[path](self, content, number):
                    return
                begun = 0
                if "Range" in self.headers:
                    outer.ranges.append(self.headers["Range"])
                    begun = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if begun else 200)
                if begun:
                    self.send_header("Content-Range", f"bytes {begun}-{len(content) - 1}/{len(content)}")
                self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content) - begun))
                self.end_headers()
                self.wfile.write(content[begun:])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def mrms_path(stamp: str) -> str:
    return f"CONUS/PrecipRate_00.00/{stamp[:8]}/MRMS_PrecipRate_00.00_{stamp}.grib2.gz"


@pytest.fixture
def filled(server: Server, tmp_path: Path) -> Server:
    """MRMS' layout with six files of two minutes, the fourth of which does not exist."""
    for minute in (0, 2, 4, 8, 10):
        time = example_files.TIME.astype("datetime64[D]") + example_files.np.timedelta64(minute, "m")
        path = example_files.grib(tmp_path, time=time.astype("datetime64[ns]"), packed=True)
        server.contents[mrms_path(f"20160928-00{minute:02}00")] = path.read_bytes() + bytes(20_000)
    return server


def fetch(server: Server, folder: Path) -> download.Report:
    return download.get(
        "mrms", "2016-09-28T00:00", "2016-09-28T00:10", folder, mirror=server.url, options=QUICK
    )  # fmt: skip


def whole(server: Server, folder: Path) -> None:
    """Every file is there as the server has it, and nothing else."""
    wanted = {path.rpartition("/")[2]: content for path, content in server.contents.items()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted


def test_what_is_there_is_fetched_and_what_is_not_is_a_gap(filled: Server, tmp_path: Path) -> None:
    done = fetch(filled, tmp_path / "out")
    assert (done.downloaded, done.missing, done.there, done.failed) == (5, 1, 0, {})
    assert done.bytes == sum(map(len, filled.contents.values()))
    whole(filled, tmp_path / "out")
    assert filled.most_in_parallel <= QUICK.parallel
    again = fetch(filled, tmp_path / "out")
    assert (again.downloaded, again.there, again.missing) == (0, 5, 1)
    assert max(n for path, n in filled.asked.items() if path in filled.contents) == 1


def failing(status: int, times: int, header: tuple[str, str] | None = None) -> Trick:
    def trick(handler: http.server.BaseHTTPRequestHandler, content: bytes, number: int) -> bool:
        if number > times:
            return False
        handler.send_response(status)
        if header:
            handler.send_header(*header)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    return trick


def truncating(handler: http.server.BaseHTTPRequestHandler, content: bytes, number: int) -> bool:
    if number > 1:
        return False
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[:12_345])
    handler.close_connection = True
    return True


def dripping(handler: http.server.BaseHTTPRequestHandler, content: bytes, number: int) -> bool:
    if number > 1:
        return False
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    for n in range(40):
        handler.wfile.write(content[n : n + 1])
        handler.wfile.flush()
        time.sleep(0.05)
    handler.close_connection = True
    return True


def silent(handler: http.server.BaseHTTPRequestHandler, content: bytes, number: int) -> bool:
    if number > 1:
        return False
    time.sleep(3.0)
    handler.close_connection = True
    return True


def wrong(handler: http.server.BaseHTTPRequestHandler, content: bytes, number: int) -> bool:
    if number > 1:
        return False
    handler.send_response(200)
    handler.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(bytes(len(content)))
    return True


@pytest.mark.parametrize(
    "trick",
    [failing(500, 2), failing(503, 1, ("Retry-After", "0")), failing(429, 3), truncating, dripping, silent, wrong],
    ids=["500", "503", "429", "truncated", "slow drip", "silent", "wrong content"],
)
def test_a_server_that_misbehaves_is_asked_again(filled: Server, tmp_path: Path, trick: Trick) -> None:
    filled.tricks[mrms_path("20160928-000200")] = trick
    done = fetch(filled, tmp_path / "out")
    assert (done.downloaded, done.missing, done.failed) == (5, 1, {})
    whole(filled, tmp_path / "out")
    if trick is truncating:
        assert filled.ranges == ["bytes=12345-"], "it goes on where it stopped"


def test_what_fails_again_and_again_is_named_and_finished_by_the_next_run(filled: Server, tmp_path: Path) -> None:
    path = mrms_path("20160928-000800")
    filled.tricks[path] = failing(500, 10**6)
    done = fetch(filled, tmp_path / "out")
    assert (done.downloaded, list(done.failed)) == (4, [path.rpartition("/")[2]])
    assert "status 500" in done.failed[path.rpartition("/")[2]]
    assert filled.asked[path] == QUICK.attempts
    del filled.tricks[path]
    assert fetch(filled, tmp_path / "out").downloaded == 1
    whole(filled, tmp_path / "out")


def test_a_partial_file_of_another_run_goes_on(filled: Server, tmp_path: Path) -> None:
    path = mrms_path("20160928-000000")
    name = path.rpartition("/")[2]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{name}.partial").write_bytes(filled.contents[path][:500])
    assert fetch(filled, tmp_path / "out").downloaded == 5
    assert filled.ranges == ["bytes=500-"]
    whole(filled, tmp_path / "out")


def test_a_partial_file_of_something_else_is_thrown_away(filled: Server, tmp_path: Path) -> None:
    path = mrms_path("20160928-000000")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{path.rpartition('/')[2]}.partial").write_bytes(b"x" * 500)
    assert fetch(filled, tmp_path / "out").downloaded == 5
    whole(filled, tmp_path / "out")


def test_dwd_is_asked_what_it_has(server: Server, tmp_path: Path) -> None:
    content = example_files.radolan(tmp_path, time=example_files.np.datetime64("2024-06-01T12:05", "ns")).read_bytes()
    names = [f"raa01-ry_10000-24060112{minute:02}-dwd---bin.gz" for minute in (0, 5, 10)]
    page = "".join(f'<a href="{name}">{name}</a>\n' for name in [*names, "../", "raa01-ry_10000-latest-dwd---bin.gz"])
    server.contents = {"ry/": page.encode()} | {f"ry/{name}": content for name in names}
    done = download.get(
        "dwd", "2024-06-01T12:05", "2024-06-01T12:10", tmp_path / "out", mirror=server.url, options=QUICK
    )  # fmt: skip
    assert done.downloaded == 2
    assert reading.read(tmp_path / "out" / names[1]).attrs["product"] == "RY"
    with pytest.raises(DataError, match="has no file from 2025"):
        download.get("dwd", "2025-01-01", "2025-01-01", tmp_path / "out", mirror=server.url, options=QUICK)
    with pytest.raises(DataError, match="cannot be listed"):
        download.get("dwd", "2025-01-01", "2025-01-01", tmp_path, mirror=f"{server.url}/no", options=QUICK)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="ECHOCAST_DATA is not set: the real radar files are not here")
@pytest.mark.parametrize(
    ("source", "start", "end", "kit", "path", "known_as"),
    [
        ("fmi", "2016-09-28T14:45", "2016-09-28T14:45", "fmi/geotiff/201609281445_FINUTM.tif",
         "2016/09/28/FIN-DBZ-3067-250M/201609281445_FIN-DBZ-3067-250M.tif", "geotiff"),
        ("dwd", "2020-01-01T15:10", "2020-01-01T15:10", "radolan/ry/raa01-ry_10000-2001011510-dwd---bin.gz",
         "ry/raa01-ry_10000-2001011510-dwd---bin.gz", "radolan"),
        ("mrms", "2019-06-10", "2019-06-10T00:00", "mrms/20190610/PrecipRate_00.00_20190610-000000.grib2",
         mrms_path("20190610-000000"), "grib"),
    ],
)  # fmt: skip
def test_real_files_under_the_layout_of_their_archive_are_readable(
    server: Server, tmp_path: Path, source: str, start: str, end: str, kit: str, path: str, known_as: str
) -> None:
    content = (DATA / kit).read_bytes()
    server.contents[path] = gzip.compress(content, 1) if path.endswith("grib2.gz") else content
    server.contents["ry/"] = b'<a href="raa01-ry_10000-2001011510-dwd---bin.gz">'
    done = download.get(source, start, end, tmp_path / "out", mirror=server.url, options=QUICK)
    assert done.downloaded == 1
    (found,) = reading.find([tmp_path / "out"])
    assert reading.recognise(Path(found)) == known_as
    assert str(reading.read(found).time.values[0])[:16] == {"mrms": "2019-06-10T00:00"}.get(source, start)


def test_every_source_says_where_and_how_often() -> None:
    for name in download.sources():
        module = plugins.load("echocast.fetch.sources", name)
        assert module.BASE.startswith("https://")
        assert module.STEP_MINUTES > 0
        assert len(plugins.summary("echocast.fetch.sources", name)) < 121


def test_regular_times_count_from_midnight() -> None:
    ticks = list(regular_times(datetime(2024, 6, 1, 12, 3), datetime(2024, 6, 1, 12, 16), 5))
    assert [t.minute for t in ticks] == [5, 10, 15]


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [("yesterday", "2024-06-01", "'yesterday' is no time"), ("2024-06-02", "2024-06-01", "swap them")],
)
def test_wrong_times_are_told(start: str, end: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        download.get("mrms", start, end, tmp_path)


def test_an_unknown_source_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are: dwd, fmi, mrms"):
        download.get("metoffice", "2024-06-01", "2024-06-01", tmp_path)
