"""Listings ask only for what is new, wait when they are asked to, and never hang the service."""

import base64
import email.utils
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from echocast.io.location import Mark
from echocast.operations import bucket, web
from echocast.operations.aside import Aside
from echocast.operations.bucket import Bucket, start_after
from echocast.operations.readiness import Fingerprint
from echocast.operations.sources import Folder, Polled
from echocast.operations.waking import Waker

DAY = 86_400.0


@contextmanager
def serving(answer: Any) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str]]]]]:
    """A server whose answers (status, headers, body) a function gives; its URL, and what it was asked."""
    asked: list[tuple[str, str, dict[str, str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = answer(self.command, self.path, self.headers)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 (the library's name)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def page(*names: str) -> bytes:
    return "".join(f'<a href="{name}">{name}</a>' for name in names).encode()


HTML = {"Content-Type": "text/html"}


def test_a_page_that_has_not_changed_is_not_sent_again_and_known_files_are_not_asked_for() -> None:
    names = [f"r2026050100{minute:02}.h5" for minute in range(0, 50, 5)]

    def answer(method: str, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        if path == "/radar/":
            if headers.get("If-None-Match") == '"7"':
                return 304, {"ETag": '"7"'}, b""
            return 200, HTML | {"ETag": '"7"'}, page("../", "?C=M;O=A", "r.h5?sign=1", "http://other/x.h5", *names)
        if headers.get("If-None-Match") == f'"{path}"':
            return 304, {}, b""
        return 200, {"ETag": f'"{path}"', "Content-Length": "9"}, b""

    with serving(answer) as (url, asked):
        source = web.WebFolder(f"{url}/radar/")
        first = source.files({})
        assert first == {f"{url}/radar/{name}": Fingerprint(9, f'"/radar/{name}"') for name in names}
        del asked[:]
        assert source.files(first) == first
    assert [(method, path) for method, path, _ in asked] == [("GET", "/radar/")] + [
        ("HEAD", f"/radar/{name}") for name in names[-6:]
    ]


def test_a_time_of_change_is_asked_with_only_when_it_is_old_enough() -> None:
    now = time.time()
    dates = [email.utils.formatdate(now - age, usegmt=True) for age in (0, 61, 59)]
    told = {"Date": dates[0], "Last-Modified": dates[1]}
    assert web._conditions(told) == {"If-Modified-Since": dates[1]}
    assert web._conditions(told | {"Last-Modified": dates[2]}) == {}
    assert web._conditions({}) == {}


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("99999", 3600.0)])
def test_how_long_a_server_asks_to_wait(text: str, seconds: float) -> None:
    assert web.retry_after({"Retry-After": text}) == seconds
    at = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < web.retry_after({"Retry-After": at}) <= 100


def test_a_server_that_asks_to_wait_is_left_alone_and_the_wait_grows_without_it() -> None:
    waits = ["40", "", "", ""]

    def answer(method: str, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        wait = waits.pop(0)
        return 503 if wait else 500, {"Retry-After": wait} if wait else {}, b""

    with serving(answer) as (url, asked):
        polled = Polled(web.WebFolder(f"{url}/"), poll=1.0, depth=5)
        found = []
        for _ in range(4):
            assert polled.list(100.0) is None
            found.append(polled.next_poll - 100)
    assert found == [40.0, 2.0, 4.0, 8.0]
    assert len(asked) == 4  # nothing was asked for twice
    assert polled.kind == "unreachable"
    assert "the server answers 500; it may" in polled.trouble


def test_a_server_that_is_busy_with_a_file_keeps_what_is_known() -> None:
    def answer(method: str, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        if path == "/":
            return 200, HTML, page("a1.h5", "a2.h5")
        return (429, {"Retry-After": "9"}, b"") if path == "/a1.h5" else (200, {"ETag": '"2"'}, b"")

    with serving(answer) as (url, asked):
        polled = Polled(web.WebFolder(f"{url}/"), poll=1.0, depth=5)
        polled.known = {f"{url}/a1.h5": Fingerprint(1, '"1"')}
        assert polled.list(100.0) == polled.known == {f"{url}/a1.h5": Fingerprint(1, '"1"')}
        assert polled.next_poll == 109.0
    assert [path for _, path, _ in asked] == ["/", "/a1.h5"]  # the other is not asked for after the refusal


def test_folders_below_are_listed_the_newest_always_and_a_glob_only_where_it_may_match() -> None:
    tree = {"/": ("2025/", "2026/", "x.h5"), "/2025/": ("b.h5", "b.txt"), "/2026/": ("05/", "06/"), "/2026/05/": ()}
    tree |= {"/2026/06/": ("d.h5",), "/2025/09/": ("a.h5",)}

    def answer(method: str, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        if headers.get("Authorization") != "Basic " + base64.b64encode(b"me:key").decode():
            return 401, {}, b""
        return (200, HTML, page(*tree[path])) if path in tree else (200, {"ETag": '"1"'}, b"")

    with serving(answer) as (url, asked):
        given = url.replace("://", "://me:key@")
        found = web.WebFolder(f"{given}/").files({})
        assert sorted(found) == [f"{given}/2025/b.h5", f"{given}/2025/b.txt", f"{given}/2026/06/d.h5", f"{given}/x.h5"]
        del asked[:]
        assert sorted(web.WebFolder(f"{given}/2025/*.h5").files({})) == [f"{given}/2025/b.h5"]
        assert sorted(web.WebFolder(f"{given}/*/06/*.h5").files({})) == [f"{given}/2026/06/d.h5"]
        assert "/2026/05/" not in [path for _, path, _ in asked]
        with pytest.raises(web.UnreadableFile, match="the server answers 401; check the address") as bad:
            web.WebFolder(url).files({})
        assert "key" not in str(bad.value)


@pytest.mark.parametrize(
    ("ages", "after"),
    [
        ({"s3://b/1": 3.0, "s3://b/2": 2.0, "s3://b/3": 0.5, "s3://b/4": 0.0}, "s3://b/2"),
        ({"s3://b/a/2": 0.0, "s3://b/b/1": 3.0}, ""),  # what is new sorts first: all must be listed
        ({"s3://b/a/1": 3.0, "s3://b/a/2": 0.0, "s3://b/b/1": 3.0, "s3://b/b/2": 0.0}, "s3://b/a/1"),
        ({"s3://b/1": 0.0}, ""),
        ({}, ""),
    ],
)
def test_where_a_listing_may_start(ages: dict[str, float], after: str) -> None:
    assert start_after({url: Mark(1, "x", 100 * DAY - age * DAY) for url, age in ages.items()}) == after
    assert start_after({url: Mark(1, "x") for url in ages}) == ""


def test_a_bucket_is_asked_for_the_last_day_and_now_and_then_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {f"s3://b/{day}": Mark(day, f"t{day}", day * DAY) for day in range(1, 6)}
    asked: list[str] = []

    def list_marks(url: str, *, after: str = "") -> dict[str, Mark]:
        asked.append(after)
        return {name: mark for name, mark in there.items() if name > after}

    monkeypatch.setattr(bucket.locations, "list_marks", list_marks)
    source = Bucket("s3://b")
    assert len(source.files({})) == 5
    del there["s3://b/1"]
    there["s3://b/6"] = Mark(6, "t6", 6 * DAY)
    found = source.files({})
    assert (sorted(found)[0], len(found), found["s3://b/6"]) == ("s3://b/1", 6, Fingerprint(6, "t6"))
    source._all_at -= 3600
    assert sorted(source.files({})) == sorted(there)
    assert asked == ["", "s3://b/3", ""]


def test_what_hangs_is_left_alone_and_not_begun_again() -> None:
    end, waited = threading.Event(), []
    aside = Aside()
    with pytest.raises(TimeoutError, match=r"does not answer within 0\.1 s"):
        aside.call(end.wait, deadline=0.1, on_wait=lambda: waited.append(1))
    with pytest.raises(TimeoutError, match="hangs still"):
        aside.call(lambda: 1, deadline=0.1)
    end.set()
    assert aside._thread is not None
    aside._thread.join()
    assert aside.call(lambda: 1, deadline=1.0) == 1
    assert waited


def test_the_system_tells_that_a_folder_has_changed(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles", reason="watchfiles is not installed")
    waker, number = Waker([tmp_path, tmp_path / "none"]), 0
    while not waker.has_changed() and number < 600:  # it may take a moment until the system listens
        (tmp_path / f"{number}.h5").write_bytes(b"x")
        time.sleep(0.05)
        number += 1
    assert number < 600
    waker.close()
    assert waker._thread is not None
    assert not waker._thread.is_alive()


def test_without_folders_nothing_listens() -> None:
    waker = Waker([])
    assert not waker.has_changed()
    waker.close()


def test_a_folder_that_cannot_be_listed_is_trouble_with_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(folder: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("echocast.io.listing.inside", inside)
    polled = Polled(Folder(tmp_path), poll=1.0, depth=5)
    assert polled.list(0.0) is None
    assert (polled.kind, polled.trouble) == (
        "unreachable",
        f"{tmp_path}: cannot be listed (Permission denied); check the path",
    )
