"""A radar that writes tiny files into a folder, with faults drawn from a seed, and what rules make of its frames."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests import example_files

START = np.datetime64("2026-05-01T00:00", "ns")
START_S = float(START.astype("datetime64[s]").astype(int))
STEP_S = 300.0
FAULTS = (
    "late",
    "missing",
    "twice",
    "corrected",
    "truncated",
    "slow",
    "empty_first",
    "gzip_cut",
    "grid",
    "future",
    "dry",
    "blank",
    "unfinished",
)


@dataclass
class FakeRadar:
    """Files that appear in time.

    Args:
        folder: where to.
        frames: how many.
        seed: of the faults and the rain.
        faulty: whether there are faults.
        shape: rows and columns of a frame.
        start: the time of the first frame.
    """

    folder: Path
    frames: int
    seed: int = 0
    faulty: bool = True
    shape: tuple[int, int] = (6, 5)
    start: np.datetime64 = START
    events: list[tuple[float, str, bytes]] = field(default_factory=list)
    arrivals: list[tuple[float, int, Path]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Plan everything: when each file gets which bytes, and when which whole frame has arrived."""
        self._rng = np.random.default_rng(self.seed)
        self._aside = self.folder.with_name(f"{self.folder.name}_aside")
        for path in (self.folder, self._aside):
            path.mkdir(parents=True, exist_ok=True)
        for number in range(self.frames):
            self._plan(number, self._fault(number))
        self.events.sort(key=lambda event: event[0])
        self.arrivals.sort(key=lambda arrival: arrival[0])

    def advance(self, now: float) -> None:
        """Write what is due."""
        while self.events and self.events[0][0] <= now:
            _, name, content = self.events.pop(0)
            (self.folder / name).write_bytes(content)

    @property
    def end(self) -> float:
        """When everything has been written, and been tried for long enough."""
        return self.start_s + self.frames * STEP_S + 1800

    @property
    def start_s(self) -> float:
        """The time of the first frame, in seconds since 1970."""
        return float(self.start.astype("datetime64[s]").astype(int))

    def _fault(self, number: int) -> str:
        """Each fault at least once where there are enough frames, then at random; the first three are sound."""
        if not self.faulty or number < 3:
            return ""
        if (number - 3) % 2 == 0 and (number - 3) // 2 < len(FAULTS):
            return FAULTS[(number - 3) // 2]
        return str(self._rng.choice(FAULTS)) if number > 3 + 2 * len(FAULTS) and self._rng.random() < 0.3 else ""

    def _plan(self, number: int, fault: str) -> None:
        time = self.start + number * np.timedelta64(300, "s")
        at = self.start_s + number * STEP_S + float(self._rng.uniform(50, 100))
        content, path = self._file(time, "a", fault)
        name = f"r{number:04d}.pgm.gz"
        half = content[: len(content) // 2]
        match fault:
            case "missing":
                return
            case "truncated" | "gzip_cut":
                self._put(at, name, half)
                return
            case "grid" | "future" | "blank":
                self._put(at, name, content)
                return
            case "unfinished":
                self._put(at, f"{name}.part", content)
                self._put(at, f".{name}", content)
                return
            case "late":
                at += 2.4 * STEP_S
                self._put(at, name, content)
            case "slow":
                self._put(at, name, half)
                self._put(at + 7, name, content[: len(content) * 3 // 4])
                at += 30
                self._put(at, name, content)
            case "empty_first":
                self._put(at, name, b"")
                at += 20
                self._put(at, name, content)
            case _:
                self._put(at, name, content)
        self.arrivals.append((at, number, path))
        if fault == "twice":
            self._put(at + 60, f"again_{name}", content)
        if fault == "corrected":
            other, path = self._file(time, "b", "")
            self._put(at + 100, name, other)
            self.arrivals.append((at + 100, number, path))

    def _put(self, at: float, name: str, content: bytes) -> None:
        self.events.append((at, name, content))

    def _file(self, time: np.datetime64, version: str, fault: str) -> tuple[bytes, Path]:
        rows, columns = self.shape
        shape = (rows + 1, columns + 3) if fault == "grid" else self.shape
        level = self._rng.integers(64, 150, shape).astype(np.uint8)
        level = np.full_like(level, {"dry": 0, "blank": 255}[fault]) if fault in ("dry", "blank") else level
        folder = self._aside / version
        folder.mkdir(exist_ok=True)
        told = time + np.timedelta64(1, "D") if fault == "future" else time
        path = example_files.fmi_pgm(folder, time=told, level=level)
        # The same bytes at any time of day: gzip writes the time into its head.
        content = gzip.compress(gzip.decompress(path.read_bytes()), mtime=0)
        path.write_bytes(content)
        return content, path


def expected(radar: FakeRadar, *, frames: int, catch_up: int) -> dict[tuple[int, int], list[Path]]:
    """By a plain loop over the arrivals: the files of each issue, by the number of its newest frame and its revision.

    Args:
        radar: what arrived.
        frames: how many frames an issue uses.
        catch_up: how many steps back issues are made up for.
    """
    have: dict[int, Path] = {}
    issues: dict[tuple[int, int], list[Path]] = {}
    used: dict[int, list[int]] = {}
    for _, number, path in radar.arrivals:
        have[number] = path
        if len(have) < 3:
            continue
        newest = max(have)
        last = max(used, default=-1)
        for n in sorted((n for n in have if n >= newest - catch_up), reverse=True):
            run = []
            while len(run) < frames and n - len(run) in have:
                run.insert(0, n - len(run))
            if len(run) < 2:
                continue
            if n not in used:
                issues[n, 0] = [have[one] for one in run]
                used[n] = run
            elif n == last == max(used) and set(run) - set(used[n]):
                revision = 1 + max(r for m, r in issues if m == n)
                issues[n, revision] = [have[one] for one in run]
                used[n] = run
    return issues
