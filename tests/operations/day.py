"""A simulated day of the service with its compute process; prints what it holds after each issue, as JSON lines.

Run by test_day.py in a process of its own, so that nothing else grows in it.
"""

import io
import json
import os
import sys
import threading
import urllib.request
from pathlib import Path

from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast.io.reading import ReadOptions
from echocast.operations.clocks import ManualClock
from echocast.operations.logs import EventLog
from echocast.operations.settings import read_settings
from echocast.operations.watching import Watch
from echocast.operations.worker import WorkerProcess


def resident_mb(pid: int | str) -> float:
    """The megabytes that a process holds in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1000


def disk_mb(folder: Path) -> float:
    """The megabytes of all files below a folder, each once."""
    files = {(about.st_dev, about.st_ino): about.st_size for p in folder.rglob("*") if (about := p.lstat())}
    return sum(files.values()) / 1e6


def main(folder: Path, frames: int) -> None:
    """Run it."""
    radar = FakeRadar(folder / "radar", frames, seed=1, shape=(64, 64))
    given = {
        "model": "lagrangian",
        "members": 3,
        "minutes": 20,
        "frames": 4,
        "poll": 30,
        "keep": "1h",
        "out": folder / "live",
    }
    given |= {"sources": [str(radar.folder)], "keep_netcdf": "2h", "metrics": "127.0.0.1:0"}
    worker = WorkerProcess(4 * 10**9)
    watch = Watch(
        read_settings(given),
        ReadOptions(),
        log=EventLog(io.StringIO(), True),
        clock=ManualClock(START_S),
        worker=worker,
    )
    told: set[str] = set()

    def measure(_: float) -> None:
        newest = next(iter(watch.issuing.publisher.newest_first()), None)
        watch.log.out.seek(0), watch.log.out.truncate()  # type: ignore[union-attr]  # a text in memory: it would grow
        if newest is None or newest.id in told:
            return
        told.add(newest.id)
        service.read_all(folder / "live")
        urllib.request.urlopen(f"http://127.0.0.1:{watch._metrics.port}/metrics").read()  # type: ignore[union-attr]
        sample = {
            "id": newest.id,
            "main_mb": resident_mb("self"),
            "worker_mb": resident_mb(worker._process.pid or "self"),
            "fds": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            "threads": threading.active_count(),
            "disk_mb": disk_mb(folder / "live"),
        }
        sys.stdout.write(json.dumps(sample) + "\n")
        sys.stdout.flush()

    service.drive(watch, radar, measure)
    watch.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
