"""The service against a radar with every fault: what is published is what a plain loop over the arrivals says."""

import json
import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests import example_files
from tests.operations import fake_radar, service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast import nowcast
from echocast.io.forecast_file import from_netcdf
from echocast.operations.clocks import ManualClock
from echocast.operations.intake import ProductChanged
from echocast.operations.stamps import seconds_of
from echocast.operations.watching import Locked, Watch


def published(root: Path) -> dict[tuple[int, int], dict[str, object]]:
    """The published issues by the number of their newest frame and their revision; none twice."""
    metas = service.read_all(root).values()
    found = {(round((seconds_of(m["time"]) - START_S) / 300), m["revision"]): m for m in metas}
    assert len(found) == len(metas)
    return found


def run_faulty(tmp_path: Path, frames: int, seed: int) -> None:
    radar = FakeRadar(tmp_path / "radar", frames, seed)
    expected = fake_radar.expected(radar, frames=service.FRAMES, catch_up=12)
    watch = service.watch(radar.folder, tmp_path / "live", keep="30d")
    turns = []

    def check(now: float) -> None:
        turns.append(now)
        if len(turns) % 20 == 0:
            service.read_all(tmp_path / "live")

    service.drive(watch, radar, check)
    found = published(tmp_path / "live")
    assert {key: len(meta["frames"]) for key, meta in found.items()} == {k: len(v) for k, v in expected.items()}
    for number, (key, paths) in enumerate(sorted(expected.items())):
        if number % 5 and number < len(expected) - 3:
            continue
        folder = watch.layout.issue(str(found[key]["id"]))
        made = from_netcdf(next(folder.glob("*.nc")))
        alone = nowcast.nowcast(
            paths, "persistence", minutes=10, select=nowcast.Selection(frames=service.FRAMES)
        ).forecast
        np.testing.assert_array_equal(made.values, alone.values)
        np.testing.assert_array_equal(made.time.values, alone.time.values)
    told = [line for line in service.lines(watch) if line["event"] == "issued"]
    assert len(told) == len(expected)
    counts = watch.issuing.health.frames
    assert {"used", "late", "duplicate", "corrected", "quarantined", "grid", "future", "blank"} <= set(counts)
    watch.close()


def test_every_issue_that_the_rules_allow_is_published_once_whatever_the_radar_does(tmp_path: Path) -> None:
    run_faulty(tmp_path, 30, 0)


@pytest.mark.slow  # a day of frames, three times: minutes
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_whole_day_of_faults(tmp_path: Path, seed: int) -> None:
    run_faulty(tmp_path, 288, seed)


def ids_of(tmp_path: Path, name: str, start: np.datetime64, jumps: dict[int, float]) -> set[str]:
    """The ids that are published of a sound radar whose clock jumps at some turns."""
    radar = FakeRadar(tmp_path / f"radar_{name}", 4, faulty=False, start=start)
    clock = ManualClock(radar.start_s)
    watch = service.watch(radar.folder, tmp_path / name, clock)
    left = dict(jumps)

    def jump(now: float) -> None:
        for at in [at for at in left if now - radar.start_s >= at]:
            clock.jump(left.pop(at))

    service.drive(watch, radar, jump)
    watch.close()
    return set(service.read_all(tmp_path / name))


JUMPS = {400: -3600.0, 700: 3600.0, 1000: 3600.0}


@pytest.mark.parametrize(
    ("zone", "start", "jumps"),
    [
        ("Pacific/Kiritimati", "2026-05-01T00:00", JUMPS),  # 14 hours ahead
        ("Europe/Zurich", "2026-03-29T00:50", {}),  # summer time begins at 01:00 UTC
        ("Europe/Zurich", "2026-10-25T00:50", {700: 3600.0}),  # it ends: local times come twice
        ("right/UTC", "2016-12-31T23:50", {620: -1.0}),  # a zone with leap seconds; the clock shows the last one twice
    ],
)
def test_time_zones_and_clocks_that_jump_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, start: str, jumps: dict[int, float]
) -> None:
    begin = np.datetime64(start, "ns")
    plain = ids_of(tmp_path, "plain", begin, {})
    assert {name[:15] for name in plain} == {
        str(begin + n * np.timedelta64(5, "m"))[:19].replace("-", "").replace(":", "") for n in (1, 2, 3)
    }
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert ids_of(tmp_path, "there", begin, jumps) == plain
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_file_of_the_leap_second_is_the_frame_of_midnight(tmp_path: Path) -> None:
    radar, clock = tmp_path / "radar", ManualClock(seconds_of("2017-01-01T00:01:00Z"))
    radar.mkdir()
    midnight = np.datetime64("2017-01-01T00:00", "ns")
    for minutes in (10, 5, 0):
        last = example_files.odim(radar, time=midnight - np.timedelta64(minutes, "m"))
    with h5py.File(last, "r+") as file:
        file["what"].attrs["date"], file["what"].attrs["time"] = np.bytes_("20161231"), np.bytes_("235960")
    watch = service.watch(radar, tmp_path / "live", clock, settle="0s")
    for _ in range(3):
        clock.sleep(watch.turn() + 1)
    watch.close()
    assert {name[:16] for name in service.read_all(tmp_path / "live")} == {"20170101T000000Z", "20161231T235500Z"}


