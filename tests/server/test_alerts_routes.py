"""Alerts over HTTP: what is published, what is stale, the feed, and CAP by id alone."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.operations.alerts import made
from tests.operations.alerts.test_alert_service import Served
from tests.server.client import Answer, Client

from echocast.server.app import create_app
from echocast.server.service import Service
from echocast.server.settings import read_settings

ATOM = {"a": "http://www.w3.org/2005/Atom"}


def served(tmp_path: Path, *, after_s: float = 0.0) -> tuple[Client, list[dict[str, Any]]]:
    """A server of a folder with an incident, some time after its second issue; the messages."""
    made_by = Served(tmp_path)
    for number, rate in enumerate([12.0, 30.0]):
        made_by.issue(number, [0.0, rate])
    messages = made_by.sent()
    settings = read_settings({"folder": str(tmp_path / "live")})
    service = Service(settings, clock=lambda: made.T0 + made.STEP_S + after_s)
    return Client(create_app(settings, service)), messages


def get(client: Client, url: str, status: int = 200, **headers: str) -> Answer:
    found = client.get(url, **headers)
    assert found.status == status, found.body
    return found


def test_active_alerts_and_messages(tmp_path: Path) -> None:
    client, (message,) = served(tmp_path)
    found = get(client, "/v1/alerts.json")
    assert found.headers["content-type"] == "application/geo+json"
    content = found.json()
    assert (content["data"], len(content["features"])) == ("ok", 1)
    assert content["messages"][0]["id"] == message["id"]
    get(client, "/v1/alerts.json", 304, if_none_match=found.headers["etag"])
    cap = get(client, f"/v1/{content['messages'][0]['cap']}")
    assert cap.headers["content-type"] == "application/cap+xml"
    assert message["id"].encode() in cap.body


def test_what_is_old_is_said_to_be(tmp_path: Path) -> None:
    client, _ = served(tmp_path, after_s=1300)
    assert get(client, "/v1/alerts.json").json()["data"] == "stale"


def test_without_rules_nothing_is_said(tmp_path: Path) -> None:
    client = Client(create_app(read_settings({"folder": str(tmp_path)})))
    assert get(client, "/v1/alerts.json").json()["data"] == "off"
    (tmp_path / "alerts.json").write_text("{")
    get(client, "/v1/alerts.json", 503)
    (tmp_path / "alerts.json").write_text(json.dumps({"type": "Feature"}))
    get(client, "/v1/alerts/feed.atom", 503)


def test_the_feed_has_an_entry_a_message(tmp_path: Path) -> None:
    client, (message,) = served(tmp_path)
    feed = ElementTree.fromstring(get(client, "/v1/alerts/feed.atom").body)
    (entry,) = feed.findall("a:entry", ATOM)
    assert entry.findtext("a:id", namespaces=ATOM) == f"urn:echocast:alert:{message['id']}"
    assert (
        entry.findtext("a:updated", namespaces=ATOM) == message["sent"] == feed.findtext("a:updated", namespaces=ATOM)
    )
    link = entry.find("a:link", ATOM)
    assert link is not None
    assert get(client, f"/v1/alerts/{link.attrib['href']}").status == 200


def test_only_ids_lead_to_files(tmp_path: Path) -> None:
    client, _ = served(tmp_path)
    (tmp_path / "live" / "alerts" / "secret.cap.xml").write_text("no")
    for name in ("secret", "0" * 32, "..%2falerts-state", "a" * 500, "%00"):
        get(client, f"/v1/alerts/{name}.cap.xml", 404)
