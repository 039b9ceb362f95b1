"""The outbox and the threads that empty it: nothing lost, in order, none waits for another."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.operations.alerts import made, servers

from echocast.operations.alerts.channel_config import WebhookChannel
from echocast.operations.alerts.channels import LinesFile, NotSent, Webhook, line_of
from echocast.operations.alerts.delivery import Delivery
from echocast.operations.alerts.messages import Message
from echocast.operations.alerts.outbox import Entry, Outbox, wait_after
from echocast.operations.measures import FAMILIES


class Fake:
    """A sender that fails while told, and keeps what came."""

    def __init__(self, fails: int = 0) -> None:
        self.fails, self.got = fails, list[Message]()

    def send(self, message: Message) -> str:
        if self.fails:
            self.fails -= 1
            raise NotSent("no")
        self.got.append(message)
        return ""


class Now:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.time = made.T0 + 60

    def __call__(self) -> float:
        return self.time


def entries(tmp_path: Path, channel: str = "a") -> list[Entry]:
    """An Alert and its Update, and the Alert of another incident."""
    alerts = made.alerts(tmp_path)
    first, second = made.message(alerts), made.message(alerts, "Update", 1)
    other = replace(made.message(alerts), id="f" * 32, incident="o" * 32)
    return [Entry(second, channel), Entry(first, channel), Entry(other, channel, 1)]


def test_waits_grow_from_five_seconds_to_an_hour() -> None:
    assert [wait_after(n) for n in (1, 2, 3, 10, 11, 500)] == [5, 10, 20, 2560, 3600, 3600]


def test_messages_of_an_incident_keep_their_order_and_others_go_on(tmp_path: Path) -> None:
    now, outbox = Now(), Outbox(tmp_path / "outbox")
    update, alert, other = entries(tmp_path)
    outbox.put([update, alert, other])
    sender = Fake(fails=1)
    delivery = Delivery(outbox, {"a": sender}, now=now)
    assert delivery.send_due("a") == 2  # the Alert failed; its Update waits for it
    assert sender.got == [other.message]
    now.time += 4
    assert delivery.send_due("a") == 0
    now.time += 1
    assert delivery.send_due("a") == 2
    assert sender.got == [other.message, alert.message, update.message]
    assert list((tmp_path / "outbox").iterdir()) == []
    counts = {key[2]: number for key, number in outbox.counts.items()}
    assert counts == {"sent": 3, "not_sent": 1}
    assert set(counts) <= set(FAMILIES["echocast_notifications"].known["outcome"])  # for which the pager's rules look


def test_what_is_not_sent_is_there_after_a_restart_and_dropped_when_it_has_expired(tmp_path: Path) -> None:
    now, outbox = Now(), Outbox(tmp_path / "outbox")
    outbox.put(entries(tmp_path))
    Delivery(outbox, {"a": Fake(fails=9)}, now=now).send_due("a")
    (tmp_path / "outbox" / ".x.json.partial.json").write_text("torn")
    (tmp_path / "outbox" / "y.json").write_text("{}")
    told = []
    again = Outbox(tmp_path / "outbox")
    assert len(again) == 3
    assert sorted(one.name for one in (tmp_path / "outbox").iterdir() if one.suffix != ".json") == ["y.damaged"]
    delivery = Delivery(again, {}, now=now, tell=lambda event, **more: told.append(more))
    now.time = made.T0 + 10 * 86_400
    delivery.drop_expired()
    assert (len(again), len(told), told[0]["outcome"]) == (0, 3, "expired")
    assert again.counts["heavy", "a", "expired"] == 3


def test_a_clock_that_is_set_back_delays_nothing_for_long(tmp_path: Path) -> None:
    now, outbox = Now(), Outbox(tmp_path / "outbox")
    (entry,) = entries(tmp_path)[1:2]
    outbox.put([entry])
    outbox.failed(entry, now() + 86_400, why="no")
    assert outbox.next("a", now()) is not None


def test_a_channel_that_hangs_delays_no_other(tmp_path: Path) -> None:
    outbox, hangs, file = Outbox(tmp_path / "outbox"), threading.Event(), tmp_path / "lines"

    class Hanging:
        def send(self, message: Message) -> str:
            hangs.wait(20)
            return ""

    delivery = Delivery(outbox, {"slow": Hanging(), "quick": LinesFile(file)}, now=Now())
    delivery.start()
    _, alert, other = entries(tmp_path)
    outbox.put([replace(one, channel=channel) for one in (alert, other) for channel in ("slow", "quick")])
    end = time.monotonic() + 20
    while time.monotonic() < end and len(outbox) > 2:
        time.sleep(0.01)
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [alert.message.id, "f" * 32]
    assert len(outbox) == 2
    hangs.set()
    delivery.end()
    assert len(outbox) == 0


def test_a_server_that_fails_twice_gets_the_same_message_in_the_end(tmp_path: Path) -> None:
    now, outbox = Now(), Outbox(tmp_path / "outbox")
    alert = entries(tmp_path)[1]
    with servers.hook([(500, {}), (503, {"Retry-After": "60"}), (200, {})]) as server:
        channel = WebhookChannel(
            id="a", kind="webhook", url=f"http://127.0.0.1:{server.port}/", unsigned=True, insecure=True
        )
        delivery = Delivery(outbox, {"a": Webhook(channel, None, tmp_path)}, now=now)
        outbox.put([alert])
        tried = [delivery.send_due("a")]
        for seconds in (5, 30, 30):  # five seconds, and then the minute that the server asked for
            now.time += seconds
            tried.append(delivery.send_due("a"))
    assert tried == [1, 1, 0, 1]
    assert {headers["webhook-id"] for _, headers, _ in server.got} == {alert.message.id}
    assert len({body for _, _, body in server.got}) == 1


def test_a_torn_line_is_ended_before_the_next_one(tmp_path: Path) -> None:
    message, path = entries(tmp_path)[1].message, tmp_path / "lines"
    path.write_bytes(b'{"torn": ')
    LinesFile(path).send(message)
    assert path.read_bytes() == b'{"torn": \n' + line_of(message)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotSent, match="cannot be written"):
        LinesFile(tmp_path / "folder").send(entries(tmp_path)[1].message)