def test_a_restart_reads_no_file_twice_and_issues_nothing_twice(tmp_path: Path) -> None:
    radar = FakeRadar(tmp_path / "radar", 5, faulty=False)
    clock = ManualClock(START_S)
    first = service.watch(radar.folder, tmp_path / "live", clock)
    service.drive(first, radar)
    first.close()
    before = (tmp_path / "live" / "index.json").read_bytes()
    again = service.watch(radar.folder, tmp_path / "live", clock)
    for _ in range(4):
        clock.sleep(again.turn())
    again.close()
    assert [line["event"] for line in service.lines(again) if line["event"] in ("frame", "issued")] == []
    assert list(service.read_all(tmp_path / "live")) == [one["id"] for one in json.loads(before)["issues"]]


def test_one_pass_for_cron_publishes_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "radar"
    folder.mkdir()
    clock = ManualClock(START_S + 7200)
    assert service.watch(folder, tmp_path / "live", clock, once=True).run() == 3
    for number in range(3):
        example_files.fmi_pgm(folder, time=fake_radar.START + number * np.timedelta64(5, "m"))
    assert service.watch(folder, tmp_path / "live", clock, once=True).run() == 0
    first = service.read_all(tmp_path / "live")
    assert len(first) == 2
    assert service.watch(folder, tmp_path / "live", clock, once=True).run() == 0
    assert service.read_all(tmp_path / "live") == first


def test_frames_that_are_all_of_another_product_end_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "radar"
    folder.mkdir()
    clock = ManualClock(START_S + 7200)
    for number in range(13):
        level = np.full((6, 5) if number < 7 else (7, 5), 100, np.uint8)
        example_files.fmi_pgm(folder, time=fake_radar.START + number * np.timedelta64(5, "m"), level=level)
    watch = service.watch(folder, tmp_path / "live", clock)
    with pytest.raises(ProductChanged, match="6 frames in a row"):
        watch.run()


def test_the_grid_of_most_counts_where_the_oldest_file_is_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "radar"
    folder.mkdir()
    for number in range(4):
        level = np.full((9, 9) if number == 0 else (6, 5), 100, np.uint8)
        example_files.fmi_pgm(folder, time=fake_radar.START + number * np.timedelta64(5, "m"), level=level)
    watch = service.watch(folder, tmp_path / "live", ManualClock(START_S + 7200), once=True)
    assert watch.run() == 0
    assert watch.intake.store.like is not None
    assert watch.intake.store.like.shape == (1, 6, 5)
    assert watch.issuing.health.frames == {"used": 3, "grid": 1}


def test_a_second_watch_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    (tmp_path / "radar").mkdir()
    first = service.watch(tmp_path / "radar", tmp_path / "live")
    with pytest.raises(Locked, match=f"process {os.getpid()} on "):
        service.watch(tmp_path / "radar", tmp_path / "live")
    first.close()
    service.watch(tmp_path / "radar", tmp_path / "live").close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_the_loop(tmp_path: Path, number: signal.Signals, status: int) -> None:
    (tmp_path / "radar").mkdir()

    class Signalled(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            signal.raise_signal(number)

    watch = service.watch(tmp_path / "radar", tmp_path / "live", Signalled(START_S))
    assert watch.run() == status
    assert '"state": "stopping"' in (tmp_path / "live" / "status.json").read_text()


def test_an_archive_is_replayed_to_its_end(tmp_path: Path) -> None:
    from echocast import archive

    rain = example_files.blob(5, 6, 7)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (0, 1, 2, 4):
        at = example_files.TIME + number * np.timedelta64(5, "m")
        example_files.netcdf(folder, time=at, rain=rain[number : number + 1])
    archive.write([folder], tmp_path / "a.zarr")
    start = float(example_files.TIME.astype("datetime64[s]").astype(int))
    more = {"sources": [], "replay": str(tmp_path / "a.zarr"), "speed": 60}
    watch: Watch = service.watch("", tmp_path / "live", ManualClock(start), **more)
    assert watch.run() == 0
    found = service.read_all(tmp_path / "live").values()
    assert sorted((m["time"], len(m["frames"])) for m in found) == [
        ("2016-09-28T14:50:00Z", 2),
        ("2016-09-28T14:55:00Z", 3),
    ]
    refused = [line for line in service.lines(watch) if line["event"] == "not_issued"]
    assert {"missing_frames"} <= {line["reason"] for line in refused if line["time"] == "2016-09-28T15:05:00Z"}
