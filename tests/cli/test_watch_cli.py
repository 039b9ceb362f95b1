"""echocast watch from its command line: settings in force, exit statuses, and a pass with a process of its own."""

import json
import tomllib
from pathlib import Path

import pytest
from tests.operations.fake_radar import START_S, FakeRadar

from echocast.cli.main import status
from echocast.operations.settings import read_settings


def test_the_settings_in_force_are_a_file_that_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "watch.toml"
    config.write_text('[watch]\nsources = ["radar"]\nleast-frames = 3\npoll = "1min"\nsettle = "9s"\n')
    monkeypatch.setenv("ECHOCAST_WATCH__POLL", "30s")
    monkeypatch.setenv("ECHOCAST_WATCH__MEMBERS", "7")
    given = ["watch", "--config", str(config), "--out", str(tmp_path), "--members", "5", "--check"]
    assert status(given) == 0
    printed = capsys.readouterr().out
    told = tomllib.loads(printed)["watch"]
    assert (told["poll"], told["members"], told["least_frames"], told["settle"]) == (30.0, 5, 3, 9.0)
    config.write_text(printed)
    assert read_settings({}, file=config) == read_settings(told)


def test_one_file_serves_before_and_behind_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, printed = tmp_path / "echocast.toml", {}
    config.write_text('[nowcast]\nminutes = 60\n[watch]\nsources = ["radar"]\nout = "live"\n[serve]\nfolder = "live"\n')
    for verb in ("watch", "serve"):
        for line in (["--config", str(config), verb], [verb, "--config", str(config)]):
            assert status([*line, "--check"]) == 0
            printed[line[0]] = capsys.readouterr().out
        assert printed["--config"] == printed[verb]
    for content, words in (
        ('sources = ["radar"]', "sources stands in no table; put a line [watch] above"),
        ("[nowcast]\nminutes = 60", "has no table [watch] for echocast watch; its tables: [nowcast]"),
        ("[watch]\npol = 1", "there is no setting 'pol'"),
    ):
        config.write_text(content)
        assert status(["watch", "--config", str(config), "--out", "live"]) == 2
        told = capsys.readouterr().err.replace("│", " ")
        assert words in " ".join(told.split()), told


def test_a_wrong_setting_is_status_2_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["watch", "radar", "--out", str(tmp_path), "--metrics", "9464"]) == 2
    assert "--metrics '9464': is no address such as 127.0.0.1:9464" in capsys.readouterr().err


def test_a_pass_reads_and_computes_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    radar = FakeRadar(tmp_path / "radar", 3, faulty=False)
    radar.advance(START_S + 3600)
    live = tmp_path / "live"
    given = ["watch", str(radar.folder), "--out", str(live), "--model", "persistence", "--once", "--settle", "0s"]
    assert status([*given, "--log", "json", "--minutes", "10"]) == 0
    assert [issue["time"][11:16] for issue in json.loads((live / "index.json").read_bytes())["issues"]] == [
        "00:10",
        "00:05",
    ]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["issue"][9:13] for line in lines if line["event"] == "issued"] == ["0010", "0005"]
    about = json.loads((live / "status.json").read_bytes())
    assert set(about) >= {
        "state", "pid", "host", "version", "started", "now", "newest_frame", "newest_issue", "expected_next", "frames",
        "last_errors", "disk", "catch_up_left", "alerts",
    }  # fmt: skip
    assert set(about["newest_issue"]) == {"id", "time", "published", "age_s", "seconds", "nwp"}
    assert (about["state"], about["frames"], about["catch_up_left"]) == ("stopping", {"used": 3}, 0)
    assert status(["watch", str(tmp_path / "none"), "--out", str(tmp_path / "other"), "--once"]) == 3
