"""Rules in the service that watches: judged after each publication, shown in index.json and status.json."""

import json
from pathlib import Path

import pytest
from tests.operations import service
from tests.operations.alerts import made
from tests.operations.fake_radar import FakeRadar

from echocast.errors import DataError
from echocast.operations.alerts.issue import newest_in

AREA = 'id = "all"\ncoordinates = [[18.63, 57.945], [18.67, 57.945], [18.67, 57.975], [18.63, 57.975]]'
RULES = (
    'id = "any"\nareas = "*"\nseverity = "Minor"\nquantity = "rate"\nstatistic = "share>0"\nat_least = 0.01\n'
    'to = "log"\n'
    '[[rule]]\nid = "much"\nareas = "*"\nseverity = "Minor"\nquantity = "amount"\nspan = 10\nthreshold = 7\n'
)
LOG = '[[channel]]\nid = "log"\nkind = "file"\npath = "log.jsonl"\n'


def test_a_watched_feed_raises_alerts(tmp_path: Path) -> None:
    made.alerts(tmp_path, RULES, area=AREA, more=LOG)
    radar = FakeRadar(tmp_path / "radar", 6, faulty=False)
    given = {"alerts": tmp_path / "alerts.toml"}
    watch = service.watch(radar.folder, tmp_path / "live", **given)
    service.drive(watch, radar)
    status = watch.status.content()["alerts"]
    index = json.loads((tmp_path / "live" / "index.json").read_bytes())
    shown = json.loads((tmp_path / "live" / "alerts.json").read_bytes())
    watch.close()
    newest = newest_in(tmp_path / "live")
    # The span of ten minutes is none of the usual ones: the issue holds it because a rule needs it.
    assert "amount.10" in newest.values.variables
    assert shown["issue"]["id"] == status["issue"] == index["issues"][0]["id"] == newest.id
    assert "any" in {one["rule"] for one in index["alerts"]}
    assert shown["unknown"] == []
    assert status["active"] == len(index["alerts"])
    messages = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert messages[0]["kind"] == "Alert"
    # The first forecast is made of three frames; the one before it is made up for later, and says nothing new.
    assert messages[0]["issue"]["time"] == sorted(one["time"] for one in index["issues"])[1]


def test_what_is_wrong_with_the_rules_ends_the_start(tmp_path: Path) -> None:
    made.alerts(tmp_path, RULES, area=AREA, more=LOG)
    path = tmp_path / "alerts.toml"
    path.write_text(path.read_text().replace("at_least", "atleast"))
    FakeRadar(tmp_path / "radar", 3, faulty=False)
    with pytest.raises(DataError, match="there is no key 'atleast'; do you mean 'at_least'"):
        service.watch(tmp_path / "radar", tmp_path / "live", alerts=path)


def test_rules_are_read_again_and_wrong_ones_left_out(tmp_path: Path) -> None:
    made.alerts(tmp_path, RULES, area=AREA, more=LOG)
    path = tmp_path / "alerts.toml"
    watch = service.watch(tmp_path / "radar", tmp_path / "live", alerts=path)
    try:
        good = path.read_text()
        for text in (good.replace("share>0", "share"), good.replace("span = 10", "span = 15")):
            path.write_text(text)
            watch._reload_asked = True  # as SIGHUP does
            watch.turn()
        told = [(line["event"], line.get("reason", "")) for line in service.lines(watch)]
        ((_, why),) = [one for one in told if one[0] == "error"]
        assert why == "reload"
        assert "reloaded" in {event for event, _ in told}
        assert 15.0 in watch.issuing.thresholds.spans
    finally:
        watch.close()
