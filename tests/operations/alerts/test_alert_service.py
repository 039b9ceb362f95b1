"""The service: issues in, messages and alerts.json out; stale data, revisions, new rules."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.operations.alerts import made

from echocast.errors import DataError
from echocast.operations.alerts.config import AlertsError
from echocast.operations.alerts.service import AlertService
from echocast.operations.clocks import ManualClock

CHANNEL = '[[channel]]\nid = "log"\nkind = "file"\npath = "log.jsonl"\n'
CAP = '[[channel]]\nid = "cap"\nkind = "cap"\nsender = "nowcast@example.org"\n'
RULE = made.RULE + 'to = ["log", "cap"]\nclear_below = 5\nkeep = 2\nleads = [0, 60]\n'


class Served:
    """A service in a folder, whose time moves when told."""

    def __init__(self, folder: Path, rule: str = RULE, **more: Any) -> None:
        self.folder, self.events = folder, list[dict[str, Any]]()
        self.clock = ManualClock(made.T0)
        given = {"more": CHANNEL + CAP} | more
        self.service = AlertService(
            made.alerts(folder, rule, **given),
            folder / "live",
            self.clock,
            tell=lambda event, **about: self.events.append({"event": event} | about),
        )

    def issue(self, number: int, rate: object, *, revision: int = 0, observed: np.ndarray | None = None) -> bool:
        """Judge an issue: the rates of its leads."""
        from dataclasses import replace

        found = made.published(self.folder, number, {"rate": rate, "prob.rate.10": [0.0, 0.55]}, revision=revision)
        self.clock.time = found.published
        return self.service.evaluate(replace(found, observed=lambda: observed))

    def sent(self) -> list[dict[str, Any]]:
        """All that the file of the channel got."""
        self.service.start()
        self.service.close(within_s=120)
        self.service._delivery = self.service._made_delivery(self.service.alerts)
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def shown(self) -> Any:
        """alerts.json."""
        return json.loads((self.folder / "live" / "alerts.json").read_bytes())


def test_an_incident_from_its_alert_to_its_end(tmp_path: Path) -> None:
    served = Served(tmp_path)
    for number, rate in enumerate([0, 12, 14, 3, 3, 0]):
        assert served.issue(number, [0.0, rate])
    messages = served.sent()
    assert [(one["kind"], one["reason"]) for one in messages] == [("Alert", "raised"), ("Cancel", "cleared")]
    alert, cancel = messages
    assert alert["incident"] == cancel["incident"]
    assert cancel["references"] == [[alert["id"], alert["sent"]]]
    assert (alert["sent"], alert["onset"]) == ("2026-10-14T17:57:00Z", "2026-10-14T18:05:00Z")
    assert (alert["value"], alert["unit"], alert["probability"]) == (12.0, "mm/h", 0.55)
    assert alert["model"] == "lagrangian"
    assert alert["notice"] == "Automatic, not an official warning."
    files = list((tmp_path / "live" / "alerts").glob("*.cap.xml"))
    assert {path.name for path in files} == {f"{one['id']}.cap.xml" for one in messages}
    assert all("<polygon>" in path.read_text() for path in files)


def test_alerts_json_shows_what_is_active_and_what_is_not_known(tmp_path: Path) -> None:
    lon, lat = made.place(0, 0)
    other = f'id = "corner"\npoint = [{lon}, {lat}]\nradius_km = 5'
    town = made.AREA.format(lon=made.place(5, 4)[0], lat=made.place(5, 4)[1])
    served = Served(tmp_path, area=f"{town}\n[[area]]\n{other}")
    served.issue(0, [0.0, 12.0])
    shown = served.shown()
    ((feature,), (unknown,)) = shown["features"], shown["unknown"]
    assert (feature["properties"]["area"], unknown["area"]) == ("town", "corner")
    assert "lie beyond the forecast" in unknown["why"]
    ring = feature["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert shown["data"] == "ok"
    assert [one["area"] for one in served.service.active] == ["town"]
    assert served.service.status()["unknown"] == 1


def test_stale_data_is_no_all_clear(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.issue(0, [0.0, 12.0])
    served.clock.sleep(1300)
    served.service.tick()
    assert served.shown()["data"] == "stale"
    assert served.service.status() | {"outbox": 0, "notifications": {}} == {
        "active": 1, "pending": 0, "unknown": 0, "data": "stale", "issue": served.service.state.issue,
        "outbox": 0, "notifications": {},
    }  # fmt: skip
    assert [one["kind"] for one in served.sent()] == ["Alert"]
    assert [one["reason"] for one in served.events if one["event"] == "alerts"] == ["no data"]
    served.issue(5, [0.0, 12.0])
    assert served.shown()["data"] == "ok"


def test_issues_are_judged_once_and_older_ones_never(tmp_path: Path) -> None:
    served = Served(tmp_path, RULE.replace("keep = 2", "keep = 1"))
    assert served.issue(1, [12.0])
    assert not served.issue(1, [12.0])
    assert not served.issue(0, [0.0])
    assert served.issue(1, [0.0], revision=1)  # what was told is taken back by the revision
    assert [one["kind"] for one in served.sent()] == ["Alert", "Cancel"]


def test_states_go_on_after_a_restart(tmp_path: Path) -> None:
    served = Served(tmp_path, RULE + "for = 2")
    served.issue(0, [12.0])
    served = Served(tmp_path, RULE + "for = 2")
    served.issue(1, [12.0])
    assert [one["issue"]["time"] for one in served.sent()] == ["2026-10-14T17:55:00Z"]


def test_new_rules_count_at_once_and_wrong_ones_never(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.issue(0, [12.0])
    path = tmp_path / "alerts.toml"
    good = path.read_text()
    path.write_text(good.replace("threshold", "treshold"))
    with pytest.raises(AlertsError, match="treshold"):
        served.service.prepare(path)
    assert served.service.alerts.rules[0].id == "heavy"
    path.write_text(good.replace('id = "heavy"', 'id = "other"'))
    served.service.prepare(path)()
    served.issue(1, [12.0])
    served.service.close(within_s=120)
    messages = served.sent()
    # The rule that told of the incident is gone: its receivers hear that it is over.
    assert [(one["rule"], one["kind"], one["reason"]) for one in messages] == [
        ("heavy", "Alert", "raised"),
        ("other", "Alert", "raised"),
        ("heavy", "Cancel", "withdrawn"),
    ]


def test_old_data_played_again_is_called_an_exercise(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.service.status_of_messages = "Exercise"
    served.issue(0, [12.0])
    (message,) = served.sent()
    assert message["status"] == "Exercise"
    assert message["headline"]["en"].startswith("EXERCISE")
    (cap,) = (tmp_path / "live" / "alerts").glob("*.cap.xml")
    assert "<status>Exercise</status>" in cap.read_text()


def test_where_it_rains_already_by_the_frame_nothing_is_raised(tmp_path: Path) -> None:
    served = Served(tmp_path, RULE + "suppress_if_raining = true")
    wet, unknown = np.full(made.SHAPE, 0.2, np.float32), np.full(made.SHAPE, np.nan, np.float32)
    served.issue(0, [12.0], observed=wet)
    assert served.sent() == []
    served.issue(1, [12.0], observed=unknown)  # not known is not wet
    assert len(served.sent()) == 1


def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    hook = '[[channel]]\nid = "log"\nkind = "webhook"\nurl = "https://example.org"\nsecret_file = "nothing"\n'
    with pytest.raises(DataError, match=r"channel 'log': the secret in .*nothing cannot be read"):
        Served(tmp_path, more=hook + CAP)


def test_a_damaged_state_is_set_aside_and_another_version_refused(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.issue(0, [12.0])
    path = tmp_path / "live" / "alerts-state.json"
    path.write_text("{")
    assert Served(tmp_path).service.state.records == {}
    assert path.with_suffix(".damaged").exists()
    path.write_text('{"version": "2.0"}')
    with pytest.raises(DataError, match="is of version 2"):
        Served(tmp_path)
