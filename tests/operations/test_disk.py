"""A full or read-only disk, and what a start makes of what it finds."""

import errno
import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast import atomic
from echocast.errors import DataError, UnreadableFile
from echocast.io.reading import ReadOptions
from echocast.operations import jobs
from echocast.operations.clocks import ManualClock
from echocast.operations.watching import Watch


def sound(tmp_path: Path, frames: int = 5) -> tuple[FakeRadar, ManualClock]:
    return FakeRadar(tmp_path / "radar", frames, faulty=False), ManualClock(START_S)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_the_last_good_issue_stays_while_the_disk_fails_and_all_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    radar, clock = sound(tmp_path)
    watch = service.watch(radar.folder, tmp_path / "live", clock)
    real = os.fsync

    def fsync(opened: int) -> None:
        if 900 < clock.interval() < 1500:
            raise OSError(number, os.strerror(number))
        real(opened)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    seen: list[int] = []

    def look(now: float) -> None:
        if 900 < clock.interval() < 1500:
            seen.append(len(service.read_all(tmp_path / "live")))

    service.drive(watch, radar, look)
    assert min(seen) >= 1
    assert len(service.read_all(tmp_path / "live")) == 4
    assert watch.status.state() == "stale"  # the radar has ended; nothing fails any more
    assert {error["reason"] for error in watch.issuing.health.errors} == {"disk"}
    watch.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB; skips the test where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: it needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_real_disk_that_is_full_and_gets_room_again(tmp_path: Path, small_disk: Path) -> None:
    radar, clock = sound(tmp_path, 5)
    watch = service.watch(radar.folder, small_disk / "live", clock, poll="60s")
    filler, seen = small_disk / "filler", {"before": 0, "during": 0}
    state = "before"

    def look(now: float) -> None:
        nonlocal state
        passed = clock.interval()
        if state == "before" and passed > 900:
            state = "during"
            _fill(filler)
        elif state == "during" and passed > 1500:
            state = "after"
            filler.unlink()
        elif state == "during":
            _fill(filler)  # what the service gave up is taken too
        if (small_disk / "live" / "index.json").exists():
            seen[state] = len(service.read_all(small_disk / "live"))

    service.drive(watch, radar, look)
    assert seen["during"] >= 1
    assert {error["reason"] for error in watch.issuing.health.errors} == {"disk"}
    metas = service.read_all(small_disk / "live")
    # What was due meanwhile is made up for; older ones may have made room.
    assert {meta["time"][11:16] for meta in metas.values()} >= {"00:15", "00:20"}
    watch.close()


def _fill(filler: Path) -> None:
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def finished(tmp_path: Path) -> Path:
    radar, clock = sound(tmp_path)
    watch = service.watch(radar.folder, tmp_path / "live", clock)
    service.drive(watch, radar)
    watch.close()
    return tmp_path / "live"


def test_a_start_takes_in_whole_issues_and_removes_others(tmp_path: Path) -> None:
    live = finished(tmp_path)
    before = service.read_all(live)
    (live / "index.json").unlink()
    newest = max(before)
    folder = next((live / "issues").rglob(newest))
    (folder / "meta.json").write_text("{")
    (live / ".work" / "half").mkdir()
    (live / "frames" / ".x.partial.bin").write_bytes(b"half")
    sorted((live / "frames").glob("2*.bin"))[0].write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "radar")
    (tmp_path / "radar").mkdir()
    watch = service.watch(tmp_path / "radar", live, catch_up=0)
    assert set(service.read_all(live)) == set(before) - {newest}
    assert list((live / ".work").iterdir()) == []
    assert len(watch.intake.store.times) == 4
    assert not folder.exists()
    watch.turn()
    assert set(service.read_all(live)) == set(before)  # made again from the frames, with the same id
    watch.close()


def test_a_damaged_frame_is_read_again(tmp_path: Path) -> None:
    live = finished(tmp_path)
    path = sorted((live / "frames").glob("*.bin"))[1]
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    clock = ManualClock(START_S + 7200)
    watch = service.watch(tmp_path / "radar", live, clock)
    for _ in range(3):
        clock.sleep(watch.turn() + 3)
    assert len(watch.intake.store.times) == 5
    assert len(service.read_all(live)) == 4
    watch.close()


def test_a_folder_of_another_version_is_refused_and_unknown_keys_are_not(tmp_path: Path) -> None:
    live = finished(tmp_path)
    index = json.loads((live / "index.json").read_bytes())
    index["issues"][0]["new_key"] = 1
    (live / "index.json").write_text(json.dumps(index | {"version": "1.7", "more": {}}))
    service.watch(tmp_path / "radar", live).close()
    (live / "index.json").write_text(json.dumps(index | {"version": "2.0"}))
    with pytest.raises(DataError, match=r"is of version 2\.0, this program writes 1\.0"):
        service.watch(tmp_path / "radar", live)


