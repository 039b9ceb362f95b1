"""Clocks: the time of day in seconds since 1970 (UTC), and a clock for intervals that never jumps.

>>> clock = ManualClock(1000.0)
>>> clock.sleep(2.5)
>>> clock.now(), clock.interval()
(1002.5, 2.5)
"""

import time
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """What the service asks for the time."""

    def now(self) -> float:
        """The time of day: seconds since 1970-01-01 UTC. It may jump."""

    def interval(self) -> float:
        """Seconds since some moment; it never jumps."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def interval(self) -> float:
        """Seconds since the machine's start or so."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class FastClock:
    """A simulated clock that runs `speed` times as fast as the machine's.

    Args:
        start: the simulated time at the machine's time `machine_start`.
        speed: simulated seconds in a second.
        machine_start: seconds since 1970; now if None.
    """

    def __init__(self, start: float, speed: float, machine_start: float | None = None) -> None:
        self.start, self.speed = start, speed
        self.machine_start = time.time() if machine_start is None else machine_start

    def now(self) -> float:
        """Simulated seconds since 1970."""
        return self.start + (time.time() - self.machine_start) * self.speed

    def interval(self) -> float:
        """Simulated seconds."""
        return time.monotonic() * self.speed

    def sleep(self, seconds: float) -> None:
        """Wait for simulated seconds."""
        time.sleep(seconds / self.speed)


class ManualClock:
    """A clock that moves only when told: for tests.

    Args:
        start: seconds since 1970.
    """

    def __init__(self, start: float) -> None:
        self.time, self.passed = start, 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self.time

    def interval(self) -> float:
        """Seconds that it was moved on by."""
        return self.passed

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.time += seconds
        self.passed += seconds

    def jump(self, seconds: float) -> None:
        """Set the time of day, forwards or back, while no time passes."""
        self.time += seconds
