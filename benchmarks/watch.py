"""From a radar file that is whole to the index that names its forecast: `echocast watch` as it runs, on real files.

The service is a process of its own with its compute process; files appear in its folder by renaming, one after the
other, each when the forecast of the last one is there. The time ends when index.json names the issue.

>>> quantile([1.0, 2.0, 3.0, 4.0], 0.95)
4.0
"""

import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from echocast._version import __version__
from echocast.errors import DataError

PAST = 10
MEMBERS = 20
_WAIT_S = 600.0
_FOLDER = "fmi/20160928"
_STAGES = ("read", "compute", "products", "write")


@dataclass(frozen=True)
class Found:
    """One forecast: seconds until it was published, those of its stages, those of the processor, and bytes by file."""

    seconds: float
    stages: dict[str, float]
    cpu: float
    sizes: dict[str, int]

    @property
    def rest(self) -> float:
        """Seconds that are in no stage: waiting for the file to stay as it is, reading it, fsync, checksums, index."""
        return self.seconds - sum(self.stages.values())


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (what a weather service has)
    """Measure, and give the table as Markdown.

    Raises:
        DataError: ECHOCAST_DATA names no folder of real radar files, or the service ended.
    """
    kit = Path(os.environ.get("ECHOCAST_DATA", ""))
    if not os.environ.get("ECHOCAST_DATA") or not (kit / _FOLDER).is_dir():
        raise DataError("ECHOCAST_DATA names no folder of real radar files; this benchmark needs them")
    files = sorted((kit / _FOLDER).glob("*.pgm.gz"))
    past, rounds = (3, 1) if quick else (PAST, min(rounds, len(files) - PAST))
    cases = {"persistence": ["--model", "persistence"]} if quick else {
        "lagrangian, one forecast": [],
        f"lagrangian, {MEMBERS} members": ["--members", str(MEMBERS)],
    }  # fmt: skip
    load = os.getloadavg()[0]
    rows = [_row(name, _measured(files[: past + rounds], past, options)) for name, options in cases.items()]
    return "\n".join(
        [
            "# Watch: from a radar file to its published forecast",
            "",
            f"echocast {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()},"
            f" {platform.machine()}, {os.cpu_count()} processors, load {load:.1f} before. Frames of FMI, 1226 x 760"
            f" cells, 18 leads of 5 minutes; {rounds} forecasts each, after one to warm up. From the moment at which a"
            " whole file is in the folder until `index.json` names its forecast, with 2 s in which the file must stay"
            " the same (`--settle`). Stages are medians; the rest is those 2 s, reading the new file, fsync, checksums"
            " and the index. CPU: of both processes. `python -m benchmarks watch` makes this table.",
            "",
            f"| forecast | s, median | s, 95 % | {' | '.join(_STAGES)} | rest | CPU s | MB: NetCDF | layers | points |",
            f"|---|---:|---:|{'---:|' * len(_STAGES)}---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least a share of all values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _row(name: str, found: Sequence[Found]) -> str:
    seconds = [one.seconds for one in found]
    stages = (statistics.median(one.stages.get(stage, 0.0) for one in found) for stage in _STAGES)
    more = [
        *stages,
        *(statistics.median(values) for values in zip(*((one.rest, one.cpu) for one in found), strict=True)),
    ]
    sizes = (statistics.median(one.sizes.get(kind, 0) for one in found) / 1e6 for kind in (".nc", "layers", "points"))
    numbers = [statistics.median(seconds), quantile(seconds, 0.95), *more, *sizes]
    return f"| {name} | {' | '.join(f'{number:.1f}' for number in numbers)} |"


def _measured(files: Sequence[Path], past: int, options: Sequence[str]) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="echocast-") as place:
        root = Path(place)
        radar, live = root / "radar", root / "live"
        radar.mkdir()
        for file in files[:past]:
            shutil.copy(file, radar)
        command = [sys.executable, "-m", "echocast", "watch", str(radar), "--out", str(live), "--catch-up", "0"]
        command += ["--deadline", f"{_WAIT_S:g}s"]  # so that a busy machine is measured too
        with (root / "log").open("w") as log:
            service = subprocess.Popen([*command, *options], stderr=log)
        try:
            _published(live, "", service, root / "log")
            return [_one(file, radar, live, service, root / "log") for file in files[past:]]
        finally:
            service.terminate()
            service.wait(60)


def _one(file: Path, radar: Path, live: Path, service: "subprocess.Popen[bytes]", log: Path) -> Found:
    """Let one file appear and wait for its forecast."""
    aside = radar / f".{file.name}"
    shutil.copy(file, aside)
    last, spent = _newest(live)["id"], _cpu(service.pid)
    began = time.monotonic()
    aside.rename(radar / file.name)
    issue = _published(live, last, service, log)
    seconds = time.monotonic() - began
    meta = json.loads((live / issue["path"] / "meta.json").read_bytes())
    sizes = {".nc" if name.endswith(".nc") else Path(name).stem: one["bytes"] for name, one in meta["files"].items()}
    return Found(seconds, meta["seconds"], _cpu(service.pid) - spent, sizes)


def _published(live: Path, last: str, service: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """Wait for an issue after the last one."""
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end and service.poll() is None:
        newest = _newest(live)
        if newest["id"] > last:
            return newest
        time.sleep(0.02)
    raise DataError(f"echocast watch published nothing; its log ends with: {log.read_text()[-1000:]}")


def _newest(live: Path) -> dict[str, Any]:
    try:
        issues: list[dict[str, Any]] = json.loads((live / "index.json").read_bytes())["issues"]
    except FileNotFoundError:
        issues = []
    return issues[0] if issues else {"id": ""}


def _cpu(pid: int) -> float:
    """Seconds of the processor that a process and its children have spent; 0 where the system does not tell."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        numbers = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in (str(pid), *children)]
    except OSError:
        return 0.0
    return sum(int(each[11]) + int(each[12]) for each in numbers) / os.sysconf("SC_CLK_TCK")
