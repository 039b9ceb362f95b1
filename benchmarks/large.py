"""A continent at full resolution: `echocast nowcast` from ten files to one, an hour in steps of two minutes.

The command runs in a process of its own. CPU seconds are those of all its threads, on a machine that does nothing else
about as many as the clock's times the cores; memory is the largest resident size.

>>> Task("persistence", ".nc").title
'persistence to .nc'
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echocast import fields
from echocast._version import __version__
from echocast.io.forecast_file import series_to_netcdf
from echocast.synthetic import storms

SHAPE, FRAMES, MINUTES, STEP = (3500, 7000), 10, 60, 2
MODELS = ("lagrangian", "optical_flow", "persistence")
_CODE = "import sys; from echocast.cli.main import run; sys.argv[0] = 'echocast'; run()"


@dataclass(frozen=True)
class Task:
    """One command to be measured."""

    model: str
    suffix: str

    @property
    def title(self) -> str:
        """As the table names it."""
        return f"{self.model} to {self.suffix}"


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (one run tells memory; what a service has)
    """Measure, and give the table as Markdown."""
    shape = (70, 140) if quick else SHAPE
    tasks = [Task("optical_flow", ".nc")] if quick else [Task(name, ".nc") for name in MODELS]
    tasks += [] if quick else [Task("optical_flow", suffix) for suffix in (".tif", ".zarr")]
    lines = [
        "# Nowcast of a continent",
        "",
        f"echocast {__version__}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;"
        f" {FRAMES} files of {shape[0]} x {shape[1]} cells of 1 km every {STEP} min, {MINUTES // STEP} leads."
        " `python -m benchmarks large` makes this table.",
        "",
        "| forecast | seconds | CPU seconds | MiB | MiB of the file |",
        "|---|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory(prefix="echocast-large-") as folder:
        source = Path(folder) / "radar"
        make_frames(source, shape)
        lines += [_measured(task, source, Path(folder) / f"forecast{task.suffix}") for task in tasks]
    return "\n".join([*lines, ""])


def make_frames(folder: Path, shape: tuple[int, int]) -> None:
    """Files of storms side by side, which all move."""
    folder.mkdir()
    storm = np.nan_to_num(storms.generate(frames=FRAMES, size=256, seed=1).values).astype(np.float32)
    rows, columns = shape
    y, x = (np.arange(n) * 1000.0 for n in shape)
    for number in range(FRAMES):
        time_of = np.datetime64("2016-07-01", "ns") + np.array([number * STEP]) * np.timedelta64(1, "m")
        rain = np.tile(storm[number], (-(-rows // 256), -(-columns // 256)))[None, :rows, :columns]
        field = fields.make(np.round(rain, 1), time=time_of, y=y[::-1], x=x, crs="EPSG:3857")
        series_to_netcdf(field, folder / f"radar_20160701T{number * STEP:04}.nc")


def _measured(task: Task, source: Path, out: Path) -> str:
    line = [sys.executable, "-W", "ignore", "-c", _CODE, "-q", "nowcast", str(source), "--model", task.model]
    began = time.perf_counter()
    process = subprocess.Popen([*line, "--minutes", str(MINUTES), "--out", str(out)])
    _, status, used = os.wait4(process.pid, 0)
    spent = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{task.title}: ended with status {process.returncode}")
    size = sum(path.stat().st_size for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file())
    return (
        f"| {task.title} | {spent:.0f} | {used.ru_utime + used.ru_stime:.0f} | {used.ru_maxrss / 1024:.0f} |"
        f" {size / 2**20:.0f} |"
    )
