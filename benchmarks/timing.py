"""Times measured by turns, so that whatever slows the machine slows all candidates alike."""

import math
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Spread:
    """Seconds of one candidate: the median, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 0.1 else 1
        low, mid, high = (f"{1000 * t:.{digits}f}" for t in (self.low, self.median, self.high))
        return f"{mid} ({low}-{high})"


clock: Callable[[], float] = time.perf_counter
"""What `by_turns` measures with; `python -m benchmarks --cpu-time` sets the processor's time of this process."""

Candidate = Callable[[], float | None]
"""Does the work once; may return the seconds that it took by its own clock."""


def by_turns(candidates: Mapping[str, Candidate], rounds: int, *, warm: bool = True) -> dict[str, Spread]:
    """Each candidate once to warm up, unless what is measured takes minutes, then `rounds` times by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(0 if warm else 1, rounds + 1):
        for name, work in candidates.items():
            begun = clock()
            told = work()
            spent = clock() - begun if told is None else told
            if turn:
                seconds[name].append(spent)
    return {name: _spread(times) for name, times in seconds.items()}


def _spread(times: list[float]) -> Spread:
    if len(times) < 2 or math.inf in times:
        return Spread(max(times), max(times), max(times))
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Spread(median, low, high)


def geometric_mean(ratios: list[float]) -> float:
    """The mean of ratios that treats twice and half alike."""
    return statistics.geometric_mean(ratios)


def is_of_processor() -> bool:
    """Whether the processor's time is measured, in place of the clock's."""
    return clock is time.process_time


def of_what() -> str:
    """What is measured, beside the clock's time, and how much else the machine had to do."""
    load = f" (load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors)" if hasattr(os, "getloadavg") else ""
    return " of the processor's time" + load if is_of_processor() else load


def processor() -> str:
    """The processor's name, where the system tells it, and the instructions that PyTorch uses."""
    told = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", told.read_text()) if told.exists() else None
    name = named[1].strip() if named else f"{platform.machine()} CPU"
    return f"{name} with {torch.backends.cpu.get_cpu_capability()}"
