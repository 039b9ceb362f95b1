"""Settings that are read again, what systemd is told, and what takes part in the service."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast.errors import DataError
from echocast.io.reading import ReadOptions
from echocast.operations.clocks import ManualClock
from echocast.operations.extensions import Extension
from echocast.operations.index import Issue
from echocast.operations.notify import Notifier
from echocast.operations.settings import Settings, SettingsError, read_settings
from echocast.operations.watching import Watch


class Recorder(Extension):
    """Notes all that it is told."""

    name = "recorder"

    def __init__(self) -> None:
        self.told: list[str] = []

    def published(self, issue: Issue) -> None:
        self.told.append(issue.time)

    def turn(self, state: str) -> None:
        if state != (self.told or [""])[-1]:
            self.told.append(state)

    def prepare(self, settings: Settings) -> Callable[[], None]:
        if settings.minutes == 15:
            raise DataError("the rules are wrong")
        return lambda: self.told.append(f"minutes={settings.minutes:g}")

    def status(self) -> dict[str, Any]:
        return {"told": len(self.told)}


def reloaded(watch: Watch, **more: Any) -> str:
    """Send new settings; what the log says of them."""
    given = watch.settings.model_dump(exclude_none=True) | more
    watch.reread = lambda: (read_settings(given), ReadOptions())
    watch._reload_asked = True
    watch.turn()
    told = [line for line in service.lines(watch) if line["event"] == "reloaded" or line.get("reason") == "reload"]
    return str(told[-1].get("changed") or told[-1].get("message"))


def test_new_settings_count_from_the_next_issue_and_wrong_ones_never(tmp_path: Path) -> None:
    radar, clock = FakeRadar(tmp_path / "radar", 5, faulty=False), ManualClock(START_S)
    watch, other = service.watch(radar.folder, tmp_path / "live", clock), Recorder()
    watch.extensions.all.append(other)
    # One by one: each is refused for another reason, and all that is good in it too.
    refused = {
        "--frames": reloaded(watch, frames=1),
        "--out": reloaded(watch, frames=3, out=tmp_path / "other"),
        "persistance": reloaded(watch, frames=3, model="persistance"),
        "no members": reloaded(watch, frames=3, members=5),
        "the rules are wrong": reloaded(watch, frames=3, minutes=15),
        "not supported": reloaded(watch, frames=3, sources=["ftp://host/radar"]),
    }
    for word, told in refused.items():
        assert told.startswith("the old configuration stays: "), told
        assert word in told
    assert (watch.settings.frames, watch.intake.settings.frames, watch.issuing.settings.frames) == (4, 4, 4)
    assert reloaded(watch, minutes=5, frames=3, settle="1s", memory="1GB", poll="20s") == (
        "minutes,frames,poll,settle,memory"
    )
    assert (watch.intake.files.settle, watch.issuing.worker.memory, watch.intake.sources[0].poll) == (1.0, 10**9, 20.0)
    assert "minutes=5" in other.told
    service.drive(watch, radar)
    metas = service.read_all(tmp_path / "live").values()
    assert {(len(meta["leads"]), len(meta["frames"])) for meta in metas} == {(1, 2), (1, 3)}
    times = sorted(meta["time"] for meta in metas)
    assert sorted(told for told in other.told if told in times) == times
    assert watch.status.content()["recorder"] == {"told": len(other.told)}
    watch.close()


def test_what_takes_part_and_fails_stops_no_forecast(tmp_path: Path) -> None:
    class Broken(Extension):
        name = "broken"

        def published(self, issue: Issue) -> None:
            raise RuntimeError("no")

    radar, clock = FakeRadar(tmp_path / "radar", 4, faulty=False), ManualClock(START_S)
    watch = service.watch(radar.folder, tmp_path / "live", clock)
    watch.extensions.all.append(Broken())
    service.drive(watch, radar)
    assert len(service.read_all(tmp_path / "live")) == 3
    assert {(e["reason"], e["message"]) for e in watch.issuing.health.errors} == {("broken", "RuntimeError: no")}
    watch.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd would listen to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.bind(str(tmp_path / "notify"))
        listens.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1")
        yield listens


def heard(listens: socket.socket) -> list[str]:
    """The messages since it was last asked."""
    found = []
    while True:
        try:
            found.append(listens.recv(4096).decode())
        except BlockingIOError:
            return found


def test_systemd_is_told_of_each_change_and_of_life_only_while_the_loop_turns(
    tmp_path: Path, systemd: socket.socket
) -> None:
    (tmp_path / "radar").mkdir()
    watch = service.watch(tmp_path / "radar", tmp_path / "live")
    assert heard(systemd) == []  # not ready before the first listing
    watch.turn()
    first = heard(systemd)
    assert first[0] == "WATCHDOG=1"
    assert [told for told in first if told != "WATCHDOG=1"] == [
        "READY=1\nSTATUS=starting, newest frame none, newest forecast none"
    ]
    assert heard(systemd) == []  # no turn, no sign of life
    watch.heartbeat()
    assert heard(systemd) == ["WATCHDOG=1"]
    reloaded(watch, frames=5)
    told = heard(systemd)
    assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[1].startswith("READY=1\n")
    watch.close()
    assert heard(systemd) == ["STOPPING=1\nSTATUS=stopping"]


def test_an_abstract_socket_and_a_watchdog_of_another_process() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.bind("\0echocast-test-notify")
        notifier = Notifier({"NOTIFY_SOCKET": "@echocast-test-notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
        notifier.alive()
        notifier.status("a\nb")
        assert listens.recv(100) == b"STATUS=a b"
    notifier.stopping()  # nobody listens any more


def test_hangup_reads_the_configuration_again(tmp_path: Path) -> None:
    (tmp_path / "radar").mkdir()

    class Signalled(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            signal.raise_signal(signal.SIGTERM if asked else signal.SIGHUP)

    asked: list[int] = []

    def reread() -> tuple[Settings, ReadOptions]:
        asked.append(1)
        raise SettingsError("--poll 'soon': is not a duration")

    watch = service.watch(tmp_path / "radar", tmp_path / "live", Signalled(START_S))
    watch.reread = reread
    assert watch.run() == 0
    assert asked == [1]
    assert [line["message"] for line in service.lines(watch) if line["event"] == "error"] == [
        "the old configuration stays: --poll 'soon': is not a duration"
    ]
