"""From ten frames to eighteen leads: time and peak memory of each forecaster on a national grid.

From array to array, in a process of its own for each: nothing is read and nothing written. The yardstick is pysteps'
Lucas-Kanade and extrapolation on the same frames in the same run.
"""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from echocast import __version__
from echocast.bench.timing import Contender, Spread, by_turns
from echocast.data.synthetic import storms
from echocast.models import base

MODELS = ("optical_flow", "farneback", "lucas_kanade", "rover1", "encoder_forecaster", "lagrangian")
YARDSTICK = "pysteps, Lucas-Kanade and extrapolation"
LEADS = 18
_SCRIPT = (
    "import sys; from echocast.bench.nowcast import contender, report_of;"
    " report_of(contender(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4]))"
)


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (what a weather service has)
    """Measure, and give the table as Markdown."""
    rows, columns = (48, 64) if quick else (760, 1226)
    lines = [
        "# Nowcast: time and memory",
        "",
        f"echocast {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()},"
        f" {platform.machine()}, {torch.get_num_threads()} threads; 10 frames of {rows} x {columns} cells of 1 km,"
        f" {LEADS} leads, {rounds} rounds, each forecaster in a process of its own; seconds, median (quartiles)."
        " Memory is the largest resident size of that process. `echocast bench nowcast` makes this table.",
        "",
        "| forecaster | seconds | MiB | of the yardstick's time |",
        "|---|---:|---:|---:|",
    ]
    found: dict[str, tuple[Spread, float]] = {}
    for name in (YARDSTICK, *MODELS):
        measured = _measured(name, rows, columns, rounds)
        if measured is not None:
            found[name] = measured
    yardstick = found.get(YARDSTICK)
    for name, (spent, memory) in found.items():
        ratio = f"{spent.median / yardstick[0].median:.2f}" if yardstick else "not installed"
        seconds = f"{spent.median:.2f} ({spent.low:.2f}-{spent.high:.2f})"
        lines.append(f"| {name} | {seconds} | {memory:.0f} | {ratio} |")
    return "\n".join([*lines, ""])


def contender(name: str, rows: int, columns: int) -> Contender:
    """What forecasts once when it is called."""
    storm = np.nan_to_num(storms.generate(frames=10, size=64, seed=1).values).astype(np.float32)
    frames = np.tile(storm, (1, -(-rows // 64), -(-columns // 64)))[:, :rows, :columns]
    if name != YARDSTICK:
        model = base.resolve(name) if base.weights(name) != "to be trained" else base.construct(name, {}).eval()
        past = torch.from_numpy(frames)[None, :, None]

        def ours() -> None:
            model.forecast(past, LEADS, grid_km=1.0, step_minutes=5.0)

        return ours
    from echocast.models import _pysteps

    pysteps = _pysteps.quietly_imported()
    rain = frames.astype(np.float64)

    def theirs() -> None:
        with _pysteps.quiet():
            motion = pysteps.motion.get_method("LK")(_pysteps.to_dbr(rain[-3:]))
            pysteps.nowcasts.get_method("extrapolation")(rain[-1], motion, LEADS)

    return theirs


def report_of(work: Contender, rounds: int) -> None:
    """Measure in this process, and write what was found to standard output."""
    spent = by_turns({"it": work}, rounds)["it"]
    status = Path("/proc/self/status")
    peak = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else ["0"]
    found = {"median": spent.median, "low": spent.low, "high": spent.high, "mib": int(peak[0]) / 1024}
    sys.stdout.write(json.dumps(found) + "\n")


def _measured(name: str, rows: int, columns: int, rounds: int) -> tuple[Spread, float] | None:
    line = [sys.executable, "-W", "ignore", "-c", _SCRIPT, name, str(rows), str(columns), str(rounds)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        if "MissingDependency" in done.stderr:
            return None
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Spread(found["median"], found["low"], found["high"]), found["mib"]