def test_what_is_let_go_leaves_the_index_first_and_the_disk_after_the_grace(tmp_path: Path) -> None:
    radar, clock = sound(tmp_path, 8)
    watch = service.watch(radar.folder, tmp_path / "live", clock, keep="10min", catch_up="10min", grace="20min")
    ages: list[int] = []

    def look(now: float) -> None:
        index = json.loads((tmp_path / "live" / "index.json").read_bytes())
        ages.append(len(watch.layout.issues()) - len(index["issues"]))

    service.drive(watch, radar, look)
    assert max(ages) >= 2  # off the index, still on the disk
    assert ages[-1] == 0
    assert len(service.read_all(tmp_path / "live")) == 3
    watch.close()


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "radar").mkdir()
    (tmp_path / "live").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        service.watch(tmp_path / "radar", tmp_path / "live")


def test_a_computation_that_fails_is_told_and_the_next_frame_is_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = jobs.compute

    def compute(job: jobs.ComputeJob) -> jobs.Computed:
        if len(job.frames) == 3:
            raise RuntimeError("the model has failed")
        return real(job)

    monkeypatch.setattr(jobs, "compute", compute)
    radar, clock = sound(tmp_path)
    watch: Watch = service.watch(radar.folder, tmp_path / "live", clock)
    service.drive(watch, radar)
    assert [len(meta["frames"]) for _, meta in sorted(service.read_all(tmp_path / "live").items())] == [2, 4, 4]
    told = [line for line in service.lines(watch) if line.get("reason") == "failed" and line["event"] == "not_issued"]
    assert len(told) == 1
    watch.close()


def test_a_file_that_unpacks_to_more_than_it_may_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.pgm.gz"
    path.write_bytes(gzip.compress(bytes(10**6)))
    assert path.stat().st_size < 10_000
    with pytest.raises(UnreadableFile, match=r"unpacks to more than 10,000 bytes"):
        jobs.read(jobs.ReadJob(path, ReadOptions(), 10_000, 5))
    with pytest.raises(UnreadableFile, match=r"is larger than 100 bytes, the limit \(--most-bytes\)"):
        jobs.read(jobs.ReadJob(path, ReadOptions(), 100, 5))


def test_netcdf_files_stay_when_their_issues_are_gone(tmp_path: Path) -> None:
    radar, clock = sound(tmp_path, 8)
    more = {"keep": "10min", "catch_up": "10min", "grace": "5min", "keep_netcdf": "20min"}
    watch = service.watch(radar.folder, tmp_path / "live", clock, **more)
    contents: dict[str, bytes] = {}

    def look(now: float) -> None:
        for name in service.read_all(tmp_path / "live"):
            contents[name] = next(watch.layout.issue(name).glob("*.nc")).read_bytes()

    service.drive(watch, radar, look)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "live" / "netcdf").rglob("*.nc")}
    gone = {name: content for name, content in contents.items() if name not in service.read_all(tmp_path / "live")}
    wanted = {name: content for name, content in gone.items() if name >= "20260501T0015"}  # the newest is of 00:35
    assert {name[-28:-3] for name in kept} == set(wanted)
    assert sorted(kept.values()) == sorted(wanted.values())
    assert len(wanted) == 2
    watch.close()
    service.watch(radar.folder, tmp_path / "live", clock, **more).close()
    assert len(list((tmp_path / "live" / "netcdf").rglob("*.nc"))) == 2


def test_a_limit_of_bytes_lets_netcdf_files_of_gone_issues_go_first(tmp_path: Path) -> None:
    radar, clock = sound(tmp_path, 8)
    watch = service.watch(radar.folder, tmp_path / "live", clock, keep="10min", catch_up="10min", grace="5min")
    service.drive(watch, radar)
    kept = sorted((tmp_path / "live" / "netcdf").rglob("*.nc"))
    issues = service.read_all(tmp_path / "live")
    held = sum(issue.bytes for issue in watch.issuing.publisher.issues.values())
    assert (len(issues), len(kept)) == (3, 4)
    watch.close()
    most = held + sum(path.stat().st_size for path in kept[-2:]) + 1
    for limit, names in ((most, kept[-2:]), (held, [])):
        more = {"keep": "10min", "catch_up": "10min", "keep_bytes": limit}
        service.watch(radar.folder, tmp_path / "live", clock, **more).close()
        assert sorted((tmp_path / "live" / "netcdf").rglob("*.nc")) == names
    assert service.read_all(tmp_path / "live") == issues
