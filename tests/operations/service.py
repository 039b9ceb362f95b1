"""The service in tests: a loop whose clock moves when told, and a reader that checks all."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.operations.fake_radar import START_S, FakeRadar

from echocast.io.reading import ReadOptions
from echocast.operations.clocks import Clock, ManualClock
from echocast.operations.logs import EventLog
from echocast.operations.settings import read_settings
from echocast.operations.watching import Watch
from echocast.operations.worker import WorkHere

FRAMES = 4


def watch(source: Path | str, out: Path, clock: Clock | None = None, **more: Any) -> Watch:
    """A service with a tiny model and no process of its own."""
    given = {
        "model": "persistence",
        "minutes": 10,
        "frames": FRAMES,
        "poll": 30,
        "sources": [str(source)],
        "out": out,
    } | more
    log = EventLog(io.StringIO(), as_json=True)
    return Watch(read_settings(given), ReadOptions(), log=log, clock=clock or ManualClock(START_S), worker=WorkHere())


def lines(service: Watch) -> list[dict[str, Any]]:
    """What the service has told."""
    assert isinstance(service.log, EventLog)
    assert isinstance(service.log.out, io.StringIO)
    return [json.loads(line) for line in service.log.out.getvalue().splitlines()]


def drive(service: Watch, radar: FakeRadar, after_turn: Callable[[float], None] = lambda _: None) -> None:
    """Turn until the radar is through; no time passes that is not told."""
    clock = service.time
    assert isinstance(clock, ManualClock)
    while radar.start_s + clock.interval() < radar.end:
        # The radar lives by true time, whatever the machine's clock says.
        radar.advance(radar.start_s + clock.interval())
        wait = service.turn()
        after_turn(radar.start_s + clock.interval())
        if wait > 0:
            wait = service.intake.next_time() - clock.interval()
            event = radar.events[0][0] - radar.start_s - clock.interval() if radar.events else wait
            clock.sleep(max(0.5, min(wait, event)))


def read_all(root: Path) -> dict[str, dict[str, Any]]:
    """Read as a client does: the index, every file that it names, every checksum; the meta.json of each issue."""
    index = json.loads((root / "index.json").read_bytes())
    found = {}
    for frame in index["frames"]:
        assert hashlib.sha256((root / frame["path"]).read_bytes()).hexdigest() == frame["sha256"], frame
    for issue in index["issues"]:
        content = (root / issue["path"] / "meta.json").read_bytes()
        assert hashlib.sha256(content).hexdigest() == issue["sha256"], issue["id"]
        meta = json.loads(content)
        for name, about in meta["files"].items():
            read = (root / issue["path"] / name).read_bytes()
            assert (len(read), hashlib.sha256(read).hexdigest()) == (about["bytes"], about["sha256"]), name
        found[issue["id"]] = meta
    return found
