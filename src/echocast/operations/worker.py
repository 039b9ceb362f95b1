"""The compute process, kept warm and renewed: after many issues, or when it has grown too large."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from echocast.parallel import KeptProcess

T = TypeVar("T")
R = TypeVar("R")

_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
"""Keeps the C library from holding memory for each thread."""
RECYCLED_AFTER = 500
"""Issues, after which the process is renewed."""


@runtime_checkable
class Worker(Protocol):
    """Where the work of `jobs` is done."""

    def call(self, work: Callable[[T], R], item: T, *, deadline: float) -> R:
        """What `work` makes of `item`; raises `TimeoutError`, `DataError` where the process died, or what it raised."""

    memory: int
    """Bytes that it may hold between issues."""
    restarts: dict[str, int]
    """How often it was renewed: for its ``age`` or ``memory``, because it ``died``, or over its ``deadline``."""

    def tidy(self) -> None:
        """Renew the process if it is time; called between issues."""

    def end(self) -> None:
        """End it."""


@dataclass
class WorkerProcess:
    """A process of its own.

    Args:
        memory: bytes that it may hold between issues; a larger one is renewed.
        on_wait: called several times a second while it works.
    """

    memory: int
    on_wait: Callable[[], None] = lambda: None
    restarts: dict[str, int] = field(default_factory=dict)
    _process: KeptProcess = field(default_factory=lambda: KeptProcess(_ENVIRONMENT))
    _issues: int = 0

    def call(self, work: Callable[[T], R], item: T, *, deadline: float) -> R:
        """What `work` makes of `item`, in the process; one that dies or is ended is counted."""
        try:
            return self._process.call(work, item, deadline=deadline, on_wait=self.on_wait)
        except Exception as bad:
            if self._process.pid is None:
                self._count("deadline" if isinstance(bad, TimeoutError) else "died")
            raise

    def tidy(self) -> None:
        """Renew the process after many issues, or where it holds too much memory."""
        self._issues += 1
        held = _resident(self._process.pid)
        why = "age" if self._issues >= RECYCLED_AFTER else "memory" if held > self.memory else ""
        if why:
            self._count(why)
            self.end()

    def end(self) -> None:
        """End the process."""
        self._process.end()
        self._issues = 0

    def _count(self, why: str) -> None:
        self.restarts[why] = self.restarts.get(why, 0) + 1


@dataclass
class WorkHere:
    """The work is done in this process, for tests."""

    memory: int = 0
    restarts: dict[str, int] = field(default_factory=dict)

    def call(self, work: Callable[[T], R], item: T, *, deadline: float) -> R:
        """What `work` makes of `item`."""
        return work(item)

    def tidy(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


def _resident(pid: int | None) -> int:
    """The bytes that a process holds in memory; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0
