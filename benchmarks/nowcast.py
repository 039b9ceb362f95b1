"""From ten frames to eighteen leads: time and peak memory of each forecaster on a national grid.

From array to array, in a process of its own for each: nothing is read and nothing written. The yardsticks are pysteps'
Lucas-Kanade and extrapolation, and its STEPS, on the same frames in the same run.

>>> Task("persistence", 48, 64).title
'persistence'
"""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Candidate, Spread, by_turns
from echocast._version import __version__
from echocast.context import Context
from echocast.models import base
from echocast.synthetic import storms

MODELS = ("optical_flow", "farneback", "lucas_kanade", "rover1", "encoder_forecaster", "lagrangian")
YARDSTICK = "pysteps, Lucas-Kanade and extrapolation"
STEPS = "steps"
MEMBERS = 20
LEADS = 18
_SCRIPT = (
    "import json, sys; from benchmarks.nowcast import Task, candidate, report_of;"
    " report_of(candidate(Task(**json.loads(sys.argv[1]))), int(sys.argv[2]))"
)


@dataclass(frozen=True)
class Task:
    """One forecast to be measured."""

    name: str
    rows: int
    columns: int
    leads: int = LEADS
    members: int = 0

    @property
    def title(self) -> str:
        """The forecaster, as the table names it."""
        return f"{self.name}, {self.members} members" if self.members else self.name


@dataclass(frozen=True)
class Found:
    """What it took."""

    seconds: Spread
    mib: float

    def cells(self) -> str:
        """Two cells of a table."""
        spent = self.seconds
        return f"{spent.median:.2f} ({spent.low:.2f}-{spent.high:.2f}) | {self.mib:.0f}"


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (what a weather service has)
    """Measure, and give the tables as Markdown."""
    rows, columns = (48, 64) if quick else (760, 1226)
    national = Task("lagrangian", rows, columns)
    few = 4 if quick else MEMBERS
    names = ("optical_flow",) if quick else MODELS
    one = [replace(national, name=name) for name in (YARDSTICK, *names)]
    many = [replace(national, name=STEPS, members=few), replace(national, members=few)]
    halved = [
        replace(national, rows=rows // 2, columns=columns // 2),
        replace(national, leads=LEADS // 2),
        national,
        replace(national, rows=2 * rows, columns=2 * columns),
        replace(national, members=few // 2),
        replace(national, members=few),
    ]
    halved = halved[:1] if quick else halved
    large = [] if quick else [replace(national, rows=3500, columns=7000)]
    found = {task: made for task in one if (made := _measured(task, rounds))}
    found |= {task: made for task in [*many, *halved, *large] if (made := found.get(task) or _measured(task, 1))}
    lines = [
        "# Nowcast: time and memory",
        "",
        f"echocast {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()},"
        f" {platform.machine()}, {torch.get_num_threads()} threads; 10 frames of {rows} x {columns} cells of 1 km,"
        f" {LEADS} leads, each forecaster in a process of its own; seconds, median (quartiles) of {rounds} rounds, or"
        " of one without a warm-up for ensembles and other sizes. Memory is the largest resident size of that process."
        " `python -m benchmarks nowcast` makes these tables.",
        *_compared("One forecast", one, found),
        *_compared("Ensembles", many, found),
        *_grown("How the cost of `lagrangian` grows", [*halved, *large], found),
    ]
    return "\n".join([*lines, ""])


def _compared(title: str, tasks: Sequence[Task], found: dict[Task, Found]) -> list[str]:
    """A table whose first row is the yardstick."""
    first = found.get(tasks[0])
    lines = ["", f"## {title}", "", "| forecaster | seconds | MiB | of the first row's time |", "|---|---:|---:|---:|"]
    for task in tasks:
        if task in found:
            ratio = f"{found[task].seconds.median / first.seconds.median:.2f}" if first else "not installed"
            lines.append(f"| {task.title} | {found[task].cells()} | {ratio} |")
    return lines


def _grown(title: str, tasks: Sequence[Task], found: dict[Task, Found]) -> list[str]:
    """A table by size, with the time for a million values of the forecast."""
    lines = ["", f"## {title}", "", "| grid | leads | members | seconds | MiB | seconds a million values |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for task in tasks:
        values = task.rows * task.columns * task.leads * max(1, task.members) / 1e6
        each = found[task].seconds.median / values
        grid = f"{task.rows} x {task.columns}"
        lines.append(f"| {grid} | {task.leads} | {task.members or '-'} | {found[task].cells()} | {each:.3f} |")
    return lines


def candidate(task: Task) -> Candidate:
    """What forecasts once when it is called."""
    rows, columns = task.rows, task.columns
    storm = np.nan_to_num(storms.generate(frames=10, size=64, seed=1).values).astype(np.float32)
    frames = np.tile(storm, (1, -(-rows // 64), -(-columns // 64)))[:, :rows, :columns]
    if task.name != YARDSTICK:
        name = task.name
        model = base.resolve(name) if base.weights(name) != "to be trained" else base.construct(name, {}).eval()
        past = torch.from_numpy(np.ascontiguousarray(frames))[None, :, None]

        def ours() -> None:
            if task.members and isinstance(model, base.EnsembleForecaster):
                model.ensemble(
                    past, task.leads, members=task.members, context=Context(grid_km=1.0, time_step_minutes=5.0)
                )
            else:
                model.forecast(past, task.leads, context=Context(grid_km=1.0, time_step_minutes=5.0))

        return ours
    from echocast.models import _pysteps

    pysteps = _pysteps.quietly_imported()
    rain = frames.astype(np.float64)

    def theirs() -> None:
        with _pysteps.quiet():
            motion = pysteps.motion.get_method("LK")(_pysteps.to_dbr(rain[-3:]))
            pysteps.nowcasts.get_method("extrapolation")(rain[-1], motion, task.leads)

    return theirs


def report_of(work: Candidate, rounds: int) -> None:
    """Measure in this process, and write what was found to standard output."""
    spent = by_turns({"it": work}, rounds, warm=rounds > 1)["it"]
    status = Path("/proc/self/status")
    peak = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else ["0"]
    sys.stdout.write(json.dumps({"seconds": asdict(spent), "mib": int(peak[0]) / 1024}) + "\n")


def _measured(task: Task, rounds: int) -> Found | None:
    line = [sys.executable, "-W", "ignore", "-c", _SCRIPT, json.dumps(asdict(task)), str(rounds)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        if "MissingDependency" in done.stderr:
            return None
        raise RuntimeError(f"{task.title}: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Found(Spread(**found["seconds"]), found["mib"])
