"""The command as a process: real sockets, signals, metrics."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server import issues


@contextmanager
def serving(root: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    line = [sys.executable, "-m", "echocast", "serve", str(root), "--bind", "127.0.0.1:0", "--log", "json", *more]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        started = json.loads(process.stderr.readline())
        port = int(started["address"].rstrip("/").rpartition(":")[2])
        _wait_for(port)
        yield process, port
    finally:
        process.kill()
        process.communicate(timeout=20)


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            ask(port, "/healthz")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")


def ask(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def counted(port: int) -> dict[str, float]:
    text = ask(port, "/metrics")[1].decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def run(root: Path, *more: str) -> None:
    """Ask a server while issues come, and end it."""
    folder = issues.Folder(root, now=time.time())
    metrics = free_port()
    with serving(root, "--metrics-bind", f"127.0.0.1:{metrics}", "--poll", "1s", *more) as (process, port):
        assert ask(port, "/readyz")[0] == 503
        issue = folder.issue(5)
        folder.index()
        for _ in range(200):
            index = json.loads(ask(port, "/v1/index.json")[1])
            if index["issue"]:
                break
            time.sleep(0.1)
        assert index["issue"]["id"] == issue.id
        statuses = [ask(port, f"/v1/tiles/{issue.id}/rate/5/6/36/17.png")[0] for _ in range(6)]
        assert set(statuses) <= {200, 404}  # another worker may know of the issue a moment later
        assert statuses[-1] == 200 or more
        found = counted(metrics)
        assert found["echocast_http_requests_total"] >= 8
        assert found["echocast_served_issue_timestamp_seconds"] == issue.seconds
        assert found["echocast_build_info"] >= 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_new_issue_is_served_counted_and_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    run(tmp_path / "live")


@pytest.mark.slow  # three processes start
def test_several_workers_are_counted_together(tmp_path: Path) -> None:
    run(tmp_path / "live", "--workers", "2")


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (["nowhere", "--bind", "127.0.0.1:0"], 1, "there is no such folder"),
        ([".", "--bind", "8080"], 2, "--bind '8080'"),
        ([".", "--bind", "127.0.0.1:99999"], 1, "cannot be used"),
        ([".", "--palette", "jet"], 2, "--palette 'jet'"),
    ],
)
def test_wrong_settings_are_one_line(
    given: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from echocast.cli import main

    assert main.status(["serve", *given]) == status
    assert words in " ".join(capsys.readouterr().err.split())


def test_check_prints_settings_that_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from echocast.cli import main
    from echocast.server.settings import read_settings

    assert main.status(["serve", str(tmp_path), "--stale", "30min", "--cors", "https://a.example", "--check"]) == 0
    file = tmp_path / "again.toml"
    file.write_text(capsys.readouterr().out)
    found = read_settings({}, file=file)
    assert (found.folder, found.stale, found.cors) == (tmp_path, 1800, ["https://a.example"])


def test_without_the_extra_its_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from echocast.cli import main

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main.status(["serve", str(tmp_path)]) == 1
    assert "pip install 'echocast[operations]'" in " ".join(capsys.readouterr().err.split())
