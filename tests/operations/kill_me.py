"""A process that starts the service again and again, each time in a process of its own that a test may kill.

Each line on standard input starts the service; its process id is printed, and its exit status when it has ended.
"""

import os
import sys
from pathlib import Path

import echocast.archive
import echocast.nowcast
import echocast.readers.fmi_pgm  # noqa: F401 (imported once, before any process is forked)
from echocast.io.reading import ReadOptions
from echocast.operations.clocks import FastClock
from echocast.operations.logs import EventLog
from echocast.operations.settings import read_settings
from echocast.operations.watching import Watch
from echocast.operations.worker import WorkHere


def serve(folder: str, out: str, start: float, machine_start: float, speed: float) -> int:
    """Run the service until it is stopped; its exit status."""
    given = {"model": "persistence", "minutes": 10, "frames": 4, "sources": [folder], "out": Path(out)}
    given |= {"catch_up": "10d", "keep": "30d", "step": 300, "poll": 60}
    clock = FastClock(start, speed, machine_start)
    with Path(f"{out}.log").open("a") as file:
        log = EventLog(file, as_json=True)
        return Watch(read_settings(given), ReadOptions(), log=log, clock=clock, worker=WorkHere()).run()


def tell(what: object) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    radar, live, *numbers = sys.argv[1:]
    tell("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(serve(radar, live, *(float(one) for one in numbers)))
        tell(child)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
