"""The command: check and test."""

import json
from pathlib import Path

import pytest
from tests.operations.alerts import made, servers

from echocast.cli.main import status
from echocast.operations.stamps import iso


def test_check_tells_what_the_service_must_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = 'id = "wet"\nareas = "*"\nseverity = "Minor"\nquantity = "probability_amount"\nspan = 45\nthreshold = 7\n'
    made.alerts(tmp_path, rule + "at_least = 0.3")
    assert status(["alerts", "check", str(tmp_path / "alerts.toml")]) == 0
    told = capsys.readouterr().out
    for part in ("--minutes 45", "--members", "--amounts 7", "--spans 45", "rule 'wet' sends to no channel"):
        assert part in told


def live(tmp_path: Path) -> Path:
    """The folder of a service with one issue."""
    issue = made.published(tmp_path / "issues", 0, {"rate": [1.0]})
    about = {"id": issue.id, "time": iso(issue.time), "path": f"issues/{issue.id}"}
    (tmp_path / "index.json").write_text(json.dumps({"version": "1.0", "issues": [about]}))
    return tmp_path


def test_check_compares_with_an_issue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = live(tmp_path)
    made.alerts(tmp_path)
    command = ["alerts", "check", str(tmp_path / "alerts.toml"), "--dir", str(folder)]
    assert status(command) == 0
    assert "town" in capsys.readouterr().out
    made.alerts(tmp_path, made.RULE + 'of = "p90"', area='id = "far"\npoint = [-60, 3]\nradius_km = 5')
    assert status(command) == 1
    told = capsys.readouterr().out
    assert "has no layer rate.p90" in told
    assert "area 'far': 100% of it lie beyond the forecast" in told


def test_a_wrong_file_is_a_wrong_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["alerts", "check", str(tmp_path / "nothing.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_channel_can_be_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with servers.hook() as server:
        hook = f'[[channel]]\nid = "ops"\nkind = "webhook"\nurl = "http://127.0.0.1:{server.port}/"\nunsigned = true\n'
        cap = '[[channel]]\nid = "cap"\nkind = "cap"\nsender = "me@example.org"\nstatus = "Actual"\n'
        made.alerts(tmp_path, made.RULE + 'to = ["ops", "cap"]', more=hook + "insecure = true\n" + cap)
        command = ["alerts", "test", "--alerts", str(tmp_path / "alerts.toml"), "--channel"]
        assert status([*command, "ops"]) == 0
        assert "sent as" in capsys.readouterr().out
    message = json.loads(server.got[0][2])["data"]
    assert message["status"] == "Test"
    assert message["headline"]["en"].startswith("TEST")
    assert status([*command, "cap"]) == 0
    assert "<status>Test</status>" in capsys.readouterr().out  # whatever the channel's status
    assert status([*command, "ops"]) == 1  # the server is gone
    assert "the test was not sent" in capsys.readouterr().err
    assert status([*command, "pager"]) == 2
    assert "there are: ops, cap" in capsys.readouterr().err
