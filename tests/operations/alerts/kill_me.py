"""A process that judges an issue again and again, each time in a process of its own that ends itself by SIGKILL.

Each line on standard input names a function and how many calls of it are let through; then it strikes.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echocast.operations.alerts import config, issue, outbox, service, state_file
from echocast.operations.alerts.channels import LinesFile
from echocast.operations.clocks import ManualClock

PLACES = {
    "before the state": (state_file, "save", False),
    "after the state": (state_file, "save", True),
    "before a message in the outbox": (outbox, "write_bytes", False),
    "after a message in the outbox": (outbox, "write_bytes", True),
    "before sending": (LinesFile, "send", False),
    "after sending": (LinesFile, "send", True),
}


def deadly(call: Callable[..., Any], let_through: int, *, after: bool) -> Callable[..., Any]:
    """A function that kills its process at a call."""
    calls = itertools.count()  # threads take numbers from it without a lock

    def wrapped(*given: Any, **named: Any) -> Any:
        is_last = next(calls) == let_through
        if is_last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = call(*given, **named)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return wrapped


def run(root: Path, folder: Path, where: str, let_through: int) -> None:
    """Judge the newest issue as the service does after a start, and send."""
    if where in PLACES:
        holder, name, after = PLACES[where]
        setattr(holder, name, deadly(getattr(holder, name), let_through, after=after))
    found = issue.of_folder(folder)
    alerts = service.AlertService(config.load(root / "alerts.toml"), root / "live", ManualClock(found.published))
    alerts.start()
    alerts.evaluate(found)
    alerts.close(within_s=120)


def tell(what: object) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    tell("ready")
    for line in sys.stdin:
        parts = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            run(Path(parts[0]), Path(parts[1]), parts[2], int(parts[3]))
            os._exit(0)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
